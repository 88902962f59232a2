import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, test } from 'node:test';
import type { Cli } from '../../../src/cli/context.ts';
import { replayed } from '../../../src/cli/preflight.ts';
import { preflightLines, raiseMode, rememberMode } from '../../../src/cli/raise.ts';
import { startFailure } from '../../../src/cli/start-failure.ts';
import { defaultConfig } from '../../../src/config/load.ts';
import { openStore } from '../../../src/store/database.ts';
import { exchange, options } from '../store/help.ts';
import { fakeCollector, tempDir, weir } from './world.ts';

const dir = tempDir();
after(() => rmSync(dir, { recursive: true, force: true }));
mkdirSync(join(dir, 'private'));
const configFor = (mode: 'monitor' | 'redact' | 'enforce') =>
  defaultConfig({ mode, state_dir: dir, store: { path: join(dir, 'weir.duckdb') } });

/** A context that notes what is said; on a terminal when an answer is given. */
function console_(answer?: string) {
  const notes: string[] = [];
  const stdin = Object.assign(new PassThrough(), { isTTY: answer !== undefined });
  if (answer !== undefined) stdin.write(`${answer}\n`);
  const stderr = Object.assign(new PassThrough(), { isTTY: answer !== undefined });
  stderr.resume();
  return { notes, cli: { env: {}, stdin, stderr, note: (text: string) => notes.push(text) } as unknown as Cli };
}

test('raising the mode shows the preflight; without a terminal it proceeds', async () => {
  rememberMode(configFor('monitor'));
  assert.equal(readFileSync(join(dir, 'private/last-mode'), 'utf8'), 'monitor\n');
  const { cli, notes } = console_();
  await raiseMode(cli, configFor('enforce'));
  assert.equal(notes.length, 1);
  assert.match(notes[0] ?? '', /^monitor → enforce: of 0 requests in the last 7 d 0 h, 0 would have been stopped\./);
  assert.match(notes[0] ?? '', /enforce is cooperative here: an agent can leave by not using the proxy/);
});

test('the preflight replays the last week under the rules that are about to start', async () => {
  const own = tempDir();
  after(() => rmSync(own, { recursive: true, force: true }));
  mkdirSync(join(own, 'private'));
  const at = { state_dir: own, store: { path: join(own, 'weir.duckdb') } };
  rememberMode(defaultConfig({ mode: 'monitor', ...at }));
  const store = await openStore(options(own));
  const records = ['known.example', 'known.example', 'other.example'].map((host) =>
    exchange({ host, startedAt: Date.now() - 3_600_000 }),
  );
  await store.consume(records, records.length);
  await store.close(1000);
  const { cli, notes } = console_();
  // A list that was not there when the rows were written.
  const lists = { destinations: { allowed: ['known.example'] } };
  await raiseMode(cli, defaultConfig({ mode: 'enforce', ...at, ...lists }));
  assert.match(notes[0] ?? '', /of 3 requests in the last 7 d 0 h, 1 would have been stopped\./);
  assert.match(notes[0] ?? '', /1 × researcher → other\.example:443 \(destination-not-allowed\)/);
});

test('a preflight looks at the latest, or as long as it may, and says so', async () => {
  const own = tempDir();
  after(() => rmSync(own, { recursive: true, force: true }));
  const store = await openStore(options(own));
  const hosts = ['a.example', 'b.example', 'c.example', 'd.example'];
  const records = hosts.map((host, i) => exchange({ host, startedAt: Date.now() - (10 - i) * 3_600_000 }));
  await store.consume(records, records.length);
  await store.close(1000);
  const config = defaultConfig({ mode: 'enforce', state_dir: own, destinations: { blocked: hosts } });
  const source = { stateDir: own, directFile: join(own, 'weir.duckdb') };
  const of = (most: number, ms: number) => replayed(source, config, {}, undefined, { most, ms });
  const all = await of(10, 60_000);
  assert.deepEqual([all.exchanges, all.wouldLose, all.partial], [4, 4, undefined]);
  const latest = await of(2, 60_000);
  assert.deepEqual([latest.exchanges, latest.wouldLose, latest.partial], [2, 2, true]);
  assert.deepEqual(
    new Set(latest.examples.map(({ destination }) => destination)),
    new Set(['c.example:443', 'd.example:443']),
  );
  const short = await of(10, -1);
  assert.deepEqual([short.exchanges, short.partial], [0, true]);
  const preflight = { from: 'monitor', to: 'enforce', containment: 'network', ...latest } as const;
  assert.match(preflightLines(preflight)[0] ?? '', /only the latest were looked at: weir replay looks at all of them/);
});

