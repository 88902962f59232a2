import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { canWatchDirect } from '../../src/cli/direct-connections.ts';
import { createAuthority } from '../support/certs.ts';
import { listening } from '../support/origins.ts';
import { has, node, openPlace, printed, type RunPlace, type SimpleOrigin, simpleOrigin } from '../support/runs.ts';
import { eventually } from '../support/weir.ts';

const curl = !has('curl', '-V') && 'no curl';
/** Prints its proxy and CA file at once, then fetches every URL it is sent. */
const ASKER = `
  import { execFile } from 'node:child_process';
  import { createInterface } from 'node:readline';
  console.log(JSON.stringify({ proxy: process.env.HTTPS_PROXY, ca: process.env.SSL_CERT_FILE }));
  for await (const line of createInterface({ input: process.stdin })) {
    await new Promise((done) => execFile('curl', ['-sS', '--max-time', '10', line], (error, out, err) => {
      console.log(error ? 'failed ' + err.trim() : out); done();
    }));
  }`;

const authority = createAuthority();
const scratch = mkdtempSync(join(tmpdir(), 'weir-roots-'));
const roots = join(scratch, 'roots.pem');
let plain: SimpleOrigin;
let secure: SimpleOrigin;
let config: Record<string, unknown>;
const places: RunPlace[] = [];

before(async () => {
  plain = await simpleOrigin();
  secure = await simpleOrigin(authority.issue(['origin.test']));
  writeFileSync(roots, authority.cert);
  config = {
    upstream: { resolve: { 'plain.test': `127.0.0.1:${plain.port}`, 'origin.test': `127.0.0.1:${secure.port}` } },
  };
});

after(async () => {
  for (const place of places) await place.close();
  await plain.close();
  await secure.close();
  rmSync(scratch, { recursive: true, force: true });
});

async function newPlace(): Promise<RunPlace> {
  const place = await openPlace(config);
  places.push(place);
  return place;
}

test('ten runs at once from nothing share one collector, each with a port and an exit code of its own', async () => {
  const place = await newPlace();
  const program = `console.log(JSON.stringify(process.env.HTTP_PROXY)); process.stdin.resume(); process.stdin.on('end', () => process.exit(Number(process.argv[1])));`;
  const runs = Array.from({ length: 10 }, (_, i) =>
    place.run(node(program, String(i + 20)), { flags: ['--agent', `agent-${i}`], hold: true }),
  );
  for (const run of runs)
    await eventually(() => run.stdout().includes('\n'), `the command is up: ${run.stderr()}`, 90_000);
  const urls = runs.map((run) => JSON.parse(run.stdout()) as string);
  assert.equal(new Set(urls.map((url) => new URL(url).port)).size, 10);
  assert.deepEqual(
    urls.map((url) => new URL(url).username),
    runs.map((_, i) => `agent-${i}`),
  );
  const status = (await place.admin('/status')) as { runs: number };
  assert.equal(status.runs, 10);
  for (const run of runs) run.close();
  const ended = await Promise.all(runs.map((run) => run.ended));
  assert.deepEqual(
    ended.map(({ code }) => code),
    runs.map((_, i) => i + 20),
  );
});

test('the background collector leaves after the last run and takes its sockets with it', async () => {
  const place = await newPlace();
  await place.run(node('')).ended;
  assert.notEqual(await place.pid('weir.sock'), undefined, 'it lingers');
  await place.left();
  assert.ok(!existsSync(`${place.stateDir}/weir.sock`));
  assert.ok(!existsSync(`${place.stateDir}/keep.sock`));
  const again = await place.run(node('console.log("{}")'));
  await printed(again);
});

test('a killed collector is back on the same port with the same CA, and the receipt says so', {
  skip: curl,
}, async () => {
  const place = await newPlace();
  const run = place.run(node(ASKER), { flags: ['--agent', 'survivor'], env: { CURL_CA_BUNDLE: roots }, hold: true });
  await eventually(() => run.stdout().includes('\n'), `the command is up: ${run.stderr()}`, 60_000);
  const first = await place.pid('weir.sock');
  run.write('https://origin.test/before\n');
  await eventually(() => run.stdout().includes('hello from /before'), 'an answer before', 30_000);
  process.kill(first ?? 0, 'SIGKILL');
  const next = await eventually(
    async () => {
      const pid = await place.pid('weir.sock');
      return (
        pid !== undefined &&
        pid !== first &&
        pid > 0 &&
        ((await place.admin('/status')) as { runs: number }).runs === 1 &&
        pid
      );
    },
    'the collector is back with the run',
    30_000,
  );
  assert.notEqual(next, first);
  run.write('https://origin.test/after\n');
  await eventually(() => /hello from \/after|failed/.test(run.stdout()), 'an answer after', 30_000);
  assert.match(run.stdout(), /hello from \/after/);
  run.close();
  const { code, stderr } = await run.ended;
  assert.equal(code, 0);
  assert.match(stderr, /the collector died once and was started again/);
});

