import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { after, test } from 'node:test';
import { createExceptions } from '../../../src/connection/exceptions.ts';

const dir = mkdtempSync(`${tmpdir()}/weir-exceptions-`);
after(() => rmSync(dir, { recursive: true, force: true }));
const DAY = 86_400_000;

test('a client exception is by agent and JA4, for every host, and ends after seven days', () => {
  let now = 1_000;
  const exceptions = createExceptions({ now: () => now });
  exceptions.addClient('a', 'ja4', 'ALERT_UNKNOWN_CA');
  assert.equal(exceptions.find('a', 'ja4', 'any.test')?.reason, 'ALERT_UNKNOWN_CA');
  assert.equal(exceptions.find('b', 'ja4', 'any.test'), undefined);
  assert.equal(exceptions.find('a', 'other', 'any.test'), undefined);
  now += 7 * DAY - 1;
  assert.equal(exceptions.list().length, 1);
  now += 1;
  assert.equal(exceptions.find('a', 'ja4', 'any.test'), undefined);
  assert.equal(exceptions.list().length, 0);
});

test('a host exception is by agent and host, for every client', () => {
  const exceptions = createExceptions();
  exceptions.addHost('a', 'mtls.test', 'client-certificate-required');
  assert.equal(exceptions.find('a', 'any', 'mtls.test')?.kind, 'host');
  assert.equal(exceptions.find('a', 'any', 'other.test'), undefined);
});

test('the third consecutive close without data is an exception, unless the client has ever spoken', () => {
  const exceptions = createExceptions();
  assert.equal(exceptions.strike('a', 'j'), false);
  assert.equal(exceptions.strike('a', 'j'), false);
  assert.equal(exceptions.strike('a', 'other'), false, 'counted per client kind');
  assert.equal(exceptions.strike('a', 'j'), true);
  assert.equal(exceptions.find('a', 'j', 'x')?.reason, 'closed-without-data');
  exceptions.accepted('a', 'j');
  assert.equal(exceptions.find('a', 'j', 'x'), undefined);
  for (let unused = 0; unused < 10; unused++) {
    assert.equal(exceptions.strike('a', 'j'), false, 'a pool that pre-connects rejects nothing');
  }
  exceptions.clear();
  for (const expected of [false, false, true]) assert.equal(exceptions.strike('a', 'j'), expected);
});

test('kept on disk with mode 0600, found again, dropped when the client accepts', async () => {
  const file = `${dir}/kept.json`;
  const first = createExceptions({ file });
  first.addClient('a', 'j', 'alert');
  first.addHost('__proto__', 'constructor', 'alert');
  await first.flush();
  assert.equal(statSync(file).mode & 0o777, 0o600);
  const second = createExceptions({ file });
  assert.deepEqual(second.list(), first.list());
  assert.equal(second.find('__proto__', '', 'constructor')?.kind, 'host');
  second.accepted('a', 'j');
  await second.flush();
  assert.equal(createExceptions({ file }).list().length, 1);
  second.clear();
  await second.flush();
  assert.equal(createExceptions({ file }).list().length, 0);
});

test('a broken file counts as empty and is said so; broken entries are skipped', () => {
  const file = `${dir}/broken.json`;
  const events: string[] = [];
  const log = (event: string): void => {
    events.push(event);
  };
  for (const content of ['{', 'null', '[]', '{"exceptions":[null,{"kind":"client","agent":7}]}']) {
    writeFileSync(file, content);
    assert.equal(createExceptions({ file, log }).list().length, 0, content);
  }
  assert.deepEqual(events, ['exceptions-not-loaded', 'exceptions-not-loaded']);
});

test('a file of a newer Weir counts as empty and is said so', () => {
  const file = `${dir}/newer.json`;
  const until = Date.now() + DAY;
  const entry = { kind: 'client', agent: 'a', subject: 'j', reason: 'alert', since: 0, until };
  const told: string[] = [];
  for (const [version, kept] of [
    [1, 1],
    [2, 0],
  ]) {
    writeFileSync(file, JSON.stringify({ version, exceptions: [entry] }));
    const log = (event: string, fields: object) => told.push(event + JSON.stringify(fields));
    assert.equal(createExceptions({ file, log }).list().length, kept);
  }
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /^exceptions-not-loaded.*of version 2, this Weir knows 1/);
});

