import type { Answer } from '../model/answer.ts';
import type { IdentifiedBy, Visibility } from '../model/connection.ts';
import { hostPort } from '../model/destination.ts';
import { ERRORS, type ErrorCode } from '../model/error.ts';
import type { Mode } from '../model/finding.ts';
import { printable } from '../model/printable.ts';
import { answer } from './answer.ts';

export interface FailureFacts {
  readonly code: ErrorCode;
  /** Absent when the input was refused before it named one. */
  readonly destination?: { readonly host: string; readonly port: number } | undefined;
  readonly agent?: string | undefined;
  readonly ref?: string | undefined;
  /** Cause in words, shown to the agent, printable and cut. */
  readonly detail?: string | undefined;
}

/** What the agent can do about a failure, where there is something. */
const NEXT: { readonly [C in ErrorCode]?: string } = {
  'auth-required': 'Set the proxy URL to http://<agent>:<token>@<weir address>; with no token any password will do.',
  stopped: 'Do not retry or look for another way; tell the user: weir mode <agent> resume lets it go on.',
  uninspectable: 'This client does not trust the CA of Weir; tell the user: weir doctor.',
  'limit-reached': 'Try again in a second, with fewer connections.',
  'not-recorded': 'Try again in a minute; tell the user: weir status says what is wrong with the store.',
  'self-target': 'This address is the proxy itself, not a server. Use the address of the server you want to reach.',
};

/** The answer for what could not be done (as opposed to what was not allowed). */
export function failure(facts: FailureFacts): Answer {
  const { code, ref } = facts;
  const { status, summary } = ERRORS[code];
  const host = facts.destination === undefined ? undefined : printable(facts.destination.host, 80);
  const detail = facts.detail === undefined ? undefined : printable(facts.detail, 200);
  const reason = detail === undefined || detail === summary ? summary : `${summary}: ${detail}`;
  const body = {
    error: code,
    reason,
    ...(host === undefined ? {} : { destination: hostPort(host, facts.destination?.port ?? 0) }),
    ...(facts.agent === undefined ? {} : { agent: printable(facts.agent, 63) }),
    ...(NEXT[code] === undefined ? {} : { next: NEXT[code] }),
    ...(ref === undefined ? {} : { ref }),
  };
  const phrase = `Weir: ${host === undefined ? '' : `${host}: `}${summary}${ref === undefined ? '' : ` (ref ${ref})`}`;
  return answer(status, phrase, body, ref, extra(code));
}

function extra(code: ErrorCode): readonly (readonly [string, string])[] {
  const name: readonly [string, string] = ['x-weir-error', code];
  if (code === 'auth-required') return [name, ['proxy-authenticate', 'Basic realm="weir"']];
  if (code === 'not-recorded') return [name, ['retry-after', '60']];
  if (code === 'limit-reached') return [name, ['retry-after', '1']];
  if (code === 'stopped' || code === 'uninspectable' || code === 'self-target') {
    return [name, ['x-strathon-block-reason', code]];
  }
  return [name];
}

export interface VerifyFacts {
  /** `weir <version>`. */
  readonly through: string;
  readonly agent: string;
  readonly identified_by: IdentifiedBy;
  readonly visibility: Visibility;
  readonly mode: Mode;
  readonly containment: string;
}

/** What `verify.weir.invalid` answers: proof of path, CA and identity in one request (product.md §9). */
export function verifyAnswer(facts: VerifyFacts): Answer {
  const { through, agent, identified_by, visibility, mode, containment } = facts;
  return answer(200, 'OK', { through, agent, identified_by, visibility, mode, containment }, undefined);
}
