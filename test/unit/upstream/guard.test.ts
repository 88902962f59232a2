import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { addressInspector } from '../../../src/inspect/address.ts';
import { parseAuthority } from '../../../src/model/host.ts';
import type { Permit } from '../../../src/model/ports.ts';
import type { LookupAll } from '../../../src/upstream/resolve.ts';
import { createUpstream, type UpstreamOptions } from '../../../src/upstream/upstream.ts';
import { enforce, mintPermit } from '../../../src/verdict/enforce.ts';
import { judge } from '../../../src/verdict/judge.ts';
import { exchangeTo } from '../inspect/support.ts';

/** Answers per name, one after the other, the last one for ever: a resolver whose records live for no time. */
function resolver(table: Record<string, readonly (readonly string[])[]>): { lookup: LookupAll; asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    lookup(hostname, _options, callback) {
      const turns = table[hostname] ?? assert.fail(`${hostname} must not be looked up`);
      const turn = turns[Math.min(asked.filter((name) => name === hostname).length, turns.length - 1)] ?? [];
      asked.push(hostname);
      callback(
        null,
        turn.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      );
    },
  };
}

interface Guarded {
  readonly rules: readonly string[];
  readonly addresses: readonly string[];
  readonly delegated: boolean;
  /** In enforce; undefined = nothing may be dialled. */
  readonly permit: Permit | undefined;
}

const rule = (host: string, ports: number[] = []) => ({ host, ports, methods: [], paths: [] });

/** The way of an exchange from its authority to its permit: normalised, resolved, judged, enforced. */
async function guard(
  authority: string,
  options: Partial<UpstreamOptions> & { readonly internal?: readonly ReturnType<typeof rule>[] } = {},
): Promise<Guarded> {
  const { internal = [], ...rest } = options;
  const upstream = createUpstream({ resolve: {}, noProxy: [], ca: undefined, connectMs: 1000, ...rest });
  const exchange = exchangeTo(authority);
  const resolved = await upstream.resolve(exchange.destination);
  const findings = addressInspector({ internal }).inspect(exchange, { resolved });
  const ruling = enforce(judge(findings), findings, 'enforce');
  return {
    rules: findings.map((finding) => finding.rule),
    addresses: resolved.addresses,
    delegated: resolved.delegated,
    permit: mintPermit(ruling, exchange.destination, resolved),
  };
}

const nobody = resolver({}).lookup;

/** One address in every form a URL parser or a C library takes, and every embedding an IPv6 host may route. */
const FORMS: readonly (readonly [rule: string, ...forms: string[]])[] = [
  [
    'internal-address',
    '127.0.0.1',
    '127.1',
    '127.0.1',
    '2130706433',
    '0x7f000001',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '017700000001',
    '0x7f.1',
    '127.0.0.1.',
    '１２７.0.0.1',
    '%31%32%37.0.0.1',
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[0:0:0:0:0:ffff:7f00:0001]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[::7f00:1]',
  ],
  [
    'metadata-address',
    '169.254.169.254',
    '169.254.43518',
    '2852039166',
    '0xa9fea9fe',
    '0xa9.0xfe.0xa9.0xfe',
    '0251.0376.0251.0376',
    '025177524776',
    '169.16689662',
    '[::ffff:169.254.169.254]',
    '[::ffff:a9fe:a9fe]',
    '[64:ff9b::a9fe:a9fe]',
    '[64:ff9b:1::a9fe:a9fe]',
    '[2002:a9fe:a9fe::1]',
    '[2001:0:4136:e378:8000:63bf:5601:5601]',
    '[::a9fe:a9fe]',
    '[2001:470::5efe:a9fe:a9fe]',
    '[fd00:ec2::254]',
    '[fd00:0ec2:0000::0254]',
    '100.100.100.200',
    '168.63.129.16',
  ],
  [
    'internal-address',
    '10.0.0.1',
    '167772161',
    '012.1',
    '192.168.0.1',
    '0xc0a80001',
    '172.16.0.1',
    '100.64.0.1',
    '169.254.1.1',
    '0.0.0.0',
    '0',
    '255.255.255.255',
    '224.0.0.1',
    '[fe80::1]',
    '[fc00::1]',
    '[::]',
    '[ff02::1]',
    '[2002:c0a8:1::]',
  ],
];

for (const [expected, ...forms] of FORMS) {
  test(`${expected}: ${forms[0]} in ${forms.length} forms, none of them looked up, none dialled`, async () => {
    for (const form of forms) {
      const { rules, permit } = await guard(`${form}:443`, { lookup: nobody });
      assert.deepEqual(rules, [expected], form);
      assert.equal(permit, undefined, form);
    }
  });
}

test('public literals in the same forms pass', async () => {
  for (const form of [
    '8.8.8.8',
    '134744072',
    '0x08080808',
    '010.010.010.010',
    '[2606:4700::1111]',
    '[64:ff9b::808:808]',
  ]) {
    const { rules, permit } = await guard(`${form}:443`, { lookup: nobody });
    assert.deepEqual(rules, [], form);
    assert.equal(permit?.addresses.length, 1, form);
  }
});

