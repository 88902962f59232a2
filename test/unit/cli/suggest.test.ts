import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { celYaml } from '../../../src/cli/suggest-cel.ts';
import { readRisky, riskyOf } from '../../../src/cli/suggest-risky.ts';
import type { RowGroup } from '../../../src/cli/suggest-rows.ts';
import { hoursText, pathShapes } from '../../../src/cli/suggest-shape.ts';
import { evidence, type Suggestion } from '../../../src/cli/suggest-words.ts';
import { allowListYaml, oktsecYaml } from '../../../src/cli/suggest-yaml.ts';
import { defaultConfig, parseConfig } from '../../../src/config/load.ts';
import { compileCategories } from '../../../src/inspect/categories.ts';
import { createDestinations } from '../../../src/inspect/destination.ts';
import { hostPort } from '../../../src/model/destination.ts';
import { matchHost } from '../../../src/model/glob.ts';
import type { AgentStat, DestinationStat } from '../../../src/model/record.ts';
import { compile, createContext, evaluate } from '../../../src/policy/cel.ts';
import { parsePolicies } from '../../../src/policy/parse.ts';
import { openStore } from '../../../src/store/database.ts';
import { configOf } from '../../support/examples.ts';
import { exchangeTo } from '../inspect/support.ts';
import { account, DAY, edit, exchange, finding, NOON, options, stat } from '../store/help.ts';
import { agent, EXAMPLE, EXAMPLE_FINDINGS, EXAMPLE_ROWS, FRAME, rows, suggestion, told } from './suggest-facts.ts';
import { fakeCollector, tempDir, weir } from './world.ts';

const WHOLE = suggestion(EXAMPLE, { groups: EXAMPLE_ROWS, findings: EXAMPLE_FINDINGS });
const categories = compileCategories({ categories: {} });

/** Whether the destination inspector lets a request pass under the `agents:` of a suggestion. */
function judge(text: string): (who: string, place: { host: string; port: number }, method?: string) => boolean {
  const { agents } = parseConfig({ ...defaultConfigInput, ...(parse(text) as object) });
  const lists = new Map([...agents].map(([name, one]) => [name, { allowed: one.allowed_domains, blocked: [] }]));
  const { inspector } = createDestinations({
    global: { allowed: [], blocked: [] },
    agents: lists,
    agentKey: (name) => name,
    categories,
  });
  return (who, { host, port }, method = 'GET') => {
    const made = inspector.inspect(exchangeTo(hostPort(host, port), { agent: who, method }), {});
    return Array.isArray(made) && !made.some(({ rule }) => rule === 'destination-not-allowed');
  };
}
const defaultConfigInput = { state_dir: defaultConfig().state_dir };

/** The same question to the policy of `--as cel`. */
function judgeByPolicy(text: string): (who: string, place: { host: string; port: number }, method?: string) => boolean {
  const { policies } = parse(text) as { policies: { match_expression: string }[] };
  const compiled = policies.map((one) => compile(one.match_expression));
  return (who, { host, port }, method = 'GET') => {
    const attrs = new Map<string, string | number>([
      ['weir.agent', who],
      ['server.address', host],
      ['server.port', port],
      ['http.request.method', method],
    ]);
    const context = createContext({ name: 'http.get', attrs, now: NOON });
    return compiled.every((one) => {
      const { outcome } = evaluate(one, context);
      assert.notEqual(outcome, 'ERROR');
      return outcome === 'NO_MATCH';
    });
  };
}

