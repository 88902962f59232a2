import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Consumer } from '../../../src/model/ports.ts';
import type { ExchangeRecord, WeirRecord } from '../../../src/model/record.ts';
import { isSpan } from '../../../src/record/segment.ts';

export function scratch(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'weir-record-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return join(directory, 'journal');
}

export interface Logged {
  readonly level: string;
  readonly message: string;
}
export function logger(): { readonly lines: Logged[]; readonly log: (level: string, message: string) => void } {
  const lines: Logged[] = [];
  return { lines, log: (level, message) => void lines.push({ level, message }) };
}

/** A consumer that remembers what it got; `fail` makes it refuse. */
export function collecting(name = 'otlp-traces') {
  const records: WeirRecord[] = [];
  const state = { fail: false, calls: 0, closed: false, gate: undefined as Promise<void> | undefined };
  const consumer: Consumer = {
    name,
    async consume(batch) {
      state.calls++;
      await state.gate;
      if (state.fail) throw new Error('refused');
      records.push(...batch);
      return { accepted: batch.length, sampledOut: 0, dropped: {} };
    },
    async close() {
      state.closed = true;
    },
  };
  return { consumer, records, state, ids: () => records.filter(isSpan).map((record) => (record as ExchangeRecord).id) };
}

export async function until(condition: () => boolean, what: string, ms = 5000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
