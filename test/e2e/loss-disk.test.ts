import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { Readiness, StatusReport } from '../../src/model/admin.ts';
import { createAuthority } from '../support/certs.ts';
import { smallDisk } from '../support/disk.ts';
import { drive } from '../support/load.ts';
import { obedientOrigin, outage } from '../support/watched.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';

const PATIENT = { timeout: 60_000 };

async function starter(t: TestContext, stateDir: string) {
  const origin = await obedientOrigin(createAuthority().issue(['plain.test']));
  t.after(origin.close);
  const collector = await outage();
  t.after(collector.close);
  const start = async (config: Record<string, unknown> = {}): Promise<Weir> => {
    const weir = await startWeir({
      stateDir,
      config: {
        upstream: { resolve: { 'plain.test': `127.0.0.1:${origin.plainPort}` } },
        telemetry: { endpoint: `http://127.0.0.1:${collector.port}` },
        ...config,
      },
    });
    t.after(weir.stop);
    return weir;
  };
  return { start, collector };
}

function tempDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'weir-disk-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function rows(weir: Weir): Promise<number> {
  const [row] = await weir.query('SELECT count(*)::INTEGER AS n FROM exchanges');
  return Number(row?.['n']);
}

/** Waits until `count` spans were exported and checks that the books agree. */
function exported(weir: Weir, count: number): Promise<StatusReport> {
  return eventually(
    async () => {
      const status = await weir.status();
      const { identity } = status;
      if (identity === undefined) return undefined;
      assert.equal(identity.holds, true, JSON.stringify(identity));
      return identity.exported === count && identity.journalled === 0 && status;
    },
    `${count} spans are exported`,
    15_000,
  );
}

