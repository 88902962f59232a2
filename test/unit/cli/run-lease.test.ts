import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RunClient, RunStream } from '../../../src/admin/client-runs.ts';
import { AdminError } from '../../../src/admin/protocol.ts';
import type { Background } from '../../../src/cli/run-background.ts';
import { type LeaseOptions, takeLease } from '../../../src/cli/run-lease.ts';
import type { ReportFacts } from '../../../src/model/report.ts';
import type { DirectSeen, RunEnd, RunOpened, RunRequest } from '../../../src/model/run.ts';

const REQUEST: RunRequest = { agent: 'me', program: 'me', environment: {}, mode: 'enforce' };
const FACTS = { filter: { run: 'r' } } as unknown as ReportFacts;
const SEEN: DirectSeen = { program: 'ssh', address: '192.0.2.1', port: 22, protocol: 'tcp', count: 1 };

/** A collector that can die. */
function fakeCollector() {
  const asked: RunRequest[] = [];
  const direct: (readonly DirectSeen[])[] = [];
  const ends: RunEnd[] = [];
  let up = false;
  let end = (): void => undefined;
  const gone = (): AdminError => new AdminError('no-collector', 'none');
  const client: RunClient = {
    open: (request) => {
      if (!up) return Promise.reject(gone());
      asked.push(request);
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      const opened = { id: 'r', port: 4000, proxy: '127.0.0.1:4000', caFingerprint: 'AB' } as RunOpened;
      return Promise.resolve<RunStream>({ opened, ended, close: () => end() });
    },
    direct: (_, seen) => (up ? Promise.resolve(void direct.push(seen)) : Promise.reject(gone())),
    end: (_, how) => {
      if (!up) return Promise.reject(gone());
      ends.push(how);
      return Promise.resolve(FACTS);
    },
  };
  return {
    client,
    asked,
    direct,
    ends,
    rise: () => {
      up = true;
    },
    die: () => {
      up = false;
      end();
    },
  };
}

function background(exit?: { code: number }, words = ''): Background {
  return { exit: () => exit, words: () => words, stop: () => Promise.resolve() };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

test('a collector that is there is asked once and nothing is started', async () => {
  const fake = fakeCollector();
  fake.rise();
  let started = 0;
  const start = (): Background => {
    started++;
    return background();
  };
  const lease = await takeLease({ client: fake.client, request: REQUEST, start, kept: () => Promise.resolve(true) });
  assert.equal(lease.opened.port, 4000);
  assert.equal(await lease.end({ code: 0, directWatched: true }), FACTS);
  assert.deepEqual(fake.asked, [REQUEST]);
  assert.deepEqual(fake.ends, [{ code: 0, directWatched: true, restarts: 0 }]);
  assert.equal(started, 0);
});

test('without a collector one supervisor is started and waited for', async () => {
  const fake = fakeCollector();
  let started = 0;
  const start = (): Background => {
    started++;
    setTimeout(fake.rise, 300);
    return background();
  };
  const lease = await takeLease({ client: fake.client, request: REQUEST, start, kept: () => Promise.resolve(true) });
  assert.equal(started, 1);
  lease.drop();
});

test('a supervisor that fails is an error with its words, unless another run’s is at work', async () => {
  const fake = fakeCollector();
  const options: LeaseOptions = {
    client: fake.client,
    request: REQUEST,
    start: () => background({ code: 2 }, 'weir: unknown key "x"'),
    kept: () => Promise.resolve(false),
  };
  await assert.rejects(takeLease(options), /could not be started\.\nweir: unknown key "x"/);
  let looks = 0;
  const other = takeLease({
    ...options,
    kept: () => {
      if (++looks === 3) fake.rise();
      return Promise.resolve(true);
    },
  });
  (await other).drop();
});

test('a refusal is an error at once', async () => {
  const fake = fakeCollector();
  const refusing = { ...fake.client, open: () => Promise.reject(new AdminError('bad-request', 'agent is missing')) };
  const options = { client: refusing, request: REQUEST, start: () => background(), kept: () => Promise.resolve(true) };
  await assert.rejects(takeLease(options), /agent is missing/);
});

test('after a death the same run, port and CA are asked for, and direct connections are told again', async () => {
  const fake = fakeCollector();
  fake.rise();
  const start = (): Background => background();
  const lease = await takeLease({ client: fake.client, request: REQUEST, start, kept: () => Promise.resolve(true) });
  lease.direct([SEEN]);
  lease.direct([{ ...SEEN, count: 2 }]);
  await until(() => fake.direct.length === 1);
  assert.deepEqual(fake.direct, [[{ ...SEEN, count: 2 }]]);
  fake.die();
  await new Promise((resolve) => setTimeout(resolve, 150));
  assert.equal(lease.restarts(), 0);
  fake.rise();
  await until(() => lease.restarts() === 1);
  assert.deepEqual(fake.asked[1], { ...REQUEST, id: 'r', port: 4000, caFingerprint: 'AB' });
  await until(() => fake.direct.length === 2);
  assert.equal(await lease.end({ signal: 'SIGINT', directWatched: true }), FACTS);
  assert.deepEqual(fake.ends, [{ signal: 'SIGINT', directWatched: true, restarts: 1 }]);
});

test('the end waits for a collector that is coming back', async () => {
  const fake = fakeCollector();
  fake.rise();
  const start = (): Background => background();
  const lease = await takeLease({ client: fake.client, request: REQUEST, start, kept: () => Promise.resolve(true) });
  fake.die();
  await new Promise((resolve) => setImmediate(resolve));
  const ended = lease.end({ code: 1, directWatched: false });
  setTimeout(fake.rise, 400);
  assert.equal(await ended, FACTS);
  assert.equal(fake.ends[0]?.restarts, 1);
});

test('a collector that fails to make a report says why', async () => {
  const fake = fakeCollector();
  fake.rise();
  const client = { ...fake.client, end: () => Promise.reject(new AdminError('failed', 'the disk is full')) };
  const start = (): Background => background();
  const lease = await takeLease({ client, request: REQUEST, start, kept: () => Promise.resolve(true) });
  assert.equal(await lease.end({ code: 0, directWatched: false }), 'the disk is full');
});
