import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBaseline } from '../../../src/inspect/baseline.ts';
import type { BaselineOptions } from '../../../src/inspect/baseline-contract.ts';
import { readExport } from '../../../src/inspect/baseline-edits.ts';
import { looksGenerated } from '../../../src/inspect/generated-name.ts';
import type { DestinationStat } from '../../../src/model/record.ts';
import { exchangeTo, type Made } from './support.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** 20 Nov 2026 00:00 UTC. */
const START = Date.UTC(2026, 10, 20);

function fixture(more: Partial<BaselineOptions> = {}) {
  const clock = { now: START };
  const baseline = createBaseline({
    readyAfterRequests: 3,
    readyAfterHours: 24,
    learningMaxDays: 7,
    onUnknown: 'flag',
    destinationsPerAgent: 1000,
    asOne: (agent) => agent,
    clock: () => clock.now,
    riskyCategory: (host) => (host.endsWith('.risky') ? 'paste' : undefined),
    ...more,
  });
  const at = (authority: string, made: Made = {}) => exchangeTo(authority, { at: clock.now, ...made });
  return {
    baseline,
    clock,
    at,
    see: (authority: string, made: Made = {}) => baseline.observe(at(authority, made)),
    /** Observes and teaches, as a forwarded exchange does. */
    use(authority: string, made: Made = {}) {
      const exchange = at(authority, made);
      const seen = baseline.observe(exchange);
      baseline.teach(exchange);
      return seen;
    },
    ready() {
      for (let i = 0; i < 3; i++) this.use('known.example');
      clock.now += 25 * HOUR;
      assert.equal(this.use('known.example').state, 'ready');
      return this;
    },
  };
}
const rulesOf = (seen: { findings: readonly { rule: string }[] }) => seen.findings.map((f) => f.rule);
const stat = (host: string, port = 443): DestinationStat => ({
  host,
  port,
  firstSeen: START,
  lastSeen: START,
  count: 1,
  requestBytes: 0,
  responseBytes: 0,
  methods: [],
  status: 'accepted',
});

test('while learning, first contacts are recorded and raise nothing', () => {
  const f = fixture();
  assert.deepEqual(f.use('a.example'), { firstSeen: true, state: 'learning', findings: [] });
  assert.deepEqual(f.use('a.example'), { firstSeen: false, state: 'learning', findings: [] });
  assert.equal(f.use('a.example', { agent: 'coder' }).firstSeen, true);
  assert.equal(f.use('a.example:8443').firstSeen, true);
});

test('of concurrent first contacts only the first is one', () => {
  const f = fixture();
  assert.deepEqual([f.see('a.example').firstSeen, f.see('a.example').firstSeen], [true, false]);
});

test('ready needs requests and hours without a new destination; the ceiling ends learning anyway', () => {
  const f = fixture();
  f.use('a.example');
  f.clock.now += 25 * HOUR;
  assert.equal(f.use('a.example').state, 'learning', 'two requests are not three');
  f.use('a.example');
  assert.equal(f.see('a.example').state, 'ready');
  const busy = fixture();
  for (let day = 0; day < 7; day++) {
    for (let i = 0; i < 40; i++) {
      assert.equal(busy.use(`h${day}-${i}.example`).state, 'learning');
      busy.clock.now += DAY / 40;
    }
  }
  assert.equal(busy.see('new.example.org').state, 'ready');
  assert.match(
    busy.baseline.sentence('researcher') ?? '',
    /^researcher: ready, diverse: about 40 new a day, 280 requests/,
  );
});

test('a first contact after ready is told in the agreed words, and learned', () => {
  const f = fixture().ready();
  const seen = f.use('new.example.org');
  assert.equal(seen.firstSeen, true);
  assert.deepEqual(
    seen.findings.map((x) => [x.rule, x.disposition, x.message]),
    [['first-seen', 'flag', 'this agent reached a destination it has never connected to (new.example.org)']],
  );
  assert.deepEqual(f.use('new.example.org'), { firstSeen: false, state: 'ready', findings: [] });
});

