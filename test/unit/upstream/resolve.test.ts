import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Destination } from '../../../src/model/destination.ts';
import { WeirError } from '../../../src/model/error.ts';
import { bypass, inheritedProxy, parseParent } from '../../../src/upstream/parent.ts';
import type { LookupAll } from '../../../src/upstream/resolve.ts';
import { createUpstream, type UpstreamOptions } from '../../../src/upstream/upstream.ts';

function to(host: string, port = 443): Destination {
  return { scheme: 'https', host, port };
}

function lookupOf(table: Record<string, string[]>, asked: string[] = []): LookupAll {
  return (hostname, options, callback) => {
    asked.push(hostname);
    assert.deepEqual(options, { all: true, order: 'verbatim' });
    const found = table[hostname];
    if (found === undefined) {
      callback(Object.assign(new Error('nope'), { code: 'ENOTFOUND' }), []);
      return;
    }
    callback(
      null,
      found.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    );
  };
}

function upstream(options: Partial<UpstreamOptions>): ReturnType<typeof createUpstream> {
  return createUpstream({ resolve: {}, noProxy: [], ca: undefined, connectMs: 1000, ...options });
}

test('names are looked up with all answers in order, duplicates once', async () => {
  const up = upstream({ lookup: lookupOf({ 'a.test': ['192.0.2.9', '2001:db8::1', '192.0.2.9', '192.0.2.1'] }) });
  const { dnsMs, ...rest } = await up.resolve(to('a.test'));
  assert.deepEqual(rest, {
    addresses: ['192.0.2.9', '2001:db8::1', '192.0.2.1'],
    delegated: false,
    byOperator: false,
  });
  assert.ok(dnsMs >= 0);
});

test('a failed or empty lookup is dns-failed and names the host', async () => {
  const up = upstream({ lookup: lookupOf({ 'empty.test': [] }) });
  for (const host of ['gone.test', 'empty.test']) {
    await assert.rejects(up.resolve(to(host)), (error) => {
      assert.ok(error instanceof WeirError);
      assert.equal(error.code, 'dns-failed');
      assert.match(error.message, new RegExp(host.replace('.', '\\.')));
      return true;
    });
  }
});

test('IP literals are never looked up and become canonical', async () => {
  const asked: string[] = [];
  const up = upstream({ lookup: lookupOf({}, asked) });
  assert.deepEqual((await up.resolve(to('192.0.2.1'))).addresses, ['192.0.2.1']);
  assert.deepEqual((await up.resolve(to('2001:0DB8:0:0::0001'))).addresses, ['2001:db8::1']);
  assert.deepEqual(asked, []);
});

test('upstream.resolve: exact before the most specific wildcard, ports, hostnames and literals as values', async () => {
  const up = upstream({
    resolve: {
      'api.example.com': '192.0.2.1:9000',
      '*.example.com': '192.0.2.2',
      '*.deep.example.com': '[2001:db8::2]:9443',
      'Alias.test': 'Target.test:81',
      '10.0.0.1': '192.0.2.3',
      'six.test': '2001:db8::3',
    },
    lookup: lookupOf({ 'target.test': ['192.0.2.7'], 'example.com': ['192.0.2.8'] }),
  });
  const cases: [string, string[], number | undefined, boolean][] = [
    ['api.example.com', ['192.0.2.1'], 9000, true],
    ['www.example.com', ['192.0.2.2'], undefined, true],
    ['x.deep.example.com', ['2001:db8::2'], 9443, true],
    ['deep.example.com', ['192.0.2.2'], undefined, true],
    ['example.com', ['192.0.2.8'], undefined, false],
    ['alias.test', ['192.0.2.7'], 81, true],
    ['10.0.0.1', ['192.0.2.3'], undefined, true],
    ['six.test', ['2001:db8::3'], undefined, true],
  ];
  for (const [host, addresses, port, byOperator] of cases) {
    const resolved = await up.resolve(to(host));
    assert.deepEqual([resolved.addresses, resolved.port, resolved.byOperator], [addresses, port, byOperator], host);
  }
});

test('upstream.resolve values that mean nothing are refused at start', () => {
  for (const value of ['', 'a b', 'http://x', 'x:0', 'x:70000', '[nope]:1', 'user@x']) {
    assert.throws(() => upstream({ resolve: { 'a.test': value } }), /upstream\.resolve/, value);
  }
});

