import assert from 'node:assert/strict';
import { cpSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { connection, DAY, event, exchange, finding, grep, NOON, open, run, tempDir } from './help.ts';

/** Two days of two agents at two hosts, one of each rolled into history. */
async function filled(t: Parameters<typeof open>[0], dir: string) {
  const store = await open(t, dir);
  let sequence = 0;
  for (const at of [NOON - DAY, NOON]) {
    for (const agent of ['canary-agent-7f3', 'other']) {
      for (const host of ['canary-host-9c1.example', 'kept.example']) {
        const batch = [
          // Enough of them that compression does not hide the name, and a plain string column.
          ...Array.from({ length: 50 }, (_, i) =>
            exchange({ agent, host, startedAt: at + i, sni: host, target: `/${i}`, findings: [finding()] }),
          ),
          connection({ agent, host, openedAt: at }),
          event({ agent, host, at }),
          run({ agent, startedAt: at }),
          event({ kind: 'audit', agent, at, finding: finding({ message: `about ${agent} and ${host}.` }) }),
          event({ agent: 'third', at, finding: finding({ message: `claimed to be ${agent}` }) }),
        ];
        sequence += batch.length;
        await store.consume(batch, sequence);
      }
    }
  }
  await store.maintain(NOON);
  return store;
}

test('purge by agent: no file holds the name any more, everybody else is whole', async (t) => {
  const dir = tempDir(t);
  const store = await filled(t, dir);
  assert.ok(grep(dir, 'canary-agent-7f3').length > 0);
  const { rows, leftAside } = await store.purge({ agent: 'canary-agent-7f3' });
  assert.deepEqual(grep(dir, 'canary-agent-7f3'), []);
  assert.equal(rows['exchanges'], 200);
  assert.equal(rows['destinations'], 2);
  assert.equal(rows['runs'], 4);
  assert.deepEqual(leftAside, []);
  assert.equal((await store.recent({ limit: 1000 })).length, 200);
  assert.deepEqual(
    (await store.loadBaseline()).agents.map((a) => [a.agent, a.requests]),
    [['other', 200]],
  );
  const cursor = (await store.cursor()) as number;
  await store.consume([exchange()], cursor + 1);
  assert.equal(await store.cursor(), cursor + 1);
  assert.deepEqual(store.problems(), []);
});

test('purge by host: SNI and sentences too', async (t) => {
  const dir = tempDir(t);
  const store = await filled(t, dir);
  const { rows } = await store.purge({ host: 'canary-host-9c1.example' });
  assert.deepEqual(grep(dir, 'canary-host-9c1'), []);
  assert.equal(rows['exchanges'], 200);
  assert.equal((await store.recent({ limit: 1000 })).length, 200);
  assert.equal((await store.loadBaseline()).agents.length, 2);
});

test('purge before a time, and of one agent at one host', async (t) => {
  const dir = tempDir(t);
  const store = await filled(t, dir);
  const { rows } = await store.purge({ agent: 'other', host: 'kept.example', before: NOON });
  assert.equal(rows['exchanges'], 50);
  assert.equal((await store.purge({ before: NOON })).rows['exchanges'], 150);
  assert.deepEqual(
    (await store.recent({ limit: 1000 })).filter((r) => r.startedAt < NOON),
    [],
  );
  assert.equal((await store.recent({ limit: 1000 })).length, 200);
});

test('purge of nothing is refused; what stands aside is named; odd names harm nobody', async (t) => {
  const dir = tempDir(t);
  const store = await filled(t, dir);
  await assert.rejects(store.purge({}), /needs an agent, a host or a time/);
  const aside = path.join(dir, 'weir.duckdb.corrupt-20260101T000000Z');
  writeFileSync(aside, 'x');
  const odd = await store.purge({ agent: "__proto__' OR true --" });
  assert.deepEqual(
    Object.values(odd.rows).reduce((a, b) => a + b, 0),
    0,
  );
  assert.deepEqual(odd.leftAside, [aside]);
  assert.equal((await store.recent({ limit: 1000 })).length, 400);
});

test('rows DuckDB put aside for want of memory outlive neither a purge nor a killed process', async (t) => {
  const dir = tempDir(t);
  const store = await open(t, dir, { flushMs: 0, memoryLimitMb: 40 });
  const aside = path.join(dir, 'weir.duckdb.tmp');
  const filler = 'x'.repeat(900);
  for (let sequence = 4096; grep(dir, 'canary-path').every((file) => !file.startsWith(aside)); sequence += 4096) {
    assert.ok(sequence < 100_000, 'memory was enough for every row');
    const batch = Array.from({ length: 4096 }, (_, i) => exchange({ agent: 'a', target: `/canary-path${i}${filler}` }));
    await store.consume(batch, sequence);
  }
  // What a kill would leave.
  cpSync(aside, path.join(dir, 'left'), { recursive: true });
  await store.purge({ agent: 'a' });
  await store.close(5000);
  renameSync(path.join(dir, 'left'), aside);
  writeFileSync(path.join(aside, 'not-of-duckdb'), 'kept');
  assert.notDeepEqual(grep(dir, 'canary-path'), []);
  await open(t, dir);
  assert.deepEqual(grep(dir, 'canary-path'), []);
  assert.deepEqual(readdirSync(aside), ['not-of-duckdb']);
});
