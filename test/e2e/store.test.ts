import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import type { Readiness } from '../../src/model/admin.ts';
import { openStore } from '../../src/store/database.ts';
import { createAuthority } from '../support/certs.ts';
import { command } from '../support/command.ts';
import { drive } from '../support/load.ts';
import { dial } from '../support/origins.ts';
import { settled } from '../support/recorded.ts';
import { ask, claim, closedPort, obedientOrigin, peerOf } from '../support/watched.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';
import { exchange, finding } from '../unit/store/help.ts';

const DAY = 86_400_000;

function tempDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'weir-store-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

async function starter(t: TestContext, stateDir = tempDir(t)) {
  const origin = await obedientOrigin(createAuthority().issue(['plain.test']));
  t.after(origin.close);
  const start = async (config: Record<string, unknown> = {}): Promise<Weir> => {
    const weir = await startWeir({
      stateDir,
      config: {
        upstream: { resolve: { '*.test': `127.0.0.1:${origin.plainPort}` } },
        store: { min_free_bytes: 0 },
        ...config,
      },
    });
    t.after(weir.stop);
    return weir;
  };
  return { stateDir, start };
}

/** Another tool with the file. */
async function withFile(file: string, ...statements: readonly string[]): Promise<void> {
  const instance = await DuckDBInstance.create(file);
  const connection = await instance.connect();
  for (const statement of statements) await connection.run(statement);
  connection.closeSync();
  instance.closeSync();
}

/** Writes rows of former days with the store itself, as a collector that ran then would have. */
async function oldRows(stateDir: string, days: readonly number[], roll: boolean): Promise<void> {
  const store = await openStore({
    dir: stateDir,
    path: 'weir.duckdb',
    retentionDays: 30,
    maxBytes: 0,
    minFreeBytes: 0,
    flushMs: 1,
    log: { warn: () => undefined },
  });
  await store.consume(
    days.map((age) =>
      exchange({
        startedAt: Date.now() - age * DAY,
        agent: 'historian',
        host: `day-${age}.test`,
        findings: [finding()],
      }),
    ),
    days.length,
  );
  if (roll) await store.maintain(Date.now());
  await store.close(2000);
}

async function hostsOf(weir: Weir, agent: string): Promise<string[]> {
  const rows = await weir.query(`SELECT host FROM exchanges WHERE agent = '${agent}' ORDER BY host`);
  return rows.map((row) => String(row['host']));
}

const PROMISED = {
  exchanges:
    'id connection_id started_at agent method scheme host port tenant path credential_fp status request_bytes response_bytes duration_ms visibility mode verdict action would_block first_seen ref trace_id span_id',
  connections: 'id agent host port visibility exchanges',
  findings: 'id exchange_id agent host rule severity message',
  destinations: 'agent host port first_seen last_seen count request_bytes response_bytes methods status',
  agents: 'agent first_seen last_seen requests',
} as const;