test('supervisor and collector killed at once: the run starts both anew and its port works again', {
  skip: curl,
}, async () => {
  const place = await newPlace();
  const run = place.run(node(ASKER), { hold: true });
  await eventually(() => run.stdout().includes('\n'), `the command is up: ${run.stderr()}`, 60_000);
  for (const socket of ['keep.sock', 'weir.sock'] as const) process.kill((await place.pid(socket)) ?? 0, 'SIGKILL');
  await eventually(
    async () => {
      if ((await place.pid('weir.sock')) === undefined) return false;
      return ((await place.admin('/status')) as { runs: number }).runs === 1;
    },
    'another collector has the run',
    30_000,
  );
  run.write('http://plain.test/later\n');
  await eventually(() => /hello from \/later|failed/.test(run.stdout()), 'an answer', 30_000);
  assert.match(run.stdout(), /hello from \/later/);
  run.close();
  assert.equal((await run.ended).code, 0);
});

test('a collector that is told to end comes back for the runs that go on', { skip: curl }, async () => {
  const place = await newPlace();
  const run = place.run(node(ASKER), { hold: true });
  await eventually(() => run.stdout().includes('\n'), `the command is up: ${run.stderr()}`, 60_000);
  const first = await place.pid('weir.sock');
  process.kill(first ?? 0, 'SIGTERM');
  await eventually(
    async () => {
      const pid = await place.pid('weir.sock');
      if (pid === undefined || pid === first) return false;
      return ((await place.admin('/status')) as { runs: number }).runs === 1;
    },
    'another collector has the run',
    40_000,
  );
  run.write('http://plain.test/later\n');
  await eventually(() => /hello from \/later|failed/.test(run.stdout()), 'an answer', 30_000);
  assert.match(run.stdout(), /hello from \/later/);
  run.close();
  assert.equal((await run.ended).code, 0);
});

test('a runner that is killed leaves no run behind', async () => {
  const place = await newPlace();
  const run = place.run(node('console.log(process.pid); process.stdin.resume();'), { hold: true });
  await eventually(() => run.stdout().includes('\n'), `the command is up: ${run.stderr()}`, 60_000);
  run.kill('SIGKILL');
  await eventually(
    async () => ((await place.admin('/status')) as { runs: number }).runs === 0,
    'the run is over',
    30_000,
  );
  run.close();
  await run.ended;
});

const outside = Object.values(networkInterfaces())
  .flat()
  .find((address) => address?.family === 'IPv4' && !address.internal)?.address;

test('a connection around Weir is in the receipt', {
  skip: (!canWatchDirect && 'needs procfs') || (outside === undefined && 'no address but loopback'),
}, async () => {
  const place = await newPlace();
  const server = createServer((socket) => socket.on('error', () => undefined).resume());
  const port = await listening(server, outside);
  try {
    const program = `import { connect } from 'node:net'; const socket = connect(${port}, '${outside}', () => console.log('up')); process.stdin.resume(); process.stdin.on('end', () => socket.destroy());`;
    const run = place.run(node(program), { flags: ['--agent', 'goer'], hold: true });
    await eventually(() => run.stdout().includes('up'), `connected: ${run.stderr()}`, 60_000);
    await eventually(
      async () => JSON.stringify(await place.admin('/logs?limit=100&agent=goer')).includes('direct-connection'),
      'the finding',
      30_000,
    );
    run.close();
    const { stderr } = await run.ended;
    assert.match(
      stderr,
      new RegExp(`1 direct connection around Weir \\([^)]*→ ${outside?.replaceAll('.', '\\.')}:${port}\\)`),
    );
  } finally {
    server.close();
  }
});
