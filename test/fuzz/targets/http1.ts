import assert from 'node:assert/strict';
import { requestBytes, responseBytes } from '../../support/http1-inputs.ts';
import { type Reading, readRequests, readResponse } from '../../support/http1-reading.ts';
import { pieces, seeded, type Target } from '../fuzz.ts';

const METHODS = ['GET', 'HEAD', 'POST', 'CONNECT'];

/** In words it may be something else that was wrong first. */
function outcome({ messages, stopped }: Reading): unknown {
  return [messages, stopped !== undefined];
}

/** Heads and bodies read the same however they come; `test/unit/codec/http1-fuzz.test.ts` holds them to llhttp. */
export const targets: readonly Target[] = [
  {
    name: 'http1-requests',
    seeds: () => Array.from({ length: 200 }, (_, i) => requestBytes(seeded(i + 1))),
    check(input, random) {
      assert.deepEqual(outcome(readRequests(pieces(input, random))), outcome(readRequests([input])));
    },
  },
  {
    name: 'http1-responses',
    seeds: () => Array.from({ length: 200 }, (_, i) => responseBytes(seeded(i + 1))),
    check(input, random) {
      const method = METHODS[Math.floor(random() * METHODS.length)] as string;
      assert.deepEqual(outcome(readResponse(pieces(input, random), method)), outcome(readResponse([input], method)));
    },
  },
];