test('names: private answers, public ones, and both together in any order and family', async () => {
  const table: [answers: string[], rules: string[]][] = [
    [['93.184.216.34', '2606:4700::1'], []],
    [['10.0.0.1'], ['internal-address']],
    [['10.0.0.1', '192.168.1.1'], ['internal-address']],
    [['93.184.216.34', '10.0.0.1'], ['dns-rebinding']],
    [['10.0.0.1', '93.184.216.34'], ['dns-rebinding']],
    [['93.184.216.34', '::1'], ['dns-rebinding']],
    [['2606:4700::1', '127.0.0.1'], ['dns-rebinding']],
    [['93.184.216.34', '::ffff:169.254.169.254'], ['dns-rebinding']],
    [['93.184.216.34', '64:ff9b::a00:1'], ['dns-rebinding']],
    [['10.0.0.1', '169.254.169.254'], ['metadata-address']],
    [['fe80::1'], ['internal-address']],
  ];
  for (const [answers, expected] of table) {
    const { rules, permit } = await guard('a.test:443', { lookup: resolver({ 'a.test': [answers] }).lookup });
    assert.deepEqual(rules, expected, answers.join(' '));
    assert.equal(permit === undefined, expected.length > 0, answers.join(' '));
    if (permit !== undefined) assert.deepEqual(permit.addresses, answers);
  }
});

test('a name whose answer changes at once: every exchange is judged by what it dials, and resolved once', async () => {
  const { lookup, asked } = resolver({ 'flip.test': [['93.184.216.34'], ['127.0.0.1'], ['169.254.169.254']] });
  const first = await guard('flip.test:443', { lookup });
  assert.deepEqual(first.permit?.addresses, ['93.184.216.34']);
  assert.deepEqual((await guard('flip.test:443', { lookup })).rules, ['internal-address']);
  assert.deepEqual((await guard('flip.test:443', { lookup })).rules, ['metadata-address']);
  assert.equal(asked.length, 3);
});

test('what is dialled is an address of the permit: the resolver is not asked again', async () => {
  const server = createServer((socket) => socket.destroy());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as { port: number };
    const { lookup, asked } = resolver({ 'local.test': [['127.0.0.2', '127.0.0.1'], ['203.0.113.1']] });
    const internal = [rule('local.test')];
    const { permit } = await guard(`local.test:${port}`, { lookup, internal });
    assert.ok(permit);
    const upstream = createUpstream({ resolve: {}, noProxy: [], ca: undefined, connectMs: 2000, lookup });
    // 127.0.0.2 refuses, so the next one is taken.
    const link = await upstream.dial(permit);
    link.socket.destroy();
    assert.equal(link.peer.address, '127.0.0.1');
    assert.deepEqual(asked, ['local.test']);
  } finally {
    server.close();
  }
});

test('a parent proxy resolves names itself, which is said; literals are judged here all the same', async () => {
  const proxy = { url: 'http://127.0.0.1:3128' };
  const name = await guard('db.internal.test:443', { proxy, lookup: nobody });
  assert.deepEqual([name.rules, name.delegated, name.permit?.delegated, name.permit?.addresses], [[], true, true, []]);
  for (const literal of ['10.0.0.1', '[::ffff:169.254.169.254]', '2130706433']) {
    const { rules, permit } = await guard(`${literal}:443`, { proxy, lookup: nobody });
    assert.equal(rules.length, 1, literal);
    assert.equal(permit, undefined, literal);
  }
});

test('upstream.resolve is the operator’s word, also for an address of this machine', async () => {
  const { rules, permit } = await guard('a.test:443', { resolve: { 'a.test': '127.0.0.1:8443' }, lookup: nobody });
  assert.deepEqual(rules, []);
  assert.deepEqual([permit?.addresses, permit?.port], [['127.0.0.1'], 8443]);
});

test('destinations.internal: names, addresses, ranges and ports; metadata by its own entry only', async () => {
  const table: [authority: string, answers: string[], internal: ReturnType<typeof rule>[], rules: string[]][] = [
    ['db.corp.test:443', ['10.1.2.3'], [rule('db.corp.test')], []],
    ['db.corp.test:443', ['10.1.2.3'], [rule('*.corp.test')], []],
    ['corp.test:443', ['10.1.2.3'], [rule('*.corp.test')], ['internal-address']],
    ['db.corp.test:443', ['10.1.2.3'], [rule('10.1.0.0/16')], []],
    ['db.corp.test:443', ['10.2.2.3'], [rule('10.1.0.0/16')], ['internal-address']],
    ['db.corp.test:443', ['10.1.2.3'], [rule('10.1.2.3')], []],
    ['db.corp.test:443', ['10.1.2.3', '10.9.9.9'], [rule('10.1.0.0/16')], ['internal-address']],
    ['db.corp.test:8443', ['10.1.2.3'], [rule('10.1.0.0/16', [443])], ['internal-address']],
    ['db.corp.test:443', ['fd12::5'], [rule('fd12::/16')], []],
    ['db.corp.test:443', ['::ffff:10.1.2.3'], [rule('10.1.0.0/16')], []],
    ['db.corp.test:443', ['93.184.216.34', '10.1.2.3'], [rule('10.1.0.0/16')], []],
    ['meta.corp.test:80', ['169.254.169.254'], [rule('169.254.0.0/16')], ['metadata-address']],
    ['meta.corp.test:80', ['169.254.169.254'], [rule('*.corp.test')], ['metadata-address']],
    ['meta.corp.test:80', ['169.254.169.254'], [rule('meta.corp.test')], []],
    ['meta.corp.test:80', ['fd00:ec2::254'], [rule('fd00::/8')], ['metadata-address']],
    ['meta.corp.test:80', ['fd00:ec2::254'], [rule('fd00:ec2::254')], []],
  ];
  for (const [authority, answers, internal, expected] of table) {
    const host = (parseAuthority(authority, 443) as { host: string }).host;
    const { rules, permit } = await guard(authority, { internal, lookup: resolver({ [host]: [answers] }).lookup });
    const what = `${authority} ${answers.join(' ')} with ${internal.map((one) => one.host).join(' ')}`;
    assert.deepEqual(rules, expected, what);
    assert.equal(permit === undefined, expected.length > 0, what);
  }
});