describe('store: weir query', () => {
  it('has the promised tables, columns and types, running and stopped', { timeout: 60_000 }, async (t) => {
    const { start, stateDir } = await starter(t);
    const weir = await start();
    await ask(weir.port, 'reader', 'http://plain.test/ok');
    const peer = peerOf(await dial(weir.port));
    await peer.send(`CONNECT plain.test:81 HTTP/1.1\r\nHost: plain.test:81\r\n${claim('reader')}\r\n`);
    await peer.until('\r\n\r\n');
    await peer.send('SSH-2.0-x\r\n');
    await peer.ended();
    peer.destroy();
    await settled(weir);
    const types = new Map<string, string>();
    for (const [table, columns] of Object.entries(PROMISED)) {
      const found = await weir.query(`DESCRIBE SELECT * FROM ${table}`);
      for (const row of found) types.set(`${table}.${row['column_name']}`, String(row['column_type']));
      for (const column of columns.split(' ')) assert.ok(types.has(`${table}.${column}`), `${table}.${column}`);
    }
    assert.equal(types.get('exchanges.started_at'), 'TIMESTAMP WITH TIME ZONE');
    assert.equal(types.get('exchanges.duration_ms'), 'DOUBLE');
    const all = 'SELECT * FROM exchanges ORDER BY id, path';
    const running = await weir.query(all);
    assert.equal(running.length, 2);
    for (const row of running) {
      assert.match(String(row['id']), /^[0-9A-HJKMNP-TV-Z]{26}$/);
      assert.equal(row['ref'], String(row['id']).slice(-10));
      assert.match(String(row['started_at']), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      const [connection] = await weir.query(`SELECT * FROM connections WHERE id = '${row['connection_id']}'`);
      assert.equal(connection?.['agent'], 'reader');
    }
    assert.equal(new Set(running.map((row) => row['ref'])).size, 2);
    const [learned] = await weir.query("SELECT * FROM destinations WHERE host = 'plain.test' AND port = 80");
    assert.deepEqual([learned?.['agent'], learned?.['count'], learned?.['methods']], ['reader', 1, ['GET']]);
    await weir.stop();
    assert.deepEqual(await weir.query(all), running);
    const csv = await weir.cli(['query', '--format', 'csv', 'SELECT agent, method FROM exchanges ORDER BY method']);
    assert.equal(csv.stdout.replaceAll('\r', ''), 'agent,method\nreader,CONNECT\nreader,GET\n');
    const broken = await weir.cli(['query', 'SELECT nothing FROM nowhere']);
    assert.notEqual(broken.code, 0);
    assert.match(broken.stderr, /nowhere/);
    assert.ok(statSync(join(stateDir, 'weir.duckdb')).size > 0);
  });

  it('runs beside the collector: whatever it says, the stored rows stay', { timeout: 60_000 }, async (t) => {
    const { start } = await starter(t);
    const weir = await start();
    await drive(weir, { count: 20 });
    await settled(weir);
    for (const sql of [
      'DELETE FROM exchanges',
      'DROP TABLE exchanges',
      'DROP VIEW exchanges',
      'CREATE TABLE x AS SELECT 1',
    ]) {
      await weir.cli(['query', sql]);
    }
    assert.equal((await weir.query('SELECT id FROM exchanges')).length, 20);
    const { body } = await weir.admin('/query', 'POST', { sql: 'SELECT 1' });
    assert.ok(!body.includes('"1"'), 'the admin API has no SQL');
    assert.equal((await weir.admin('/query', 'POST', { sql: 'SELECT 1' })).status, 404);
  });
});

describe('store: history', () => {
  it('closed days are Parquet other tools read; weir query and weir logs see both', { timeout: 60_000 }, async (t) => {
    const { start, stateDir } = await starter(t);
    await oldRows(stateDir, [1, 3, 3, 10], true);
    const files = readdirSync(join(stateDir, 'history'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.parquet'),
    );
    const days = new Set(files.map((name) => /dt=(\d{4}-\d\d-\d\d)\.parquet$/.exec(name)?.[1]));
    assert.ok(files.length >= 3 && !days.has(undefined), JSON.stringify(files));
    assert.ok(
      files.some((name) => /^dt=[\d-]+\.parquet$/.test(name)),
      'history/dt=YYYY-MM-DD.parquet is the exchanges',
    );
    const weir = await start();
    await ask(weir.port, 'historian', 'http://today.test/ok');
    await settled(weir);
    const expected = ['day-1.test', 'day-10.test', 'day-3.test', 'day-3.test', 'today.test'];
    assert.deepEqual(await hostsOf(weir, 'historian'), expected);
    const [count] = await weir.query("SELECT count(*)::INTEGER AS n FROM findings WHERE agent = 'historian'");
    assert.ok(Number(count?.['n']) >= 4);
    const direct = await weir.query(
      `SELECT DISTINCT host FROM read_parquet('${stateDir}/history/dt=*.parquet') ORDER BY 1`,
    );
    assert.deepEqual(
      direct.map((row) => row['host']),
      ['day-1.test', 'day-10.test', 'day-3.test'],
    );
    await weir.stop();
    assert.deepEqual(await hostsOf(weir, 'historian'), expected);
  });

  it('nobody else may read what is recorded', { timeout: 60_000 }, async (t) => {
    const { start, stateDir } = await starter(t);
    await oldRows(stateDir, [1, 3], true);
    const weir = await start();
    await drive(weir, { count: 5 });
    await settled(weir);
    await weir.query('SELECT 1');
    const open: string[] = [];
    for (const name of readdirSync(stateDir, { recursive: true, encoding: 'utf8' })) {
      // The one directory an example mounts, and the public copy of the CA.
      if (name === 'public' || name.startsWith('public/') || name === 'ca.pem') continue;
      const { mode } = statSync(join(stateDir, name));
      if ((mode & 0o077) !== 0) open.push(`${name} ${(mode & 0o777).toString(8)}`);
    }
    assert.deepEqual(open, []);
  });
});

describe('store: files that cannot be used', () => {
  it('a corrupt database is moved aside and said at start, in status and in readyz; traffic goes on', {
    timeout: 60_000,
  }, async (t) => {
    const { start, stateDir } = await starter(t);
    const file = join(stateDir, 'weir.duckdb');
    await (await start()).stop();
    const bytes = readFileSync(file);
    bytes.fill(0x5a, 4096);
    writeFileSync(file, bytes);
    const weir = await start();
    assert.equal((await drive(weir, { count: 10 })).length, 10);
    await settled(weir);
    const aside = readdirSync(stateDir).filter((name) => name.startsWith('weir.duckdb.corrupt-'));
    assert.equal(aside.length, 1);
    assert.ok(readFileSync(join(stateDir, aside[0] ?? '')).equals(bytes), 'nothing of it is lost');
    const said = (text: string): boolean => text.includes(aside[0] ?? '?') && /moved/.test(text);
    assert.ok(said(weir.logs()), weir.logs());
    assert.ok(said(JSON.stringify((await weir.status()).problems)));
    const ready = await weir.admin('/readyz');
    assert.equal(ready.status, 200);
    assert.ok(said(JSON.stringify((JSON.parse(ready.body) as Readiness).problems)));
    assert.ok(said((await weir.cli(['status'])).stdout));
    assert.equal((await weir.query('SELECT id FROM exchanges')).length, 10);
  });

  for (const [what, content] of [
    ['a text file', Buffer.from('not a database at all, but a note somebody left here\n'.repeat(40))],
    ['an empty file', Buffer.alloc(0)],
    ['random bytes', Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7919) & 0xff))],
  ] as const) {
    it(`${what} in place of the database stops nothing`, { timeout: 60_000 }, async (t) => {
      const { start, stateDir } = await starter(t);
      writeFileSync(join(stateDir, 'weir.duckdb'), content);
      const weir = await start();
      await drive(weir, { count: 5 });
      await settled(weir);
      assert.equal((await weir.query('SELECT id FROM exchanges')).length, 5);
      const aside = readdirSync(stateDir).filter((name) => name.startsWith('weir.duckdb.corrupt-'));
      assert.equal(aside.length, content.length === 0 ? aside.length : 1);
    });
  }

  it('a file of a newer Weir is refused in one clear sentence and left as it is', { timeout: 60_000 }, async (t) => {
    const { start, stateDir } = await starter(t);
    const file = join(stateDir, 'weir.duckdb');
    await (await start()).stop();
    const { SCHEMA_VERSION } = await import('../../src/store/schema.ts');
    await withFile(file, "UPDATE meta SET value = '999' WHERE key = 'schema_version'", 'CHECKPOINT');
    const before = readFileSync(file);
    const weir = await start();
    assert.equal((await drive(weir, { count: 10 })).length, 10, 'traffic goes on');
    const sentence = /weir\.duckdb was written by a newer Weir \(schema version 999, this one knows \d+\)/;
    await eventually(async () => sentence.test(JSON.stringify((await weir.status()).problems)), 'status says so');
    assert.match(weir.logs(), sentence);
    assert.match((await weir.admin('/readyz')).body, sentence);
    const query = await weir.cli(['query', 'SELECT 1']);
    assert.notEqual(query.code, 0);
    assert.match(query.stderr, sentence);
    await weir.stop();
    const stopped = await weir.cli(['query', 'SELECT 1']);
    assert.notEqual(stopped.code, 0);
    assert.match(stopped.stderr, sentence);
    assert.ok(readFileSync(file).equals(before), 'the file is untouched');
    await withFile(file, `UPDATE meta SET value = '${SCHEMA_VERSION}' WHERE key = 'schema_version'`);
    const again = await start();
    await eventually(
      async () => (await again.query('SELECT id FROM exchanges')).length === 10,
      'the journal kept them',
    );
  });
});