test('what was never taught stays unknown: one finding where unknown is flagged, one each time where it is blocked', () => {
  const flag = fixture().ready();
  assert.deepEqual(rulesOf(flag.see('down.example.org')), ['first-seen']);
  assert.deepEqual(rulesOf(flag.see('down.example.org')), []);
  assert.equal(flag.baseline.knows('researcher', 'down.example.org', 443), false);
  const block = fixture({ onUnknown: 'block' }).ready();
  const first = block.use('new.example.org');
  assert.deepEqual(
    first.findings.map((x) => [x.rule, x.disposition, x.severity]),
    [['first-seen', 'block', 'high']],
  );
  const second = block.use('new.example.org');
  assert.deepEqual(
    second.findings.map((x) => [x.rule, x.disposition]),
    [['not-in-baseline', 'block']],
  );
  block.baseline.edit('accept', 'researcher', [stat('new.example.org')]);
  assert.deepEqual(block.use('new.example.org').findings, []);
});

test('risky destinations are never learned, only accepted', () => {
  const f = fixture();
  f.use('drop.risky');
  f.use('drop.risky');
  assert.equal(f.baseline.knows('researcher', 'drop.risky', 443), false);
  assert.deepEqual(f.baseline.agents()[0]?.destinations, []);
  f.baseline.edit('accept', 'researcher', [stat('drop.risky')]);
  assert.equal(f.baseline.isAccepted('researcher', 'drop.risky', 443), true);
});

test('grading by what left', () => {
  const f = fixture().ready();
  const finding = f.see('new.example.org').findings[0];
  assert.ok(finding);
  const grade = (made: Made, authority = 'new.example.org') =>
    f.baseline.grade(f.at(authority, made), finding).severity;
  assert.equal(grade({}), 'info');
  assert.equal(grade({ target: `/?q=${'x'.repeat(2000)}` }), 'medium');
  assert.equal(grade({ method: 'POST', requestBytes: 10 }), 'medium');
  assert.equal(grade({ method: 'POST', requestBytes: 0 }), 'info');
  assert.equal(grade({ requestBytes: 5000 }), 'medium');
  assert.equal(grade({ kind: 'connect' }), 'info');
  assert.equal(grade({ kind: 'tunnel', requestBytes: 2000 }), 'info');
  assert.equal(grade({ kind: 'tunnel', requestBytes: 50_000 }), 'medium');
  assert.equal(grade({}, 'drop.risky'), 'medium');
  const sibling = f.see('www.known.example').findings[0];
  assert.match(sibling?.message ?? '', /beside others of known\.example/);
  assert.ok(sibling);
  assert.equal(
    f.baseline.grade(f.at('www.known.example', { method: 'PUT', requestBytes: 9000 }), sibling).severity,
    'low',
  );
});

test('new ports and methods at a known host are lesser news, told once', () => {
  const f = fixture().ready();
  assert.deepEqual(rulesOf(f.use('known.example:8443')), ['new-port']);
  assert.deepEqual(rulesOf(f.see('known.example', { method: 'DELETE' })), ['new-method']);
  assert.deepEqual(rulesOf(f.see('known.example', { method: 'DELETE' })), []);
  assert.deepEqual(rulesOf(f.see('known.example', { kind: 'connect' })), []);
});

test('more than 20 first contacts an hour become one finding with the list', () => {
  const f = fixture().ready();
  let told = 0;
  for (let i = 0; i < 50; i++) told += f.use(`x${i}.example-${i}.org`).findings.length;
  assert.equal(told, 20);
  assert.deepEqual(f.baseline.due(), []);
  f.clock.now += HOUR;
  const [digest, ...rest] = f.baseline.due();
  assert.equal(rest.length, 0);
  assert.equal(digest?.finding.rule, 'first-seen-digest');
  assert.match(digest?.finding.message ?? '', /reached 30 more .*x20\.example-20\.org.* and 10 more/);
  assert.deepEqual(f.baseline.due(), []);
  assert.equal(f.use('again.example.com').findings.length, 1, 'a new hour tells again');
});

