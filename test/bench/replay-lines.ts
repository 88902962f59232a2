import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replayRows } from '../../src/cli/replay-run.ts';
import { createReplay } from '../../src/collector-replay.ts';
import { defaultConfig } from '../../src/config/load.ts';
import { parsePolicies } from '../../src/policy/parse.ts';
import { openStore } from '../../src/store/database.ts';
import { exchange, finding, options } from '../unit/store/help.ts';
import { seeded } from './month-agents.ts';
import type { Line } from './report.ts';

const DAY = 86_400_000;
const BATCH = 10_000;
const POLICIES = [
  {
    name: 'uploads',
    match_expression: 'attrs["http.request.method"] == "POST" && attrs["server.address"].endsWith(".example.net")',
  },
  { name: 'paths', match_expression: 'attrs["strathon.http.url"].contains("/v1/things/99")' },
  // Asked for every exchange by itself: none is like another.
  { name: 'each', match_expression: 'attrs["weir.exchange.id"].endsWith("00") && now.getHours() > 22' },
];

/** A week of so many exchanges, replayed under a list and policies that read every row, from the store to the summary. */
export async function replayLines(exchanges: number): Promise<readonly Line[]> {
  const dir = await mkdtemp(join(tmpdir(), 'weir-bench-replay-'));
  try {
    const now = Date.now();
    await fill(dir, exchanges, now);
    const config = defaultConfig({ state_dir: dir, destinations: { allowed: ['*.example.com', '*.example.net'] } });
    const rows = POLICIES.map((one) => ({ ...one, action: 'block' }));
    const { set } = parsePolicies({ policies: rows }, { name: 'bench', kind: 'file' });
    const began = performance.now();
    const candidate = await createReplay({ config, policies: set, mode: 'enforce' });
    const source = { stateDir: dir, directFile: 'weir.duckdb' };
    const summary = await replayRows(source, { candidate }, { since: now - 8 * DAY });
    const seconds = (performance.now() - began) / 1000;
    const { counts } = summary;
    return [
      {
        what: `weir replay, ${exchanges.toLocaleString('en-US')} exchanges`,
        value: seconds,
        unit: 's',
        target: exchanges === 1_000_000 ? 30 : Number.NaN,
        better: 'lower',
        note: `each asked by itself; ${counts['newly-stopped']} newly stopped, ${counts.undecidable} undecidable`,
      },
    ];
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

async function fill(dir: string, exchanges: number, now: number): Promise<void> {
  const store = await openStore(options(dir, { flushMs: 1000 }));
  const random = seeded(5);
  const some = (n: number): number => Math.floor(random() * n);
  const leak = [finding({ inspector: 'scan', rule: 'aws-access-key' })];
  for (let made = 0; made < exchanges; made += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, exchanges - made) }, () =>
      exchange({
        startedAt: now - some(7 * DAY),
        agent: `agent-${some(10)}`,
        host: `h${some(200)}.example.${some(3) === 0 ? 'net' : 'com'}`,
        method: some(3) === 0 ? 'POST' : 'GET',
        target: `/v1/things/${some(100_000)}${some(4) === 0 ? '?q=…' : ''}`,
        ...(some(50) === 0 ? { findings: leak, verdict: 'block', would: 'block' } : {}),
      }),
    );
    await store.consume(batch, made + batch.length);
  }
  await store.close(60_000);
}