test('a parent proxy delegates names, still lists literals, and is skipped by NO_PROXY and upstream.resolve', async () => {
  const up = upstream({
    proxy: { url: 'http://proxy.test:3128' },
    noProxy: ['internal.test'],
    resolve: { 'mapped.test': '192.0.2.4' },
    lookup: lookupOf({ 'internal.test': ['192.0.2.5'] }),
  });
  const pick = async (host: string): Promise<unknown[]> => {
    const resolved = await up.resolve(to(host));
    return [resolved.addresses, resolved.delegated, resolved.byOperator];
  };
  assert.deepEqual(await pick('anything.test'), [[], true, false]);
  assert.deepEqual(await pick('198.51.100.1'), [['198.51.100.1'], true, false]);
  assert.deepEqual(await pick('internal.test'), [['192.0.2.5'], false, false]);
  assert.deepEqual(await pick('mapped.test'), [['192.0.2.4'], false, true]);
});

test('NO_PROXY forms', () => {
  const cases: [string[], string, number, boolean][] = [
    [['*'], 'a.test', 443, true],
    [['a.test'], 'a.test', 443, true],
    [['a.test'], 'x.a.test', 443, true],
    [['a.test'], 'ba.test', 443, false],
    [['.a.test'], 'x.a.test', 443, true],
    [['*.a.test'], 'x.a.test', 443, true],
    [['A.Test'], 'a.test', 443, true],
    [['a.test:8443'], 'a.test', 8443, true],
    [['a.test:8443'], 'a.test', 443, false],
    [['10.0.0.0/8'], '10.1.2.3', 443, true],
    [['10.0.0.0/8'], '11.1.2.3', 443, false],
    [['10.0.0.0/99'], '10.1.2.3', 443, false],
    [['192.0.2.1'], '192.0.2.1', 443, true],
    [['2.0.0.1'], '12.0.0.1', 443, false],
    [['2001:db8::/32'], '2001:db8::5', 443, true],
    [['[2001:db8::1]'], '2001:db8::1', 443, true],
    [['[2001:db8::1]:8443'], '2001:db8::1', 443, false],
    [['', ' '], 'a.test', 443, false],
    [['http://a.test/'], 'a.test', 443, false],
  ];
  for (const [entries, host, port, expected] of cases) {
    assert.equal(bypass(entries)(to(host, port)), expected, `${entries.join(',')} ${host}:${port}`);
  }
});

test('the environment: order of variables, lower case first, loopback always direct', () => {
  const loopback = ['localhost', '127.0.0.0/8', '::1'];
  assert.deepEqual(inheritedProxy({}), { noProxy: loopback });
  assert.deepEqual(
    inheritedProxy({ HTTP_PROXY: 'http://b:1', HTTPS_PROXY: 'http://a:1', ALL_PROXY: 'socks5://c', NO_PROXY: 'x, y' }),
    { proxy: { url: 'http://a:1' }, noProxy: ['x', 'y', ...loopback] },
  );
  assert.deepEqual(inheritedProxy({ https_proxy: 'lower:3128', HTTPS_PROXY: 'http://upper:1' }).proxy, {
    url: 'http://lower:3128',
  });
  assert.deepEqual(inheritedProxy({ ALL_PROXY: 'socks5h://c:1' }).proxy, { url: 'socks5h://c:1' });
  assert.equal(inheritedProxy({ HTTPS_PROXY: ' ' }).proxy, undefined);
});

test('parent URLs: kinds, default ports, decoded credentials; a bad URL is not repeated', () => {
  assert.deepEqual(parseParent('http://proxy.test'), { kind: 'http', host: 'proxy.test', port: 80 });
  assert.deepEqual(parseParent('socks5h://[2001:db8::1]'), { kind: 'socks5', host: '2001:db8::1', port: 1080 });
  assert.equal(parseParent('socks4a://p:9').kind, 'socks4');
  const withUser = parseParent('https://us%40er:p%3Aw@proxy.test:8443');
  assert.deepEqual([withUser.user, withUser.password], ['us@er', 'p:w']);
  assert.equal(withUser.authorization, `Basic ${Buffer.from('us@er:p:w').toString('base64')}`);
  for (const url of ['ftp://user:hunter2@x', 'user:hunter2', 'http://']) {
    assert.throws(
      () => parseParent(url),
      (error) => !String(error).includes('hunter2'),
    );
  }
});
