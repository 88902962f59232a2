import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as path from 'node:path';
import { test } from 'node:test';
import { openStore } from '../../../src/store/database.ts';
import { StoreError } from '../../../src/store/error.ts';
import { openQuery } from '../../../src/store/query.ts';
import { exchange, open, options, tempDir } from './help.ts';

const CHILD = path.join(import.meta.dirname, 'child.ts');

function start(verb: string, dir: string, ...more: string[]): ChildProcess {
  return spawn(process.execPath, [CHILD, verb, dir, ...more], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

test('kill -9 while writing, six times: nothing acknowledged is lost, nothing is there twice, aggregates agree', async (t) => {
  const dir = tempDir(t);
  let next = 1;
  for (let run = 0; run < 6; run++) {
    const child = start('write', dir, String(next));
    let acknowledged = 0;
    let text = '';
    let reports = 0;
    const enough = 5 + run * 9;
    await new Promise<void>((resolve, reject) => {
      child.on('exit', () => reject(new Error('the child ended by itself')));
      child.stdout?.on('data', (data: Buffer) => {
        text += data;
        const lines = text.split('\n');
        text = lines.pop() as string;
        for (const line of lines) acknowledged = Number(line);
        reports += lines.length;
        if (reports >= enough) resolve();
      });
    });
    child.removeAllListeners('exit');
    await kill(child);
    const store = await openStore(options(dir));
    assert.deepEqual(store.problems(), []);
    const cursor = (await store.cursor()) as number;
    assert.ok(cursor >= acknowledged, `cursor ${cursor} is behind ${acknowledged}`);
    const { agents } = await store.loadBaseline();
    await store.close(1000);
    const rows = await one(dir, 'SELECT count(*), count(DISTINCT path), max(path[2:]::BIGINT) FROM exchanges');
    assert.deepEqual(rows, [cursor, cursor, cursor]);
    assert.equal(agents[0]?.requests, cursor);
    assert.equal(
      agents[0]?.destinations.reduce((sum, d) => sum + d.count, 0),
      cursor,
    );
    next = cursor + 1;
  }
});

async function one(dir: string, sql: string): Promise<unknown> {
  const query = await openQuery({ stateDir: dir, directFile: path.join(dir, 'weir.duckdb') }, sql);
  try {
    return (await query.next())?.[0];
  } finally {
    await query.close();
  }
}

test('a file held by another process is said with its PID, for writing and for a query, and opens when that one is gone', async (t) => {
  const dir = tempDir(t);
  const child = start('hold', dir);
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  await assert.rejects(
    openStore(options(dir)),
    (e) =>
      e instanceof StoreError &&
      e.reason === 'locked' &&
      e.pid === child.pid &&
      e.message.includes(`process ${child.pid}`),
  );
  await assert.rejects(one(dir, 'SELECT 1'), new RegExp(`in use by process ${child.pid}`));
  await kill(child);
  const store = await open(t, dir);
  assert.equal(await store.cursor(), 1);
});

test('no space left: consume rejects, the file stays whole, the same batch goes in when there is space', {
  timeout: 30_000,
}, async (t) => {
  const dir = tempDir(t);
  // A file size limit (EFBIG) stands for a full disk: it needs no privileges. Blocks of 1 KiB in bash.
  const script = `
    import { openStore } from ${JSON.stringify(path.resolve(import.meta.dirname, '../../../src/store/database.ts'))};
    import { exchange, options } from ${JSON.stringify(path.join(import.meta.dirname, 'help.ts'))};
    const store = await openStore(options(${JSON.stringify(dir)}, { flushMs: 0 }));
    let n = 0, held = 0;
    try {
      for (;;) { const batch = Array.from({ length: 500 }, () => exchange({ target: '/' + ++n + 'x'.repeat(500) })); await store.consume(batch, n); held = n; }
    } catch (error) {
      await new Promise((r) => setTimeout(r, 50));
      console.log(JSON.stringify({ held, n, cursor: await store.cursor(), problems: store.problems() }));
      process.exit(0);
    }`;
  const child = spawn(
    'bash',
    ['-c', 'ulimit -f 4096; exec "$0" --input-type=module-typescript -e "$1"', process.execPath, script],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let out = '';
  child.stdout.on('data', (d: Buffer) => {
    out += d;
  });
  await once(child, 'exit');
  const told = JSON.parse(out) as { held: number; n: number; cursor: number; problems: string[] };
  assert.equal(told.cursor, told.held);
  assert.ok(told.n > told.held);
  assert.match(told.problems.join(), /cannot be stored, the journal keeps them/);
  const store = await open(t, dir);
  assert.deepEqual(store.problems(), []);
  assert.equal(await store.cursor(), told.held);
  assert.equal((await store.summary()).rows.exchanges, told.held);
  await store.consume([exchange()], told.held + 1);
});
