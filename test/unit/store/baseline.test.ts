import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BaselineEdit, DestinationStat, ExchangeRecord, WeirRecord } from '../../../src/model/record.ts';
import { METHODS_KEPT, SHAPES_KEPT } from '../../../src/store/aggregate.ts';
import { edit, exchange, NOON, open, stat, tempDir } from './help.ts';

interface ModelDestination {
  first: number;
  last: number;
  count: number;
  out: number;
  in: number;
  methods: string[];
  status: string;
}
interface ModelAgent {
  first: number;
  last: number;
  requests: number;
  newAt: number | undefined;
  locked: boolean;
}

/** The same rules, written without SQL and without batches. */
class Model {
  readonly destinations = new Map<string, ModelDestination>();
  readonly agents = new Map<string, ModelAgent>();

  apply(r: WeirRecord): void {
    if (r.kind === 'baseline-edit') this.edit(r);
    else if ('teaches' in r && r.teaches && r.state === 'closed') this.learn(r);
  }

  private learn(r: ExchangeRecord): void {
    const key = JSON.stringify([r.agent, r.host, r.port]);
    const d = this.destinations.get(key);
    const at = r.startedAt;
    this.destinations.set(key, {
      first: Math.min(d?.first ?? at, at),
      last: Math.max(d?.last ?? at, at),
      count: (d?.count ?? 0) + 1,
      out: (d?.out ?? 0) + r.requestBytes,
      in: (d?.in ?? 0) + r.responseBytes,
      methods: union(d?.methods ?? [], [r.method]),
      status: d?.status ?? 'learned',
    });
    const a = this.agents.get(r.agent);
    this.agents.set(r.agent, {
      first: Math.min(a?.first ?? at, at),
      last: Math.max(a?.last ?? at, at),
      requests: (a?.requests ?? 0) + 1,
      newAt: r.firstSeen ? Math.max(a?.newAt ?? at, at) : a?.newAt,
      locked: a?.locked ?? false,
    });
  }

  private edit(e: BaselineEdit): void {
    const mine = [...this.destinations].filter(([key]) => JSON.parse(key)[0] === e.agent);
    const whole = e.destinations.length === 0;
    const ensure = (): ModelAgent => {
      const known = this.agents.get(e.agent);
      const agent = known ?? { first: e.at, last: e.at, requests: 0, newAt: undefined, locked: false };
      this.agents.set(e.agent, agent);
      return agent;
    };
    if (e.verb === 'lock' || e.verb === 'unlock') ensure().locked = e.verb === 'lock';
    else if (e.verb === 'forget') {
      if (whole) this.agents.delete(e.agent);
      const named = new Set(e.destinations.map((d) => JSON.stringify([e.agent, d.host, d.port])));
      for (const [key] of mine) if (whole || named.has(key)) this.destinations.delete(key);
    } else if (whole && e.verb === 'import') ensure();
    else if (whole) {
      for (const [, d] of mine) {
        if (e.verb === 'ignore') d.status = 'ignored';
        else if (d.status === 'learned') d.status = 'accepted';
      }
    } else this.editNamed(e, ensure);
  }

  private editNamed(e: BaselineEdit, ensure: () => ModelAgent): void {
    const last = new Map(e.destinations.map((d) => [JSON.stringify([e.agent, d.host, d.port]), d]));
    for (const [key, d] of last) {
      const known = this.destinations.get(key);
      const given = e.verb === 'import' ? d.status : e.verb === 'accept' ? 'accepted' : 'ignored';
      if (known === undefined) this.destinations.set(key, { ...fromStat(d), status: given });
      else if (e.verb !== 'import') known.status = given;
      else {
        const g = fromStat(d);
        known.first = Math.min(known.first, g.first);
        known.last = Math.max(known.last, g.last);
        known.count = Math.max(known.count, g.count);
        known.out = Math.max(known.out, g.out);
        known.in = Math.max(known.in, g.in);
        known.methods = union(known.methods, g.methods);
        if (given !== 'learned') known.status = given;
      }
    }
    const agent = ensure();
    if (e.verb !== 'import') return;
    const mine = [...this.destinations].filter(([key]) => JSON.parse(key)[0] === e.agent).map(([, d]) => d);
    agent.first = Math.min(agent.first, ...mine.map((d) => d.first));
    agent.last = Math.max(agent.last, ...mine.map((d) => d.last));
    agent.requests = Math.max(
      agent.requests,
      mine.reduce((sum, d) => sum + d.count, 0),
    );
    agent.newAt = Math.max(agent.newAt ?? Number.NEGATIVE_INFINITY, ...mine.map((d) => d.first));
  }
}