test('a file that cannot be written is logged, not thrown', async () => {
  const events: string[] = [];
  const exceptions = createExceptions({ file: `${dir}/no/such/dir.json`, log: (event) => events.push(event) });
  exceptions.addClient('a', 'j', 'alert');
  await exceptions.flush();
  assert.ok(events.includes('exceptions-not-saved'));
});

test('bounded, and many changes are one write', async () => {
  const file = `${dir}/many.json`;
  const exceptions = createExceptions({ file });
  for (let i = 0; i < 1500; i++) exceptions.addClient('a', `j${i}`, 'alert');
  await exceptions.flush();
  const kept = JSON.parse(readFileSync(file, 'utf8')) as { exceptions: unknown[] };
  assert.equal(kept.exceptions.length, 1000);
  assert.equal(exceptions.find('a', 'j0', ''), undefined);
  assert.notEqual(exceptions.find('a', 'j1499', ''), undefined);
});

test('a host is kept, written and told under the name it is shown by', async () => {
  const file = `${dir}/shown.json`;
  const told: string[] = [];
  const shown = (host: string): string => host.replace(/^secret\w*/, 'redacted-1a2b3c');
  const exceptions = createExceptions({
    file,
    shown,
    log: (event, fields) => told.push(event + JSON.stringify(fields)),
  });
  exceptions.addHost('a', 'secret99.mtls.test', 'client-certificate-required');
  assert.equal(exceptions.find('a', 'any', 'secret99.mtls.test')?.subject, 'redacted-1a2b3c.mtls.test');
  await exceptions.flush();
  for (const text of [readFileSync(file, 'utf8'), JSON.stringify(exceptions.list()), told.join()]) {
    assert.ok(text.includes('redacted-1a2b3c.mtls.test') && !text.includes('secret99'), text);
  }
});

test('forget: by agent, by host, by both; never everything', async () => {
  const file = `${dir}/forget.json`;
  const exceptions = createExceptions({ file });
  exceptions.addClient('a', 'ja4', 'closed-without-data');
  exceptions.addHost('a', 'x.test', 'client-certificate-required');
  exceptions.addHost('b', 'x.test', 'client-certificate-required');
  exceptions.addHost('b', 'y.test', 'client-certificate-required');
  assert.equal(exceptions.forget({}), 0);
  assert.equal(exceptions.forget({ agent: 'b', host: 'x.test' }), 1);
  assert.equal(exceptions.forget({ host: 'y.test' }), 1);
  assert.equal(exceptions.forget({ agent: 'a' }), 2);
  await exceptions.flush();
  assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')).exceptions, []);
});

test('a CA that is trusted now: client kinds of every agent are asked again, hosts stay', async () => {
  const file = `${dir}/trusted.json`;
  const exceptions = createExceptions({ file });
  exceptions.addClient('a', 'j', 'ALERT_UNKNOWN_CA');
  exceptions.addClient('b', 'j', 'closed-without-data');
  exceptions.addHost('a', 'mtls.test', 'client-certificate-required');
  for (let i = 0; i < 2; i++) exceptions.strike('c', 'j');
  assert.equal(exceptions.forgetClients(), 2);
  assert.equal(exceptions.find('a', 'j', 'x.test'), undefined);
  assert.equal(exceptions.find('a', 'j', 'mtls.test')?.kind, 'host');
  assert.equal(exceptions.strike('c', 'j'), false, 'what was counted before counts no more');
  await exceptions.flush();
  assert.deepEqual(
    createExceptions({ file })
      .list()
      .map(({ kind }) => kind),
    ['host'],
  );
  assert.equal(exceptions.forgetClients(), 0);
});