describe('weir policy suggest: the text', () => {
  it('of an agent of which everything is known', () => {
    assert.equal(
      allowListYaml([WHOLE], FRAME),
      `# weir policy suggest --agent researcher: what the baseline implies, written 15 Jan 2026.
# Read it like a change somebody proposes: every line says why it is there, lines commented out need a decision.
# Next: hold it against what was recorded: weir replay --policy FILE, with this text in it
#       take it into your configuration, then: weir check --config ~/.config/weir/weir.yaml
#       and, when weir logs --blocked shows nothing that is missed: weir mode researcher enforce
agents:
  # researcher: 480 requests, 15 destinations, last new one 3 h ago
  # Watched since 7 Jan (8 d).
  # Of 440 exchanges in the last 30 d this list would have stopped 17 (by host, port and method): gone.example.net:443 6, down.example:443 3, known.example:80 2, ….
  # 2 of them went to destinations that are ignored, which are never suggested.
  # Lines with methods or paths hold where Weir reads the exchange: in a tunnel neither is seen, and they allow nothing.
  # Also writes to s3/reports.
  researcher:
    allowed_domains:
      - { host: api.anthropic.com, ports: [443], methods: [GET, POST] } # 412 requests, first 7 Jan, last today, GET POST, 2.9 MB out
      - "*.cdn.example.com:443"                 # 15 requests, first today, last today, GET, 300 B out
      #   a.cdn.example.com:443                 # 5 requests, first today, last today, GET, 100 B out
      #   b.cdn.example.com:443                 # 5 requests, first today, last today, GET, 100 B out
      #   c.cdn.example.com:443                 # 5 requests, first today, last today, GET, 100 B out
      - github.com:443                          # 4 requests, first today, last today, GET POST, 180 KB out; writes to github.com/acme; look: aws-access-key in the body (1 time)
      - GET known.example:80                    # 7 requests, first today, last today, GET, 0 B out
      - pastebin.com:443                        # accepted, 2 requests, first today, last today, GET, 0 B out
      - unused.example:443                      # accepted, nothing was sent yet
      # Left out until somebody decides:
      # - "192.0.2.7:8080"                      # an address instead of a name — review; 9 requests, first today, last today, GET, 0 B out
      # - blocked.example:443                   # was blocked — review; 4 requests, first 14 Jan, last today, GET, 5.0 KB out
      # - db.corp.example:5432                  # db.corp.example (10.0.0.9) is a private address — review, it needs destinations.internal too; 9 requests, first today, last today, 0 B out
      # - down.example:443                      # only failures (3 times, ECONNREFUSED) — review; 3 requests, first 14 Jan, last today, GET, 5.0 KB out
      # - x.cdn.example.com:443                 # seen once — review; *.cdn.example.com above covers it; 1 request, first today, last today, GET, 0 B out
      # - gone.example.net:443                  # only failures (6 times, 404) — review; 6 requests, first today, last today, GET, 0 B out
      # - once.example.net:443                  # seen once — review; 1 request, first today, last today, GET, 0 B out
      # - redacted-0123ab.example.org:443       # part of the name was a secret or random and is not kept — review; 9 requests, first today, last today, GET, 0 B out
      # - leaky.example:443                     # not learned: aws-access-key in the query — review; 1 request, first 14 Jan, last today, GET, 5.0 KB out
      # - transfer.sh:443                       # file drop — review; 2 requests, first 14 Jan, last today, 5.0 KB out
# Private addresses that were reached. Enforce stops them, allowed or not, until they stand here:
# destinations:
#   internal:
#     - db.corp.example:5432                    # researcher: db.corp.example (10.0.0.9) is a private address; 9 requests, first today, last today, 0 B out
`,
    );
  });

  it('loads as configuration', async () => {
    const config = await configOf(allowListYaml([WHOLE], FRAME));
    assert.deepEqual(
      config.agents.get('researcher')?.allowed_domains.map((rule) => [rule.host, rule.ports, rule.methods]),
      [
        ['api.anthropic.com', [443], ['GET', 'POST']],
        ['*.cdn.example.com', [443], []],
        ['github.com', [443], []],
        ['known.example', [80], ['GET']],
        ['pastebin.com', [443], []],
        ['unused.example', [443], []],
      ],
    );
    assert.deepEqual(config.destinations.internal, []);
  });

  it('private addresses load too, once somebody takes the signs away', async () => {
    const text = allowListYaml([WHOLE], FRAME).replace(/^# (?=destinations:| {2}internal:| {4}- )/gm, '');
    const { destinations } = await configOf(text);
    assert.deepEqual(
      destinations.internal.map(({ host, ports }) => [host, ports]),
      [['db.corp.example', [5432]]],
    );
  });

  it('an agent of which nothing is certain has no list, and it is said that this allows everything', async () => {
    const all = [suggestion(agent([stat('once.example')])), suggestion(agent([], { agent: 'null' }))];
    const text = allowListYaml(all, FRAME);
    const config = await configOf(text);
    assert.deepEqual([...config.agents.keys()], ['researcher', 'null']);
    for (const one of config.agents.values()) assert.deepEqual(one.allowed_domains, []);
    assert.match(text, /^ {4}# allowed_domains:\n.*\n {6}# - once\.example:443 {2,}# seen once — review; 1 request/m);
    assert.match(text, /Nothing is certain enough for a list yet, and without one everything is allowed\./);
    assert.deepEqual(parse(celYaml(all, FRAME)), { policies: [] });
    const uncommented = text.replace(/^( +)# (?=allowed_domains|- )/gm, '$1');
    assert.equal((await configOf(uncommented)).agents.get('researcher')?.allowed_domains[0]?.host, 'once.example');
  });

  it('for Oktsec names alone, as agents.<name>.egress', () => {
    const one = suggestion(EXAMPLE, { groups: EXAMPLE_ROWS, findings: EXAMPLE_FINDINGS, names: true });
    const text = oktsecYaml([one], { ...FRAME, by: 'host' });
    assert.deepEqual(parse(text), {
      agents: {
        researcher: {
          egress: {
            allowed_domains: [
              'api.anthropic.com',
              'a.cdn.example.com',
              'b.cdn.example.com',
              'c.cdn.example.com',
              'github.com',
              'known.example',
              'pastebin.com',
              'unused.example',
            ],
          },
        },
      },
    });
    assert.match(text, /\(by host\)/);
  });

  it('as a policy it is shadowed and has every key of an export', () => {
    const { policies } = parse(celYaml([WHOLE], FRAME)) as { policies: Record<string, unknown>[] };
    const read = parsePolicies({ policies }, { name: 'suggested.yaml', kind: 'file' });
    assert.deepEqual(read.problems, []);
    assert.equal(read.set.policies.length, 1);
    const [{ match_expression, ...rest } = {}] = policies;
    assert.equal(typeof match_expression, 'string');
    assert.deepEqual(rest, {
      name: 'outside-the-list-of-researcher',
      description: 'researcher reached something its baseline does not imply',
      action: 'block',
      action_config: { message: 'not on the list' },
      applies_to: [],
      enabled: true,
      priority: 1000,
      shadow: true,
    });
  });

  it('a policy too long to be one is refused with what to type instead', () => {
    const many = agent(Array.from({ length: 1500 }, (_, i) => stat(`host-number-${i}.example-${i}.org`, { count: 9 })));
    assert.throws(() => celYaml([suggestion(many)], FRAME), /1500 entries.*weir policy suggest --agent researcher$/);
  });

  it('what comes from outside is text and nothing else', () => {
    const one = suggestion(agent([stat('a.example', { count: 5, methods: ['GET', 'X\nagents:'] })]), {
      groups: [rows('a.example')],
      findings: [told('evil.example', 'x', 'one\nagents: {}\u001b[2J'), told('a.example', 'y', 'two\r\u2028three')],
    });
    const text = allowListYaml([{ ...one, sentence: 'x\n  y: z' }], FRAME);
    assert.doesNotMatch(text, /\u001b|\r|\u2028/);
    assert.deepEqual(parse(text), { agents: { researcher: { allowed_domains: ['a.example:443'] } } });
  });
});

describe('weir policy suggest: siblings', () => {
  const siblings = (domain: string, more: Partial<DestinationStat> = {}): DestinationStat[] =>
    ['a', 'b', 'c'].map((name) => stat(`${name}.${domain}`, { count: 5, ...more }));
  const hosts = (one: AgentStat, more: Parameters<typeof suggestion>[1] = {}): string[] =>
    suggestion(one, more).entries.map(({ host }) => host);

  it('three become a wildcard, two do not, the apex stays beside it', () => {
    assert.deepEqual(hosts(agent([...siblings('example.com'), stat('example.com', { count: 5 })])), [
      '*.example.com',
      'example.com',
    ]);
    assert.deepEqual(hosts(agent(siblings('example.com').slice(1))), ['b.example.com', 'c.example.com']);
  });

  it('as narrow as they allow', () => {
    const deep = [...siblings('x.cdn.example.com'), stat('other.example.com')];
    assert.deepEqual(hosts(agent(deep)), ['*.x.cdn.example.com']);
    const parent = agent([...siblings('cdn.example.com'), stat('cdn.example.com', { count: 5 })]);
    assert.deepEqual(hosts(parent), ['*.example.com'], 'a wildcard does not cover the name it is below');
  });

  it('not of parties that share a suffix, nor of clouds', () => {
    for (const domain of ['github.io', 'co.uk', 's3.amazonaws.com', 'workers.dev'])
      assert.equal(hosts(agent(siblings(domain))).length, 3, domain);
    assert.deepEqual(hosts(agent(siblings('mine.github.io'))), ['*.mine.github.io']);
  });

  it('not of different ports', () => {
    const [a, b, c] = siblings('example.com') as [DestinationStat, DestinationStat, DestinationStat];
    assert.equal(hosts(agent([a, b, { ...c, port: 8443 }])).length, 3);
  });

  it('not where a risky destination would be covered', () => {
    const github = ['api', 'codeload', 'uploads'].map((name) => stat(`${name}.github.com`, { count: 5 }));
    assert.equal(hosts(agent(github)).length, 3, 'gist.github.com is a paste site');
    assert.equal(hosts(agent(github), { risky: riskyOf(new Map()) }).length, 1);
  });

  it('not where one of them was found with something', () => {
    const findings = [told('d.example.com', 'aws-access-key', 'aws-access-key in the path')];
    assert.equal(hosts(agent(siblings('example.com')), { groups: [rows('d.example.com')], findings }).length, 3);
    assert.equal(hosts(agent(siblings('example.com')), { groups: [rows('d.example.com')] }).length, 3);
  });

  it('what was seen once is no sibling', () => {
    assert.deepEqual(hosts(agent(siblings('example.com', { count: 1 }))), []);
  });

  it('methods of a wildcard are those of all, and none where one was not read', () => {
    const [a, b, c] = siblings('example.com') as [DestinationStat, DestinationStat, DestinationStat];
    const one = agent([a, { ...b, methods: ['POST'] }, c]);
    const groups = [a, b, c].map(({ host }) => rows(host));
    assert.deepEqual(suggestion(one, { groups }).entries[0]?.methods, ['GET', 'POST']);
    assert.deepEqual(suggestion(one, { groups: groups.slice(1) }).entries[0]?.methods, []);
  });
});

describe('weir policy suggest: methods', () => {
  const methods = (learned: readonly string[], ...groups: RowGroup[]): readonly string[] =>
    suggestion(agent([stat('a.example', { count: 5, methods: learned })]), { groups }).entries[0]?.methods ?? ['none'];

  it('where everything was read and they are few', () => {
    assert.deepEqual(methods(['GET', 'POST'], rows('a.example')), ['GET', 'POST']);
    assert.deepEqual(methods(['GET'], rows('a.example', { method: 'DELETE' })), ['GET'], 'not learned');
    assert.deepEqual(methods(['GET', 'POST']), [], 'nothing in the window says that it was read');
    assert.deepEqual(methods(['GET'], rows('a.example'), rows('a.example', { kind: 'tunnel', method: 'CONNECT' })), []);
    assert.deepEqual(methods(['CONNECT', 'GET'], rows('a.example')), [], 'once a tunnel');
    assert.deepEqual(methods(['GET', '_OTHER'], rows('a.example')), []);
    assert.deepEqual(methods(['GET', 'PROPFIND'], rows('a.example')), []);
    assert.deepEqual(methods(['DELETE', 'GET', 'PATCH', 'POST', 'PUT'], rows('a.example')), []);
    assert.deepEqual(methods([], rows('a.example')), []);
  });
});

/** Names out of few parts, so that siblings, apexes and suffixes meet. */
const host = fc.oneof(
  fc
    .tuple(
      fc.constantFrom('', 'a.', 'b.', 'c.', 'd.', 'x.y.', 'redacted-0a1b2c.'),
      fc.constantFrom('example.com', 'two.example.net', 'mine.github.io', 'github.com', 'x.co.uk', 'null', 'localhost'),
    )
    .map((parts) => parts.join('')),
  fc.constantFrom('192.0.2.1', '2001:db8::1', 'pastebin.com', 'github.io', '127.0.0.1'),
);
const port = fc.constantFrom(443, 80, 8443);
const destination = fc.record({
  host,
  port,
  count: fc.constantFrom(0, 1, 2, 400),
  firstSeen: fc.integer({ min: NOON - 90 * DAY, max: NOON }),
  lastSeen: fc.constant(NOON),
  requestBytes: fc.nat(),
  responseBytes: fc.nat(),
  methods: fc.subarray(['CONNECT', 'DELETE', 'GET', 'POST', '_OTHER']),
  status: fc.constantFrom('learned' as const, 'learned' as const, 'accepted' as const, 'ignored' as const),
});
const group = fc
  .record({
    host,
    port,
    tunnel: fc.boolean(),
    count: fc.integer({ min: 1, max: 9 }),
    good: fc.boolean(),
    blocked: fc.boolean(),
  })
  .map(({ tunnel, good, blocked, count, ...place }) =>
    rows(place.host, {
      ...place,
      count,
      kind: tunnel ? 'tunnel' : 'exchange',
      method: tunnel ? 'CONNECT' : 'GET',
      good: good ? count : 0,
      blocked: blocked ? count : 0,
    }),
  );
const findings = fc
  .record({ host, port, rule: fc.constantFrom('internal-address', 'risky-destination', 'aws-access-key') })
  .map((one) => told(one.host, one.rule, `${one.rule} was found`, { port: one.port }));
const one = fc
  .record({
    agent: fc.constantFrom('researcher', 'null', 'true', '12', 'task-*', '1e3', 'a.b-c_d'),
    destinations: fc.uniqueArray(destination, { selector: (d) => hostPort(d.host, d.port), maxLength: 24 }),
    locked: fc.boolean(),
    groups: fc.array(group, { maxLength: 12 }),
    findings: fc.array(findings, { maxLength: 2 }),
  })
  .map(({ groups, findings: all, ...more }) => {
    const own = { ...agent(more.destinations), ...more };
    const named = <T>(list: readonly T[]): T[] => list.map((row) => ({ ...row, agent: more.agent }));
    return { stat: own, suggested: suggestion(own, { groups: named(groups), findings: named(all) }), groups };
  });

describe('weir policy suggest: whatever was learned', () => {
  const STRANGERS = ['evil.example', 'a.evil.com', 'example.com.evil.org', '198.51.100.9', 'other.github.io'];
  const risky = readRisky();

  const holds = (by: (text: Suggestion) => ReturnType<typeof judge>, list: boolean): void => {
    fc.assert(
      fc.property(one, ({ stat: { agent: name, destinations }, suggested }) => {
        const who = name;
        const allows = by(suggested);
        const { entries, doubts } = suggested;
        if (entries.length === 0) return;
        const covered = (place: { host: string; port: number }): boolean =>
          entries.some((entry) => entry.port === place.port && matchHost(entry.host, place.host));
        for (const entry of entries) {
          for (const place of entry.places) {
            assert.ok(allows(who, place, entry.methods[0] ?? 'GET'), `${hostPort(place.host, place.port)} is learned`);
            assert.equal(allows(who, place, 'PUT'), entry.methods.length === 0);
          }
          if (entry.host.startsWith('*.')) {
            assert.ok(new Set(entry.places.map((place) => place.host)).size >= 3);
            assert.ok(!risky.below(entry.host.slice(2)), entry.host);
          }
        }
        for (const { place } of doubts)
          assert.equal(allows(who, place, 'PUT') && !covered(place), false, `${place.host} is left out`);
        for (const place of destinations) {
          const listed = entries.some(({ places }) =>
            places.some((p) => p.host === place.host && p.port === place.port),
          );
          assert.equal(listed && place.status === 'ignored', false);
          if (!listed && !covered(place)) assert.ok(!allows(who, place), `${place.host} is not on the list`);
          if (place.status === 'accepted' && !place.host.startsWith('redacted-'))
            assert.ok(listed, `${place.host} was accepted`);
        }
        for (const stranger of STRANGERS) assert.ok(!allows(who, { host: stranger, port: 443 }), stranger);
        if (list) assert.ok(allows('somebody-else', { host: 'evil.example', port: 443 }), 'another agent');
      }),
      { numRuns: 300 },
    );
  };

  it('the list loads, allows what is on it, and nothing else', () =>
    holds((suggested) => judge(allowListYaml([suggested], FRAME)), true));

  it('the policy says the same of the same', () =>
    holds((suggested) => {
      const asked = judgeByPolicy(celYaml([suggested], FRAME));
      return (who, place, method) => asked(who.replace('*', '7'), place, method);
    }, true));

  it('what it would have stopped is what the inspector stops', () => {
    fc.assert(
      fc.property(one, ({ stat: { agent: name }, suggested, groups }) => {
        if (suggested.entries.length === 0) return;
        const allows = judge(allowListYaml([suggested], FRAME));
        let lost = 0;
        for (const row of groups) if (!allows(name, row, row.method)) lost += row.count - row.blocked;
        assert.equal(suggested.stopped.stopped, lost);
      }),
      { numRuns: 200 },
    );
  });

  it('ignored destinations are never named', () => {
    const all = agent([stat('a.example', { count: 5 }), stat('secret.example.org', { count: 5, status: 'ignored' })]);
    const made = suggestion(all, {
      groups: [rows('secret.example.org')],
      findings: [told('secret.example.org', 'internal-address', 'secret.example.org is a private address')],
    });
    for (const text of [allowListYaml([made], FRAME), celYaml([made], FRAME), oktsecYaml([made], FRAME)])
      assert.doesNotMatch(text, /secret/);
    assert.deepEqual([made.stopped.stopped, made.stopped.ignored], [3, 3]);
  });
});

describe('shapes of what was used', () => {
  it('paths without their identifiers, as far as they say anything', () => {
    assert.deepEqual(pathShapes(['/v1/users/12', '/v1/users/77', '/v1/users/9f8e7d6c5b4a']), ['/v1/users/*']);
    assert.deepEqual(pathShapes(['/v1/chat', '/v1/files', '/v1/models', '/v1/batches', '/health']), [
      '/health',
      '/v1/*',
    ]);
    assert.deepEqual(pathShapes(['/a', '/b', '/c', '/d']), []);
    assert.deepEqual(pathShapes(['/bot[TELEGRAM_REDACTED]/send']), ['/*/send']);
    assert.deepEqual(pathShapes([]), []);
  });

  it('of what was learned before the window the baseline tells', () => {
    const learned = stat('old.example', { count: 30, pathShapes: ['/v1/users/*'], hours: (1 << 8) | (1 << 12) });
    const { entries } = suggestion(agent([learned]), { groups: [] });
    const words = evidence(entries[0]?.places ?? [], Date.now());
    assert.match(words, /, \/v1\/users\/\*, 08–13 UTC$/);
    assert.deepEqual(entries[0]?.paths, []);
  });

  it('hours as one part of the day, over midnight too', () => {
    const bits = (...hours: number[]) => hours.reduce((all, hour) => all | (1 << hour), 0);
    assert.equal(hoursText(bits(8, 9, 12, 17)), '08–18 UTC');
    assert.equal(hoursText(bits(22, 23, 0, 1)), '22–02 UTC');
    assert.equal(hoursText(bits(0)), '00–01 UTC');
    assert.equal(hoursText(bits(0, 4, 8, 12, 16, 20)), '');
    assert.equal(hoursText(0), '');
  });
});

describe('paths, where a host belongs to many parties', () => {
  const learned = agent([stat('github.com', { count: 9, methods: ['GET', 'POST'] })], {
    accounts: [
      account('github.com', 'github.com/acme', 'tenant'),
      account('github.com', 'github.com/acme-labs', 'tenant'),
    ],
  });
  const paths = (...heads: string[]): readonly string[] =>
    suggestion(learned, { groups: [rows('github.com', { heads, count: 9 })] }).entries[0]?.paths ?? [];

  it('down to the owner, where everything stays with owners that are written to', () => {
    assert.deepEqual(paths('/acme/web/info', '/acme/api', '/acme-labs/x'), ['/acme', '/acme-labs']);
    assert.deepEqual(paths('/repos/acme/web'), ['/repos/acme']);
  });

  it('none where anything else was read, or cannot be written', () => {
    assert.deepEqual(paths('/acme/web', '/nodejs/node'), []);
    assert.deepEqual(paths('/a[X_REDACTED]/acme'), []);
    assert.deepEqual(suggestion(learned, { groups: [rows('github.com', { count: 9 })] }).entries[0]?.paths, []);
    assert.deepEqual(
      suggestion(agent([stat('a.example', { count: 9 })]), { groups: [rows('a.example', { heads: ['/v1'] })] })
        .entries[0]?.paths,
      [],
    );
  });

  it('as a line that says so, and that holds', async () => {
    const one = suggestion(learned, { groups: [rows('github.com', { heads: ['/acme/web'], count: 9 })] });
    const text = allowListYaml([one], FRAME);
    assert.match(
      text,
      /- \{ host: github\.com, ports: \[443\], methods: \[GET, POST\], paths: \["\/acme"\] \} # 9 requests/,
    );
    const config = await configOf(text);
    assert.deepEqual(config.agents.get('researcher')?.allowed_domains[0]?.paths, ['/acme']);
  });
});

describe('weir policy suggest without a collector reads the file', () => {
  const dir = tempDir();
  const env = { HOME: dir, WEIR_STATE_DIR: dir };
  const now = Date.now();
  before(async () => {
    const store = await openStore(options(dir));
    const sent = { agent: 'coder', startedAt: now - 60_000 } as const;
    await store.consume(
      [
        ...Array.from({ length: 3 }, () => exchange({ ...sent, host: 'api.test', method: 'POST', requestBytes: 500 })),
        exchange({ ...sent, agent: 'pusher', host: 'git.test', target: '/acme/web?x=1', method: 'POST' }),
        exchange({ ...sent, agent: 'pusher', host: 'git.test', target: '/acme/api/pull', method: 'POST' }),
        exchange({ ...sent, agent: 'pusher', host: 'git.test', target: '/nobody/x', method: 'POST', status: 404 }),
        exchange({ ...sent, host: 'once.test' }),
        exchange({
          ...sent,
          host: 'down.test',
          teaches: false,
          status: 502,
          outcome: 'failed',
          errorType: 'ECONNREFUSED',
        }),
        exchange({
          ...sent,
          host: 'inner.test',
          findings: [
            finding({
              rule: 'internal-address',
              severity: 'medium',
              message: 'inner.test (10.0.0.1) is a private address',
            }),
          ],
        }),
        exchange({ ...sent, host: 'inner.test' }),
        exchange({ ...sent, host: 'old.test', startedAt: now - 20 * DAY }),
        exchange({ ...sent, host: 'old.test', startedAt: now - 20 * DAY }),
        ...[1, 2, 3].map((n) =>
          exchange({ ...sent, agent: `task-${n}`, baselineAgent: 'task-*', host: 'shared.test' }),
        ),
        edit('ignore', [stat('noise.test')], 'coder'),
        {
          ...edit('accept', [stat('pastebin.com')], 'coder'),
          accounts: [account('api.test', 'api.test/acme', 'tenant', { agent: 'coder' })],
        },
        {
          ...edit('accept', [], 'pusher'),
          accounts: [account('git.test', 'git.test/acme', 'tenant', { agent: 'pusher' })],
        },
      ],
      18,
    );
    await store.close(1000);
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('the list of one agent', async () => {
    const { code, out, err } = await weir(['policy', 'suggest', '--agent', 'coder'], env);
    assert.deepEqual([code, err], [0, '']);
    const lines = out.split('\n').map((line) => line.replace(/ +/g, ' ').trim());
    const rule = (text: string): string => lines.find((line) => line.startsWith(text)) ?? '';
    assert.equal(
      rule('- POST api.test'),
      '- POST api.test:443 # 3 requests, first today, last today, POST, 1.5 KB out, /v1/things; writes to api.test/acme',
    );
    assert.match(rule('- pastebin.com'), /^- pastebin\.com:443 # accepted, /);
    assert.match(rule('- GET old.test'), /^- GET old\.test:443 # 2 requests, /);
    assert.match(rule('# - once.test'), /^# - once\.test:443 # seen once — review; /);
    assert.match(rule('# - down.test'), /only failures \(1 time, ECONNREFUSED\) — review/);
    assert.match(rule('# - inner.test'), /inner\.test \(10\.0\.0\.1\) is a private address — review/);
    assert.doesNotMatch(out, /noise/);
    assert.match(
      out,
      /^# {5}- inner\.test:443 {2,}# coder: inner\.test \(10\.0\.0\.1\) is a private address; 2 requests/m,
    );
    assert.match(
      out,
      /# Of 9 exchanges in the last 30 d this list would have stopped 4 \(by host, port and method\): inner\.test:443 2, down\.test:443 1, once\.test:443 1\./,
    );
    const config = await configOf(out);
    assert.equal(config.agents.get('coder')?.allowed_domains.length, 3);
  });

  it('paths come from the rows that went well', async () => {
    const { out } = await weir(['policy', 'suggest', '--agent', 'pusher'], env);
    assert.match(
      out,
      /- \{ host: git\.test, ports: \[443\], methods: \[POST\], paths: \["\/acme"\] \} # accepted, 3 requests/,
    );
  });

  it('only rows since then, of all agents, groups that learn as one with theirs', async () => {
    const { out } = await weir(['policy', 'suggest', '--since', '7d', '--json'], env);
    const all = JSON.parse(out) as Suggestion[];
    assert.deepEqual(
      all.map((s) => [
        s.agent,
        s.stopped.exchanges,
        s.entries.map(({ host: h, methods }) => `${methods.join(' ')} ${h}`),
      ]),
      [
        ['coder', 7, ['POST api.test', ' old.test', ' pastebin.com']],
        ['pusher', 3, ['POST git.test']],
        ['task-*', 3, ['GET shared.test']],
      ],
    );
    const member = await weir(['policy', 'suggest', '--agent', 'task-2'], env);
    assert.match(member.out, /^ {2}"task-\*":\n {4}allowed_domains:\n {6}- GET shared\.test:443 /m);
    assert.match(member.out, /# Of 3 exchanges in /);
    const file = join(dir, 'own.yaml');
    writeFileSync(file, 'agents: { task-2: {}, "task-*": { baseline: as-one } }\n', { mode: 0o600 });
    const others = await weir(['policy', 'suggest', '--agent', 'task-1', '--config', file], env);
    assert.match(others.out, /# Of 2 exchanges in /, 'what an agent of its own sent is not theirs');
    assert.ok(others.out.includes(`weir check --config ${file}`), others.out);
  });

  it('in other forms', async () => {
    const { out } = await weir(['policy', 'suggest', '--agent', 'coder', '--as', 'cel'], env);
    assert.ok(judgeByPolicy(out)('coder', { host: 'api.test', port: 443 }, 'POST'));
    assert.ok(!judgeByPolicy(out)('coder', { host: 'once.test', port: 443 }));
    const names = await weir(['policy', 'suggest', '--agent', 'coder', '--as', 'oktsec'], env);
    assert.deepEqual(parse(names.out), {
      agents: { coder: { egress: { allowed_domains: ['api.test', 'old.test', 'pastebin.com'] } } },
    });
    const wrong = await weir(['policy', 'suggest', '--as', 'rego'], env);
    assert.equal(wrong.code, 2);
    assert.match(wrong.err, /allowlist, cel, oktsec/);
  });

  it('an unknown agent, and nothing at all, are said', async () => {
    const unknown = await weir(['policy', 'suggest', '--agent', 'nobody'], env);
    assert.deepEqual([unknown.code, unknown.out], [1, '']);
    assert.equal(unknown.err, 'weir: nothing is learned of nobody. Who is known: weir status\n');
    const empty = tempDir();
    const none = await weir(['policy', 'suggest'], { HOME: empty, WEIR_STATE_DIR: empty });
    assert.deepEqual(
      [none.code, none.err],
      [1, 'weir: nothing is learned yet: send something through Weir first (weir run -- COMMAND)\n'],
    );
    assert.equal(
      (await weir(['baseline', 'show'], { HOME: empty, WEIR_STATE_DIR: empty })).out,
      'Nothing is learned yet.\n',
    );
    rmSync(empty, { recursive: true, force: true });
  });

  it('weir baseline show reads the file too', async () => {
    const { code, out, err } = await weir(['baseline', 'show', 'coder'], env);
    assert.deepEqual([code, err], [0, '']);
    assert.match(out, /^coder: \d+ requests, 6 destinations\nDESTINATION +STATUS /);
    assert.match(out, /^api\.test:443 +learned +3 +1\.5 KB /m);
    assert.match(out, /^noise\.test:443 +ignored /m);
    assert.match(out, /^writes at api\.test to: api\.test\/acme$/m);
  });
});

describe('weir policy suggest with a collector', () => {
  it('takes what it has learned and says, and the rows it writes out', async () => {
    const dir = tempDir();
    const learned = agent([stat('api.test', { count: 5 })], { agent: 'coder' });
    const collector = await fakeCollector(dir, {
      baselines: async () => [learned],
      prepareQuery: async () => ({ snapshotDir: dir }),
    });
    try {
      const { code, out, err } = await weir(['policy', 'suggest', '--agent', 'coder'], {
        HOME: dir,
        WEIR_STATE_DIR: dir,
      });
      assert.deepEqual([code, err], [0, '']);
      assert.match(out, /^ {6}- api\.test:443 {2,}# 5 requests/m);
      assert.match(out, /No exchange of the last 30 d is recorded to hold this list against\./);
    } finally {
      await collector.stop();
      rmSync(dir, { recursive: true, force: true });
    }
  });
});