function union(a: readonly string[], b: readonly string[]): string[] {
  return [...new Set([...a, ...b])].sort().slice(0, METHODS_KEPT);
}

function fromStat(d: DestinationStat): ModelDestination {
  return {
    first: d.firstSeen,
    last: d.lastSeen,
    count: d.count,
    out: d.requestBytes,
    in: d.responseBytes,
    methods: union([], d.methods),
    status: d.status,
  };
}

const agentName = fc.constantFrom('researcher', '__proto__', '../x', 'coder');
const host = fc.constantFrom('a.example', 'b.example', '__proto__', '2001:db8::1', "o'x\0y");
const port = fc.constantFrom(443, 80);
const method = fc.constantFrom('GET', 'POST', 'PUT', 'CONNECT', 'X-ODD');
const time = fc.integer({ min: 0, max: 10_000 }).map((n) => NOON + n);

const traffic: fc.Arbitrary<WeirRecord> = fc
  .record({
    agent: agentName,
    host,
    port,
    method,
    startedAt: time,
    requestBytes: fc.nat(1e6),
    responseBytes: fc.nat(1e6),
    firstSeen: fc.boolean(),
    teaches: fc.boolean(),
    state: fc.constantFrom('open' as const, 'closed' as const, 'closed' as const, 'closed' as const),
  })
  .map((more) => exchange(more));

const editing: fc.Arbitrary<WeirRecord> = fc
  .record({
    agent: agentName,
    verb: fc.constantFrom('accept', 'ignore', 'forget', 'lock', 'unlock', 'import'),
    destinations: fc.array(
      fc.record({
        host,
        port,
        firstSeen: time,
        lastSeen: time,
        count: fc.nat(100),
        requestBytes: fc.nat(1000),
        responseBytes: fc.nat(1000),
        methods: fc.array(method, { maxLength: 3 }),
        status: fc.constantFrom('learned', 'accepted', 'ignored'),
      }),
      { maxLength: 3 },
    ),
  })
  .map((e) => edit(e.verb as BaselineEdit['verb'], e.destinations as DestinationStat[], e.agent));

const batches = fc.array(
  fc.array(fc.oneof({ weight: 4, arbitrary: traffic }, { weight: 1, arbitrary: editing }), {
    minLength: 1,
    maxLength: 12,
  }),
  { minLength: 1, maxLength: 5 },
);

test('what is learned equals a model without batches or SQL, whatever the batches and edits', {
  timeout: 60_000,
}, async (t) => {
  const store = await open(t, tempDir(t), { flushMs: 0 });
  let sequence = 0;
  await fc.assert(
    fc.asyncProperty(batches, async (list) => {
      for (const agent of ['researcher', '__proto__', '../x', 'coder']) {
        await store.consume([edit('forget', [], agent)], ++sequence);
      }
      const model = new Model();
      for (const batch of list) {
        for (const record of batch) model.apply(record);
        sequence += batch.length;
        await store.consume(batch, sequence);
      }
      const { agents } = await store.loadBaseline();
      const seen = new Map<string, unknown>();
      for (const a of agents) {
        for (const d of a.destinations) {
          seen.set(JSON.stringify([a.agent, d.host, d.port]), {
            first: d.firstSeen,
            last: d.lastSeen,
            count: d.count,
            out: d.requestBytes,
            in: d.responseBytes,
            methods: d.methods,
            status: d.status,
          });
        }
      }
      assert.deepEqual([...seen].sort(), [...model.destinations].sort());
      const heads = agents.map(({ agent, firstSeen, lastSeen, requests, lastNewAt, locked }) => ({
        agent,
        firstSeen,
        lastSeen,
        requests,
        lastNewAt,
        locked,
      }));
      const expected = [...model.agents].map(([agent, a]) => ({
        agent,
        firstSeen: a.first,
        lastSeen: a.last,
        requests: a.requests,
        lastNewAt: a.newAt ?? a.first,
        locked: a.locked,
      }));
      const byName = (x: { agent: string }, y: { agent: string }): number => (x.agent < y.agent ? -1 : 1);
      assert.deepEqual(heads.sort(byName), expected.sort(byName));
    }),
    { numRuns: 40 },
  );
});

