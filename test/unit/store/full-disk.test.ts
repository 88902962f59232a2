import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync, rmSync, writeSync } from 'node:fs';
import * as path from 'node:path';
import { type TestContext, test } from 'node:test';
import { openStore } from '../../../src/store/database.ts';
import { StoreError } from '../../../src/store/error.ts';
import { createTable, META_DDL, TABLES } from '../../../src/store/schema.ts';
import { openSession } from '../../../src/store/session.ts';
import { smallDisk } from '../../support/disk.ts';
import { edit, exchange, open, options, stat, tempDir } from './help.ts';

const CHILD = path.join(import.meta.dirname, 'child.ts');

/** What a child said and how it ended: a process that DuckDB aborts ends with SIGABRT. */
class Said {
  readonly ended: Promise<string>;
  text = '';
  gone = false;
  constructor(child: ChildProcess) {
    child.stdout?.on('data', (data: Buffer) => {
      this.text += data;
    });
    let complaint = '';
    child.stderr?.on('data', (data: Buffer) => {
      complaint += data;
    });
    this.ended = once(child, 'close').then(([code, signal]) => {
      this.gone = true;
      return `${signal ?? code}: ${complaint.slice(0, 2000)}`;
    });
  }
  last(): { readonly kept: number; readonly failed: number; readonly held: number } {
    const line = this.text.split('\n').at(-2);
    return line === undefined ? { kept: 0, failed: 0, held: 0 } : JSON.parse(line);
  }
}

/** Every record up to the cursor is there once, in the rows as in the sums. */
async function assertWhole(t: TestContext, dir: string, held: number): Promise<void> {
  const store = await open(t, dir);
  assert.deepEqual(store.problems(), []);
  assert.equal(await store.cursor(), held);
  assert.equal((await store.summary()).rows.exchanges, held);
  const [agent] = (await store.loadBaseline()).agents;
  assert.equal(agent?.requests, held);
  assert.equal(agent?.destinations.length, 7);
  assert.equal(
    agent?.destinations.reduce((sum, d) => sum + d.count, 0),
    held,
  );
}