describe('store: weir purge', () => {
  const filesWith = (directory: string, word: string): string[] =>
    readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) => {
      const path = join(directory, name);
      return statSync(path).isFile() && readFileSync(path).includes(word);
    });

  for (const how of ['--host', '--agent'] as const) {
    it(`${how}: nothing of it is left in any file, the rest is`, { timeout: 60_000 }, async (t) => {
      const { start, stateDir } = await starter(t);
      const word = how === '--host' ? 'eraseme-host.test' : 'eraseme-agent';
      const [agent, host] = how === '--host' ? ['keeper', word] : [word, 'plain.test'];
      await oldRows(stateDir, [3], true);
      // A collector that never answers, so that the journal still holds what is erased.
      const weir = await start({ telemetry: { endpoint: `http://127.0.0.1:${await closedPort()}` } });
      for (let n = 0; n < 5; n++) await ask(weir.port, agent, `http://${host}/ok/${n}`);
      await ask(weir.port, 'keeper', 'http://stays.test/ok');
      await eventually(async () => (await weir.query('SELECT id FROM exchanges')).length === 7, 'rows');
      assert.ok(filesWith(stateDir, word).length > 0, 'it is there before');
      const result = await weir.cli(['purge', how, word, '--yes', '--json']);
      assert.equal(result.code, 0, result.stderr);
      assert.ok((JSON.parse(result.stdout) as { rows: number }).rows >= 5);
      assert.deepEqual(filesWith(stateDir, word), []);
      const left = (await weir.query('SELECT host FROM exchanges')).map((row) => row['host']);
      assert.deepEqual(left.sort(), ['day-3.test', 'stays.test']);
      assert.ok(!(await weir.cli(['baseline', 'show'])).stdout.includes(word));
      const audits = await weir.query("SELECT actor, message FROM audit WHERE rule = 'purge'");
      assert.equal(audits.length, 1);
      // The books know of it.
      const { identity } = await weir.status();
      assert.equal(identity?.holds, true, JSON.stringify(identity));
      await weir.stop();
      assert.deepEqual(filesWith(stateDir, word), []);
    });
  }

  it('without a collector it erases from the files; the next start tells of it', { timeout: 60_000 }, async (t) => {
    const { start, stateDir } = await starter(t);
    const word = 'eraseme-agent';
    await oldRows(stateDir, [3], true);
    // A collector that never answers: what is not erased must go on waiting for it.
    const telemetry = { endpoint: `http://127.0.0.1:${await closedPort()}` };
    const weir = await start({ telemetry });
    for (let n = 0; n < 5; n++) await ask(weir.port, word, `http://plain.test/ok/${n}`);
    await ask(weir.port, 'keeper', 'http://stays.test/ok');
    await eventually(async () => (await weir.query('SELECT id FROM exchanges')).length === 7, 'rows');
    await weir.stop();
    const times = { since: Date.now(), until: Date.now() + 3_600_000 };
    const exceptions = [word, 'keeper'].map((agent) => ({
      ...{ kind: 'client', agent, subject: 't13d', reason: 'ALERT_UNKNOWN_CA' },
      ...times,
    }));
    writeFileSync(join(stateDir, 'exceptions.json'), JSON.stringify({ version: 1, exceptions }));
    const journal = join(stateDir, 'journal');
    assert.ok(filesWith(stateDir, word).length > 1 && filesWith(journal, word).length > 0, 'it is there before');
    const result = await weir.cli(['purge', '--agent', word, '--yes', '--json']);
    assert.equal(result.code, 0, result.stderr);
    assert.equal(result.stderr, '');
    assert.ok((JSON.parse(result.stdout) as { rows: number }).rows >= 5);
    assert.deepEqual(filesWith(stateDir, word), []);
    assert.ok(filesWith(journal, 'stays.test').length > 0, 'what is not erased still waits for export');
    assert.equal(filesWith(stateDir, 'keeper').includes('exceptions.json'), true);
    assert.ok(!readdirSync(stateDir).includes('weir.sock'));
    const again = await start({ telemetry });
    await eventually(async () => (await again.query("SELECT 1 FROM audit WHERE rule = 'purge'")).length === 1, 'audit');
    const [audit] = await again.query("SELECT actor, message FROM audit WHERE rule = 'purge'");
    assert.match(String(audit?.['actor']), /^cli /);
    assert.match(String(audit?.['message']), /^\d+ rows erased: of one agent \([0-9a-f]{8}\)$/);
    const left = (await again.query('SELECT host FROM exchanges')).map((row) => row['host']);
    assert.deepEqual(left.sort(), ['day-3.test', 'stays.test']);
    const { identity } = await again.status();
    assert.equal(identity?.holds, true, JSON.stringify(identity));
    await again.stop();
    const all = await again.cli(['purge', '--all', '--yes']);
    assert.equal(all.code, 0, all.stderr);
    assert.deepEqual(filesWith(stateDir, 'stays.test'), []);
  });

  it('without a collector and without a record it says so and makes nothing', async (t) => {
    const stateDir = join(tempDir(t), 'state');
    const { code, stdout } = await command(['purge', '--all', '--yes', '--state-dir', stateDir]);
    assert.deepEqual([code, stdout], [0, `nothing is recorded in ${stateDir}\n`]);
    assert.ok(!existsSync(stateDir));
  });

  it('--before erases days of history whole', { timeout: 60_000 }, async (t) => {
    const { start, stateDir } = await starter(t);
    await oldRows(stateDir, [2, 9, 20], true);
    const weir = await start();
    assert.equal((await weir.cli(['purge', '--before', '5d', '--yes'])).code, 0);
    assert.deepEqual(await hostsOf(weir, 'historian'), ['day-2.test']);
    assert.deepEqual(filesWith(stateDir, 'day-9.test'), []);
    assert.deepEqual(filesWith(stateDir, 'day-20.test'), []);
  });
});