test('a flood of names is bounded, reported once, never learned, and counted by domain', () => {
  const f = fixture({ destinationsPerAgent: 10 }).ready();
  const rules = new Map<string, number>();
  for (let i = 0; i < 5000; i++) {
    for (const rule of rulesOf(f.use(`${i}.flood.example`))) rules.set(rule, (rules.get(rule) ?? 0) + 1);
  }
  assert.equal(rules.get('destination-flood'), 1);
  assert.equal(rules.get('first-seen'), 10);
  assert.ok((f.baseline.agents()[0]?.destinations.length ?? 0) <= 10);
  assert.equal(f.baseline.knows('researcher', '4000.flood.example', 443), false);
  const block = fixture({ destinationsPerAgent: 1, onUnknown: 'block' }).ready();
  for (let i = 0; i < 3; i++) assert.ok(rulesOf(block.use('x.flood.example')).includes('first-seen'));
});

test('locked: nothing is learned and everything unknown is told', () => {
  const f = fixture();
  f.use('known.example');
  f.baseline.edit('lock', 'researcher', []);
  assert.deepEqual(f.use('known.example'), { firstSeen: false, state: 'locked', findings: [] });
  assert.deepEqual(rulesOf(f.use('new.example.org')), ['first-seen']);
  assert.deepEqual(rulesOf(f.use('new.example.org')), ['not-in-baseline']);
  assert.equal(
    f.baseline.sentence('researcher'),
    'researcher: locked, 2 requests, 1 destination; nothing new is learned',
  );
  f.baseline.edit('unlock', 'researcher', []);
  assert.equal(f.use('known.example').state, 'learning');
});

test('accept, ignore, forget', () => {
  const f = fixture().ready();
  f.see('a.example.org');
  f.see('b.example.net');
  f.baseline.edit('ignore', 'researcher', [stat('b.example.net', 0)]);
  f.baseline.edit('accept', 'researcher', []);
  assert.deepEqual(
    f.baseline.agents()[0]?.destinations.map((d) => [d.host, d.status]),
    [
      ['known.example', 'learned'],
      ['a.example.org', 'accepted'],
      ['b.example.net', 'ignored'],
    ],
  );
  f.baseline.edit('forget', 'researcher', [stat('no host')]);
  assert.equal(f.baseline.knows('researcher', 'a.example.org', 443), true);
  f.baseline.edit('forget', 'researcher', [stat('A.Example.org.')]);
  assert.equal(f.see('a.example.org').firstSeen, true);
  f.baseline.edit('forget', 'researcher', []);
  assert.deepEqual(f.use('known.example'), { firstSeen: true, state: 'learning', findings: [] });
});

test('a stored baseline comes back, ready agents stay ready', () => {
  const f = fixture().ready();
  f.use('fresh.example.org');
  const agents = f.baseline.agents();
  const again = fixture();
  again.clock.now = f.clock.now + HOUR;
  again.use('early.example');
  again.baseline.load({ agents });
  assert.deepEqual(again.use('known.example'), { firstSeen: false, state: 'ready', findings: [] });
  assert.deepEqual(again.use('fresh.example.org').findings, []);
  assert.equal(again.see('early.example').firstSeen, false);
  const learning = fixture();
  learning.use('a.example');
  const young = fixture();
  young.baseline.load({ agents: learning.baseline.agents() });
  assert.equal(young.use('a.example').state, 'learning');
});