test('a destination remembers a bounded number of methods', async (t) => {
  const store = await open(t, tempDir(t));
  for (let n = 0; n < 3; n++) {
    await store.consume(
      Array.from({ length: 40 }, (_, i) => exchange({ method: `M${n}-${i}` })),
      n + 1,
    );
  }
  const { agents } = await store.loadBaseline();
  assert.equal(agents[0]?.destinations[0]?.methods.length, METHODS_KEPT);
  assert.equal(agents[0]?.destinations[0]?.count, 120);
});

test('the baseline survives reopening, edits included', async (t) => {
  const dir = tempDir(t);
  const first = await open(t, dir);
  await first.consume([exchange(), edit('accept', [stat('cdn.example.com')]), edit('lock')], 3);
  await first.close(1000);
  const second = await open(t, dir);
  const { agents } = await second.loadBaseline();
  assert.equal(agents[0]?.locked, true);
  assert.deepEqual(
    agents[0]?.destinations.map((d) => [d.host, d.status]),
    [
      ['api.example.com', 'learned'],
      ['cdn.example.com', 'accepted'],
    ],
  );
});

test('shapes of paths and hours are learned with traffic, bounded, and united by an import', async (t) => {
  const store = await open(t, tempDir(t));
  const at = (hour: number): number => Date.UTC(2026, 4, 4, hour);
  const seen = (target: string, hour: number, more: object = {}): ExchangeRecord =>
    exchange({ host: 'a.example', target, startedAt: at(hour), ...more });
  await store.consume([seen('/v1/users/8412?x=1', 8), seen('/v1/users/77', 9), seen('/health', 23)], 3);
  const learned = async (host: string) => {
    const { agents } = await store.loadBaseline();
    return agents[0]?.destinations.find((one) => one.host === host);
  };
  assert.deepEqual((await learned('a.example'))?.pathShapes, ['/health', '/v1/users/*']);
  assert.equal((await learned('a.example'))?.hours, (1 << 8) | (1 << 9) | (1 << 23));
  // Known methods and shapes go the cheaper way: the hour counts all the same.
  await store.consume([seen('/health', 3)], 4);
  assert.equal((await learned('a.example'))?.hours, (1 << 3) | (1 << 8) | (1 << 9) | (1 << 23));
  const imported = stat('a.example', { pathShapes: ['/new/*'], hours: 1 });
  await store.consume([edit('import', [imported])], 5);
  assert.deepEqual((await learned('a.example'))?.pathShapes, ['/health', '/new/*', '/v1/users/*']);
  assert.equal(((await learned('a.example'))?.hours ?? 0) & 1, 1);
  // A tunnel has no path.
  await store.consume(
    [exchange({ host: 't.example', kind: 'tunnel', method: 'CONNECT', target: '', startedAt: at(1) })],
    6,
  );
  assert.equal((await learned('t.example'))?.pathShapes, undefined);
  const word = (i: number): string => String.fromCharCode(97 + (i % 26), 97 + Math.floor(i / 26));
  for (let batch = 0; batch < 4; batch++) {
    const many = Array.from({ length: 20 }, (_, i) => seen(`/p${word(batch * 20 + i)}`, 5, { host: 'many.example' }));
    await store.consume(many, 7 + batch);
  }
  assert.equal((await learned('many.example'))?.pathShapes?.length, SHAPES_KEPT);
  assert.equal((await learned('many.example'))?.count, 80);
});