test('on a terminal it asks, and anything but yes changes nothing', async () => {
  await assert.rejects(raiseMode(console_('n').cli, configFor('enforce')), /^CliError: nothing was changed\.$/);
  await assert.rejects(raiseMode(console_('').cli, configFor('enforce')), /nothing was changed/);
  await raiseMode(console_('y').cli, configFor('enforce'));
});

test('the same or a lower mode, and a first start, say nothing', async () => {
  rememberMode(configFor('enforce'));
  for (const mode of ['monitor', 'redact', 'enforce'] as const) {
    const { cli, notes } = console_();
    await raiseMode(cli, configFor(mode));
    assert.deepEqual(notes, []);
  }
  rmSync(join(dir, 'private/last-mode'));
  const { cli, notes } = console_();
  await raiseMode(cli, configFor('enforce'));
  assert.deepEqual(notes, []);
});

test('the preflight shows what would be lost, made printable', () => {
  const [text] = preflightLines({
    from: 'monitor',
    to: 'enforce',
    spanMs: 86_400_000,
    exchanges: 10,
    wouldLose: 3,
    examples: [{ agent: 'a', destination: 'x\u001b[2J.example', rule: 'r', count: 3 }],
    uninspectable: ['a', 'b', 'c', 'd', 'e', 'f'],
    containment: 'network',
  });
  assert.equal(
    text,
    'monitor → enforce: of 10 requests in the last 24 h 0 min, 3 would have been stopped.\n' +
      '  3 × a → x<U+001B>[2J.example (r)\n' +
      'tunnelled, so content rules cannot see inside: a, b, c, d, e, …',
  );
});

test('a taken port ends the start before anything is made', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => taken.once('listening', resolve));
  const { port } = taken.address() as { port: number };
  const fresh = join(dir, 'fresh');
  const ran = await weir(['start', '--listen', `127.0.0.1:${port}`, '--state-dir', fresh], { HOME: dir });
  taken.close();
  assert.equal(ran.code, 1);
  assert.match(ran.err, new RegExp(`^weir: port ${port} is in use`));
  assert.throws(() => readFileSync(fresh), /ENOENT/);
});

test('a second start in the same state directory names the first', async () => {
  const collector = await fakeCollector(dir);
  const ran = await weir(['start', '--listen', '127.0.0.1:0', '--state-dir', dir], { HOME: dir });
  await collector.stop();
  assert.equal(ran.code, 1);
  assert.match(
    ran.err,
    new RegExp(`^weir: another collector \\(pid ${process.pid}\\) is running with this state directory`),
  );
});

test('other failures to start are worded, the unknown is left as it is', async () => {
  const config = configFor('monitor');
  const word = async (fields: object) =>
    ((await startFailure(Object.assign(new Error('raw'), fields), config)) as Error).message;
  assert.match(
    await word({ code: 'EADDRNOTAVAIL', port: 80, address: '10.9.9.9' }),
    /^this machine has no address 10\.9\.9\.9/,
  );
  assert.match(
    await word({ code: 'EACCES', syscall: 'listen', port: 80 }),
    /^port 80 may not be used by .*: take one above 1023/,
  );
  assert.match(
    await word({ code: 'EACCES', syscall: 'mkdir', path: join(dir, 'private') }),
    /^state directory .* cannot be written\. Use --state-dir, or: sudo chown -R /,
  );
  assert.equal(await word({ code: 'EIO' }), 'raw');
});

test('a mistyped variable is said at start', async () => {
  const ran = await weir(['start', '--listen', 'x'], { HOME: dir, WEIR_MOED: 'enforce' });
  assert.equal(ran.code, 2);
  const checked = await weir(['check'], { HOME: dir, WEIR_MOED: 'enforce' });
  assert.match(checked.err, /^weir: WEIR_MOED means nothing to Weir/);
});