test('the sentence, as it should read', () => {
  const f = fixture({ readyAfterRequests: 200 });
  for (let i = 0; i < 6; i++) f.use(`h${i}.example`);
  for (let i = 0; i < 406; i++) f.use('h0.example');
  f.clock.now += 3 * HOUR;
  assert.equal(
    f.baseline.sentence('researcher'),
    'researcher: learning, 412 requests, 6 destinations, last new one 3 h ago; ready after 200 requests and 24 h without a new one, at the latest on 27 Nov',
  );
  f.clock.now += 30 * HOUR;
  assert.equal(
    f.baseline.sentence('researcher'),
    'researcher: ready, 412 requests, 6 destinations, last new one 33 h ago',
  );
  assert.equal(f.baseline.sentence('nobody'), undefined);
});

test('an export is read with shapes and hours; what is none of them is left out', () => {
  const read = (more: object) => {
    const destinations = [{ host: 'a.example', port: 443, ...more }];
    const [stat] = readExport({ weirBaseline: 1, agent: 'researcher', destinations }, 7).destinations;
    return [stat?.pathShapes, stat?.hours];
  };
  assert.deepEqual(read({ pathShapes: ['/v1/*', '/'], hours: 257 }), [['/v1/*', '/'], 257]);
  const odd = ['v1', '/a\nb', 7, `/${'x'.repeat(80)}`, ...Array.from({ length: 40 }, (_, i) => `/p${i}`)];
  assert.equal((read({ pathShapes: odd })[0] as readonly string[]).length, 32);
  assert.deepEqual((read({ pathShapes: odd })[0] as readonly string[])[0], '/p0');
  for (const hours of [0, -1, 1 << 24, 1.5, '8']) assert.deepEqual(read({ hours }), [undefined, undefined]);
});

test('an export is read with its accounts, each with kind, place and value', () => {
  const head = { weirBaseline: 1, agent: 'researcher', destinations: [] };
  const read = (accounts: unknown): unknown => readExport({ ...head, accounts, accountsKey: 'k' }, 7).accounts;
  const known = { agent: 'researcher', firstSeen: 1, lastSeen: 2, count: 3 };
  const account = (kind: string, place: string, value: string) => ({ ...known, kind, place, value });
  assert.deepEqual(
    read([account('credential', 'API.Example.COM', '0011'), { kind: 'tenant', place: 's3', value: 's3/b', count: -1 }]),
    [
      account('credential', 'api.example.com', '0011'),
      { ...account('tenant', 's3', 's3/b'), firstSeen: 7, lastSeen: 7, count: 0 },
    ],
  );
  assert.equal(readExport({ ...head, accounts: [], accountsKey: 'k' }, 7).accountsKey, 'k');
  assert.equal('accounts' in readExport(head, 7), false);
  const long = 'x'.repeat(300);
  for (const bad of [
    {},
    [null],
    [{}],
    [account('credential', 'no host', '0011')],
    [account('other', 'a.example', '0011')],
    [account('credential', 'a.example', '')],
    [account('tenant', '', 's3/b')],
    [account('tenant', 's3', long)],
  ])
    assert.throws(() => read(bad), /account/, JSON.stringify(bad).slice(0, 80));
});

test('export and seed', () => {
  const f = fixture().ready();
  const file: unknown = JSON.parse(JSON.stringify(f.baseline.export('researcher')));
  const pod = fixture({ onUnknown: 'block' });
  pod.baseline.seed(file, 'pod-1');
  assert.equal(pod.baseline.isAccepted('pod-1', 'known.example', 443), true);
  for (const bad of [
    null,
    1,
    {},
    { weirBaseline: 1 },
    { weirBaseline: 1, agent: 'a', destinations: [{ host: 'a b', port: 1 }] },
    { weirBaseline: 1, agent: 'a', destinations: [{ host: 'a', port: 0 }] },
  ]) {
    assert.throws(() => pod.baseline.seed(bad), /baseline/);
  }
  assert.equal(f.baseline.export('nobody'), undefined);
});