/** Another program that has the database open. */
async function lock(t: TestContext, file: string): Promise<{ readonly pid: number; release(): Promise<void> }> {
  const program = `import { DuckDBInstance } from '@duckdb/node-api';
    await DuckDBInstance.create(${JSON.stringify(file)});
    console.log('open');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: join(import.meta.dirname, '../..'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return {
    pid: child.pid ?? -1,
    async release() {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

describe('loss: traffic outlives its record', { concurrency: 3 }, () => {
  it('a database another program holds: said, spans go on, rows wait in the journal', PATIENT, async (t) => {
    const stateDir = tempDir(t);
    const { start } = await starter(t, stateDir);
    const first = await start();
    await drive(first, { count: 5 });
    await exported(first, 5);
    await first.stop();
    const holder = await lock(t, join(stateDir, 'weir.duckdb'));
    const weir = await start();
    assert.equal((await drive(weir, { count: 40, tag: 'locked' })).length, 40);
    const status = await exported(weir, 45);
    const sentence = `weir.duckdb is in use by process ${holder.pid}`;
    assert.ok(
      status.problems.some(({ message }) => message.includes(sentence)),
      JSON.stringify(status.problems),
    );
    assert.ok(weir.logs().includes(sentence));
    const ready = JSON.parse((await weir.admin('/readyz')).body) as Readiness;
    assert.equal(ready.ok, true, 'the listener accepts');
    assert.ok(ready.problems.some(({ message }) => message.includes(sentence)));
    const duckdb = status.consumers.find(({ name }) => name === 'duckdb');
    assert.ok((duckdb?.journalled ?? 0) >= 40);
    await holder.release();
    await weir.stop();
    const again = await start();
    await eventually(async () => (await rows(again)) === 45, 'all rows');
    const { problems } = await again.status();
    assert.deepEqual(
      problems.filter(({ message }) => message.includes('duckdb')),
      [],
    );
  });

  it('a database another program lets go of is opened while Weir runs', PATIENT, async (t) => {
    const stateDir = tempDir(t);
    const { start } = await starter(t, stateDir);
    await (await start()).stop();
    const holder = await lock(t, join(stateDir, 'weir.duckdb'));
    const weir = await start();
    await drive(weir, { count: 10 });
    await exported(weir, 10);
    await holder.release();
    // Tried again every half minute.
    await eventually(async () => (await rows(weir).catch(() => 0)) === 10, 'the rows', 40_000);
    await eventually(
      async () => !JSON.stringify((await weir.status()).problems).includes('in use'),
      'the problem is gone',
    );
  });

  it('a full disk: traffic goes on, and so do records when there is room again', PATIENT, async (t) => {
    const disk = smallDisk(t);
    if (disk === undefined) return t.skip('cannot mount a tmpfs here (needs root on Linux)');
    const { start } = await starter(t, disk);
    const weir = await start({ store: { min_free_bytes: 0 } });
    await drive(weir, { count: 20 });
    await exported(weir, 20);
    await eventually(async () => (await rows(weir)) === 20, 'rows');
    fill(disk);
    const during = await drive(weir, { count: 500, tag: 'full' });
    assert.equal(during.length, 500);
    assert.ok(during.every(({ status }) => status === 200));
    const full = await exported(weir, 520);
    assert.ok(full.problems.length > 0, 'status says so');
    assert.deepEqual(full.identity?.dropped, {});
    rmSync(join(disk, 'filler'));
    await drive(weir, { count: 20, tag: 'after' });
    await exported(weir, 540);
    await eventually(async () => (await rows(weir).catch(() => 0)) === 540, 'all rows', 40_000);
    await eventually(
      async () => !JSON.stringify((await weir.status()).problems).includes('journal'),
      'the journal is written again',
    );
    await weir.stop();
    const again = await start({ store: { min_free_bytes: 0 } });
    const { identity } = await exported(again, 540);
    assert.equal(identity?.started, 540);
  });

  it('below min_free_bytes only findings and aggregates are kept, and it is said', PATIENT, async (t) => {
    const { start } = await starter(t, tempDir(t));
    const weir = await start({
      store: { min_free_bytes: Number.MAX_SAFE_INTEGER },
      agents: { loader: { allowed_domains: ['elsewhere.test'] } },
    });
    await drive(weir, { count: 10 });
    const status = await exported(weir, 10);
    await eventually(
      async () => (await weir.query("SELECT id FROM findings WHERE rule = 'destination-not-allowed'")).length === 10,
      'findings',
    );
    assert.equal(await rows(weir), 0);
    const again = await eventually(async () => {
      const now = await weir.status();
      return now.problems.some(({ message }) => message.includes('min_free_bytes')) && now;
    }, 'the problem');
    const duckdb = again.consumers.find(({ name }) => name === 'duckdb');
    assert.equal(
      Object.values(duckdb?.dropped ?? {}).reduce((sum, n) => sum + n, 0),
      10,
    );
    assert.deepEqual(status.identity?.dropped, {}, 'no span is lost');
  });

  it('store.required: what cannot be recorded is refused until it can be', PATIENT, async (t) => {
    const disk = smallDisk(t);
    if (disk === undefined) return t.skip('cannot mount a tmpfs here (needs root on Linux)');
    const { start } = await starter(t, disk);
    const weir = await start({ store: { min_free_bytes: 0, required: true } });
    assert.ok((await drive(weir, { count: 10 })).every(({ status }) => status === 200));
    fill(disk);
    await eventually(
      async () => (await drive(weir, { count: 50, tag: 'full' })).some(({ status }) => status === 503),
      'traffic is refused',
      20_000,
    );
    const ready = await weir.admin('/readyz');
    assert.equal(ready.status, 503);
    assert.match(ready.body, /store\.required: traffic is refused while rows cannot be kept/);
    rmSync(join(disk, 'filler'));
    await eventually(
      async () => (await drive(weir, { count: 1, tag: 'after' })).every(({ status }) => status === 200),
      'traffic goes on',
      20_000,
    );
    assert.equal((await weir.admin('/readyz')).status, 200);
    const [refused] = await weir.query(
      "SELECT count(*)::INTEGER AS n FROM exchanges WHERE error_type = 'not-recorded'",
    );
    assert.ok(Number(refused?.['n']) > 0, 'refusals are recorded too, once there is room');
  });

  it('a kill on a full disk loses nothing that was exported and starts again', PATIENT, async (t) => {
    const disk = smallDisk(t);
    if (disk === undefined) return t.skip('cannot mount a tmpfs here (needs root on Linux)');
    const { start } = await starter(t, disk);
    const weir = await start({ store: { min_free_bytes: 0 } });
    await drive(weir, { count: 20 });
    await exported(weir, 20);
    fill(disk);
    await drive(weir, { count: 100, tag: 'full' });
    await exported(weir, 120);
    weir.kill('SIGKILL');
    await weir.exited;
    rmSync(join(disk, 'filler'));
    const again = await start({ store: { min_free_bytes: 0 } });
    assert.equal((await drive(again, { count: 20, tag: 'again' })).length, 20);
    const identity = await eventually(async () => {
      const now = (await again.status()).identity;
      return now !== undefined && now.journalled === 0 && now.exported >= 40 && now;
    }, 'the books');
    assert.equal(identity.holds, true, JSON.stringify(identity));
  });
});

/** Weir writes at the same time: the last block is whoever's comes first. */
function fill(disk: string): void {
  const file = openSync(join(disk, 'filler'), 'w');
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  } finally {
    closeSync(file);
  }
}
