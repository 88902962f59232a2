import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { McpFacts } from '../../../src/model/mcp.ts';
import { toolDeltas } from '../../../src/store/mcp-tools.ts';
import { openQuery } from '../../../src/store/query.ts';
import { exchange, NOON, open, tempDir } from './help.ts';

const facts = (more: Partial<McpFacts>): McpFacts => ({
  method: 'tools/call',
  messages: 1,
  transport: 'streamable-http',
  ...more,
});
const listed = facts({ method: 'tools/list', tools: ['search', 'fetch'] });
const called = facts({ tool: 'search' });

test('only closed messages count: what was listed, what was called, and how it ended', () => {
  const batch = [
    exchange({ mcp: listed, startedAt: NOON }),
    exchange({ mcp: called, startedAt: NOON + 1 }),
    exchange({ mcp: { ...called, toolError: true }, startedAt: NOON + 2 }),
    exchange({ mcp: { ...called, errorCode: -32602 }, startedAt: NOON + 3 }),
    exchange({ mcp: called, state: 'open', startedAt: NOON + 4 }),
    exchange({}),
  ];
  assert.deepEqual(
    toolDeltas(batch).map(({ tool, calls, errors, listed: at, lastSeen }) => [tool, calls, errors, at, lastSeen]),
    [
      ['search', 3, 2, NOON, NOON + 3],
      ['fetch', 0, 0, NOON, NOON],
    ],
  );
});

test('the inventory grows over batches and goes with its agent', async (t) => {
  const dir = tempDir(t);
  const store = await open(t, dir);
  await store.consume([exchange({ mcp: called, startedAt: NOON })], 1);
  await store.consume([exchange({ mcp: listed, startedAt: NOON + 60_000 })], 2);
  await store.consume([exchange({ mcp: { ...called, toolError: true }, startedAt: NOON + 1000 })], 3);
  await store.consume([exchange({ agent: 'other', mcp: called, startedAt: NOON })], 4);
  await store.purge({ agent: 'other' });
  await store.close(1000);
  const found = await openQuery(
    { stateDir: dir, directFile: `${dir}/weir.duckdb` },
    `SELECT agent, tool, calls::INT, errors::INT, epoch_ms(listed_at)::DOUBLE, epoch_ms(first_seen)::DOUBLE FROM mcp_tools ORDER BY tool`,
  );
  const rows = await found.next();
  await found.close();
  assert.deepEqual(rows, [
    ['researcher', 'fetch', 0, 0, NOON + 60_000, NOON + 60_000],
    ['researcher', 'search', 2, 1, NOON + 60_000, NOON],
  ]);
});