test('as-one groups learn together', () => {
  const f = fixture({ asOne: (agent) => (agent.startsWith('task-') ? 'task-*' : agent) });
  assert.equal(f.use('a.example', { agent: 'task-1' }).firstSeen, true);
  assert.equal(f.use('a.example', { agent: 'task-2' }).firstSeen, false);
  assert.deepEqual(
    f.baseline.agents().map((a) => a.agent),
    ['task-*'],
  );
});

test('newcomers are reported once, configured names never', () => {
  const f = fixture({ isConfigured: (agent) => agent === 'researcher' });
  assert.equal(f.baseline.agentFirstSeen('researcher'), undefined);
  assert.equal(f.baseline.agentFirstSeen('stranger')?.rule, 'agent-first-seen');
  assert.equal(f.baseline.agentFirstSeen('stranger'), undefined);
});

test('a silence longer than any before is told once', () => {
  const f = fixture().ready();
  for (let i = 0; i < 30; i++) {
    f.clock.now += HOUR;
    f.use('known.example');
  }
  f.clock.now += 60 * HOUR;
  assert.deepEqual(f.baseline.due(), []);
  f.clock.now += 60 * HOUR;
  assert.deepEqual(
    f.baseline.due().map((d) => [d.agent, d.finding.rule]),
    [['researcher', 'silence']],
  );
  assert.deepEqual(f.baseline.due(), []);
});

/** What the store has of an agent that was heard of every hour for `hours`. */
function history(hours: number) {
  const f = fixture().ready();
  for (let i = 0; i < hours; i++) {
    f.clock.now += HOUR;
    f.use(i % 2 === 0 ? 'known.example' : `host${i}.example`);
  }
  return { agents: f.baseline.agents(), at: f.clock.now };
}
const silences = (f: ReturnType<typeof fixture>) => f.baseline.due().filter((d) => d.finding.rule === 'silence');

test('a silence goes on across a restart, and Weir’s own absence is none', () => {
  const { agents, at } = history(30);
  const restarted = (afterHours: number) => {
    const f = fixture();
    f.clock.now = at + afterHours * HOUR;
    f.baseline.load({ agents });
    return f;
  };
  // Nothing is known of it between its first hour and its 27th: four times that is 108.
  const quiet = restarted(90);
  assert.deepEqual(silences(quiet), []);
  quiet.clock.now += 9 * HOUR;
  assert.deepEqual(silences(quiet), [], 'quiet for less than four times as long as ever');
  quiet.clock.now += 10 * HOUR;
  assert.equal(silences(quiet).length, 1);
  assert.deepEqual(silences(quiet), [], 'once');
  const late = restarted(110);
  late.clock.now += 11 * HOUR;
  assert.deepEqual(silences(late), [], 'it may speak up when Weir is there again');
  late.use('known.example');
  late.clock.now += 99 * HOUR;
  assert.deepEqual(silences(late), []);
  late.clock.now += 10 * HOUR;
  assert.equal(silences(late).length, 1, 'the absence of Weir has not become its longest pause');
  const long = restarted(300);
  long.clock.now += 200 * HOUR;
  assert.deepEqual(silences(long), [], 'told by a former life, or while there was none');
});

test('an agent with years of history is not silent for a month', () => {
  const f = fixture();
  const year = 365 * DAY;
  const old = { ...stat('known.example'), firstSeen: START - year, status: 'learned' as const };
  const times = { firstSeen: START - year, lastSeen: START, lastNewAt: START - year };
  f.baseline.load({
    agents: [{ agent: 'monthly', ...times, requests: 500, locked: false, destinations: [old] }],
  });
  f.clock.now += 31 * DAY;
  assert.deepEqual(silences(f), []);
  f.clock.now += 2 * DAY;
  assert.equal(silences(f).length, 1);
});