test('a log that cannot be flushed at the end of a commit is an error, not the end of the process', {
  timeout: 60_000,
}, async (t) => {
  const dir = tempDir(t);
  // EFBIG where a full disk has ENOSPC, but nothing can see it coming. Blocks of 1 KiB in bash.
  const child = spawn('bash', ['-c', 'ulimit -f 1024; exec "$0" "$@"', process.execPath, CHILD, 'limited', dir], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = new Said(child);
  assert.equal(await said.ended, '0: ');
  const told = JSON.parse(said.text) as { held: number; cursor: number; refused: string };
  assert.match(told.refused, /Failed to commit.*File too large/);
  assert.ok(told.held > 1500);
  assert.equal(told.cursor, told.held);
  await assertWhole(t, dir, told.held);
});

test('another program that fills the disk and frees it again while rows are written', {
  timeout: 60_000,
}, async (t) => {
  const disk = smallDisk(t);
  if (disk === undefined) return t.skip('cannot mount a tmpfs here (needs root on Linux)');
  const dir = path.join(disk, 'state');
  const child = spawn(process.execPath, [CHILD, 'compete', dir], { stdio: ['pipe', 'pipe', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const said = new Said(child);
  const filler = new Filler(disk);
  const deadline = Date.now() + 30_000;
  const until = async (happened: () => boolean, meanwhile: () => void): Promise<void> => {
    while (!said.gone && !happened() && Date.now() < deadline) {
      meanwhile();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  };
  for (let round = 0; round < 25; round++) {
    const { kept, failed } = said.last();
    const pause = (): void => undefined;
    await until(() => said.last().kept >= kept + 3, pause);
    // The bites are of different sizes, so that the disk is full at another point of a commit each time.
    await until(
      () => said.last().failed >= failed + 3,
      () => filler.take((16 + round) << 13, 4096),
    );
    filler.free();
  }
  child.stdin?.end();
  assert.equal(await said.ended, '0: ');
  const { failed, kept, held } = said.last();
  assert.ok(failed >= 75 && kept >= 75, said.text.slice(-200));
  await assertWhole(t, dir, held);
});

test('no room for a new file: said, nothing left behind, made when there is room', async (t) => {
  const disk = smallDisk(t);
  if (disk === undefined) return t.skip('cannot mount a tmpfs here (needs root on Linux)');
  const dir = path.join(disk, 'state');
  const filler = new Filler(disk);
  filler.take(7 << 20, 4096);
  filler.take(Number.POSITIVE_INFINITY, 4096);
  await assert.rejects(
    openStore(options(dir)),
    (e) => e instanceof StoreError && e.reason === 'unwritable' && /No space left on device/.test(e.message),
  );
  assert.ok(!existsSync(path.join(dir, 'weir.duckdb')));
  filler.free();
  const store = await open(t, dir);
  await store.consume([exchange()], 1);
  assert.deepEqual(store.problems(), []);
  assert.deepEqual(
    readdirSync(dir).filter((name) => name.includes('corrupt')),
    [],
  );
});

test('tables with a PRIMARY KEY lose it when they are opened, and nothing else', async (t) => {
  const dir = tempDir(t);
  const file = path.join(dir, 'weir.duckdb');
  await (await openStore(options(dir))).close(1000);
  const old = await openSession({ file, directories: [dir], memoryLimitMb: 256, threads: 1 });
  const keys = new Map([
    ['meta', 'key'],
    ['destinations', 'agent, host, port'],
    ['agents', 'agent'],
  ]);
  await old.run('CREATE TEMP TABLE kept AS FROM meta');
  for (const [name, columns] of keys) {
    const own = TABLES.find((table) => table.name === name);
    const ddl = own === undefined ? META_DDL : createTable(own);
    await old.run(`DROP TABLE ${name}`);
    await old.run(ddl.replace(/\)$/, `, PRIMARY KEY (${columns}))`));
  }
  await old.run('INSERT INTO meta FROM kept');
  await old.run("INSERT INTO agents VALUES ('researcher', now(), now(), 3, NULL, true)");
  await old.run(
    `INSERT INTO destinations VALUES ('researcher', 'h', 443, now(), now(), 3, 1, 2, ['GET'], 'accepted', NULL, NULL)`,
  );
  old.close();
  const store = await open(t, dir);
  assert.deepEqual(store.problems(), []);
  await store.consume([exchange({ host: 'h', method: 'PUT' }), edit('accept', [stat('other')])], 2);
  const [agent] = (await store.loadBaseline()).agents;
  assert.deepEqual([agent?.requests, agent?.locked], [4, true]);
  assert.deepEqual(
    agent?.destinations.map((d) => [d.host, d.count, d.methods.join(), d.status]),
    [
      ['h', 4, 'GET,PUT', 'accepted'],
      ['other', 1, 'GET', 'accepted'],
    ],
  );
  await store.close(1000);
  const after = await openSession({ file, directories: [dir], memoryLimitMb: 256, threads: 1, readOnly: true });
  t.after(() => after.close());
  const constraints = await after.all('SELECT DISTINCT constraint_type FROM duckdb_constraints()');
  assert.deepEqual(constraints, [['NOT NULL']]);
});

/** Another program on the same disk. */
class Filler {
  readonly #disk: string;
  readonly #files: string[] = [];
  constructor(disk: string) {
    this.#disk = disk;
  }
  /** Takes up to `bytes` in pieces of `piece` bytes; what does not fit as a whole piece is left. */
  take(bytes: number, piece: number): void {
    const file = path.join(this.#disk, `filler-${this.#files.length}`);
    this.#files.push(file);
    const fd = openSync(file, 'w');
    try {
      for (let taken = 0; taken < bytes; taken += piece) writeSync(fd, Buffer.alloc(piece));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    } finally {
      closeSync(fd);
    }
  }
  free(): void {
    for (const file of this.#files.splice(0)) rmSync(file, { force: true });
  }
}