test('first contacts with computed names say so', () => {
  const f = fixture().ready();
  assert.deepEqual(rulesOf(f.see('aGVsbG8gd29ybGQgdGhpcyBpcyBkYXRhIGluIGEgbG9va3Vw.evil.example'.toLowerCase())), [
    'first-seen',
    'generated-name',
  ]);
  for (const host of ['4f3c2b1a9e8d7c6b5a4f3c2b.example.org', 'x7k2m9q4z1w8r5t3v6b0n2.example.net'])
    assert.ok(looksGenerated(host), host);
  for (const host of [
    'generativelanguage.googleapis.com',
    'a-perfectly-readable-name.example.org',
    'example.org',
    'xn--n8jaaaaai5bhf7as8fsfk3jnknefdde3f1.example',
    '10.0.0.1',
    'production-eu-west-1-api.example.org',
  ]) {
    assert.equal(looksGenerated(host), false, host);
  }
});

test('bytes out far beyond the usual', () => {
  const f = fixture();
  for (let i = 0; i < 25; i++) f.use('known.example', { method: 'POST', requestBytes: 2000 });
  f.clock.now += 25 * HOUR;
  f.use('known.example');
  const send = (requestBytes: number) =>
    f.baseline.volume(f.at('known.example', { method: 'POST', requestBytes }))?.rule;
  assert.deepEqual([send(5 << 20), send(30_000)], ['bytes-out', undefined]);
});

test('bytes out in small parts, far beyond any day before', () => {
  const f = fixture();
  const send = (requestBytes: number) => {
    const exchange = f.at('known.example', { method: 'POST', requestBytes });
    f.baseline.observe(exchange);
    const told = f.baseline.volume(exchange);
    f.baseline.teach(exchange);
    f.clock.now += 60_000;
    return told?.rule;
  };
  const day = (parts: number) => {
    const told = Array.from({ length: parts }, () => send(900_000)).filter((rule) => rule !== undefined);
    f.clock.now = Math.ceil(f.clock.now / DAY) * DAY;
    return told;
  };
  for (let i = 0; i < 4; i++) assert.deepEqual(day(3), []);
  assert.deepEqual(day(60), ['bytes-out'], 'told once a day');
  assert.deepEqual(day(3), []);
  assert.deepEqual(day(60), ['bytes-out'], 'what was told is no measure');
  assert.deepEqual(day(60), ['bytes-out']);
  assert.deepEqual(day(60), [], 'three days make a habit');
});

test('after a restart the days before are taken from what is stored', () => {
  const told = (requestBytes: number): number => {
    const f = fixture();
    const first = START - 14 * DAY;
    const known = { ...stat('known.example'), firstSeen: first, lastSeen: START, count: 500, requestBytes };
    const times = { firstSeen: first, lastSeen: START, lastNewAt: first };
    f.baseline.load({
      agents: [{ agent: 'researcher', ...times, requests: 500, locked: false, destinations: [known] }],
    });
    const send = () => f.baseline.volume(f.at('known.example', { method: 'POST', requestBytes: 900_000 }));
    return Array.from({ length: 60 }, send).filter((finding) => finding !== undefined).length;
  };
  assert.equal(told(7_000_000), 1, 'half a megabyte a day, and now 54');
  assert.equal(told(700_000_000), 0, 'as much as ever');
});

test('the first weekend of whoever rests at night is no silence', () => {
  const office = fixture();
  for (let day = 0; day < 5; day++) {
    for (let hour = 0; hour < 10; hour++) {
      office.use('known.example');
      office.clock.now += HOUR;
    }
    office.clock.now += 14 * HOUR;
  }
  office.clock.now += 2 * DAY;
  assert.deepEqual(silences(office), []);
  office.clock.now += 2 * DAY;
  assert.equal(silences(office).length, 1);
});

test('names from prototypes are names', () => {
  const f = fixture();
  for (const name of ['__proto__', 'constructor', 'toString']) {
    assert.equal(f.use(name, { agent: name }).firstSeen, true);
    assert.equal(f.use(name, { agent: name }).firstSeen, false);
  }
});
