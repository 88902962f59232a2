import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { receiptLines } from '../../../src/cli/receipt.ts';
import { amount, short } from '../../../src/cli/receipt-words.ts';
import { printable } from '../../../src/model/printable.ts';
import type { ReportFacts, ReportNew } from '../../../src/model/report.ts';
import { at, destination, EXAMPLE, facts } from './report-facts.ts';

const text = (f: ReportFacts, width = 80): string => receiptLines(f, { width }).join('\n');

describe('the receipt', () => {
  it('of the specification, line by line', () => {
    assert.deepEqual(receiptLines(EXAMPLE, { width: 104 }), [
      'weir  claude  14:02–14:41  exit 0                                    monitor · cooperative',
      '  went to   7 destinations · 412 requests · 3.1 MB out · 48 MB in',
      '            api.anthropic.com       388   2.9 MB out   1.2 M tokens in, 38 k out',
      '            github.com/acme           6   180 KB out',
      '  new       files.example.net       first contact, 41 KB uploaded          ← look',
      '            api.anthropic.com       a credential claude has never used     ← look',
      '  leaving   aws-access-key in POST api.github.com/gists                    would block',
      '  unseen    2 direct connections around Weir (ssh → 140.82.112.4:22), sampled 4×/s',
      "            gh: 3 hosts tunnelled, not read (does not trust Weir's CA: weir ca trust --only github.com)",
      '  enforce   would have stopped 2 of 412                     weir policy suggest --agent claude',
    ]);
  });

  it('tells what came in apart from what leaves', () => {
    const found = { method: 'GET', host: 'x.test', path: '/', count: 1, action: 'forward' } as const;
    const leaving = [
      { ...found, rule: 'aws-access-key', would: 'block' },
      { ...found, rule: 'exfiltrate-secrets', would: 'none', incoming: true },
    ] as const;
    const lines = receiptLines(facts({ leaving }), { width: 80 });
    assert.deepEqual(
      lines.filter((line) => line.includes('x.test')),
      [
        '  leaving   aws-access-key in GET x.test/                            would block',
        '  incoming  exfiltrate-secrets in the answer to GET x.test/          ← look',
      ],
    );
  });

  it('of the specification on 80 columns', () => {
    assert.deepEqual(receiptLines(EXAMPLE, { width: 80 }), [
      'weir  claude  14:02–14:41  exit 0                          monitor · cooperative',
      '  went to   7 destinations · 412 requests · 3.1 MB out · 48 MB in',
      '            api.anthropic.com    388   2.9 MB out   1.2 M tokens in, 38 k out',
      '            github.com/acme        6   180 KB out',
      '  new       files.example.net    first contact, 41 KB uploaded       ← look',
      '            api.anthropic.com    a credential claude has never used  ← look',
      '  leaving   aws-access-key in POST api.github.com/gists              would block',
      '  unseen    2 direct connections around Weir (ssh → 140.82.112.4:22),',
      '            sampled 4×/s',
      "            gh: 3 hosts tunnelled, not read (does not trust Weir's CA:",
      '            weir ca trust --only github.com)',
      '  enforce   would have stopped 2 of 412       weir policy suggest --agent claude',
    ]);
  });

  it('is one line when there is nothing to say', () => {
    const run = { id: 'r', program: 'true', code: 0, restarts: 0 };
    assert.equal(
      text(facts({ agents: ['true'], run, to: at(14, 2) })),
      'weir  true  14:02–14:02  exit 0   nothing left this command through Weir',
    );
    assert.equal(
      text(facts({ agents: ['true'], run, to: at(14, 2) }), 60),
      'weir  true  14:02–14:02  exit 0   nothing left through Weir',
    );
    assert.equal(text(facts({})), 'weir  report  14:02–14:41   nothing was recorded');
    assert.equal(
      text(facts({ filter: { agent: 'claude', since: 0 } })),
      'weir  claude  14:02–14:41   nothing was recorded',
    );
  });

  it('has no line that says nothing', () => {
    const one = { agents: ['a'], destinations: 1, requests: 1, requestBytes: 0, responseBytes: 1, runs: 1 };
    assert.deepEqual(receiptLines(facts({ ...one, top: [destination('x.test', 1, 0)] }), { width: 80 }), [
      'weir  a  14:02–14:41  1 run                                monitor · cooperative',
      '  went to   1 destination · 1 request · 0 B out · 1 B in',
      '            x.test                    1   0 B out',
    ]);
  });

  it('says which destinations did not answer', () => {
    const top = [
      { ...destination('a.test', 1200, 0), failed: 3, inputTokens: 5 },
      { ...destination('b.test', 1, 0), failed: 1 },
    ];
    assert.deepEqual(receiptLines(facts({ requests: 1201, destinations: 2, top }), { width: 80 }).slice(2), [
      '            a.test                  1200   0 B out   5 tokens in, 3 failed',
      '            b.test                     1   0 B out   1 failed',
    ]);
  });

  it('says how the command ended, and the day where it is another', () => {
    const run = { id: 'r', program: 'x', signal: 'SIGINT', restarts: 0 };
    const f = facts({ agents: ['x'], run, remarks: ['r'] });
    assert.match(text(f), /^weir {2}x {2}14:02–14:41 {2}signal SIGINT {2,}monitor/);
    const later = receiptLines(f, { width: 90, now: at(9, 0) + 86_400_000 });
    assert.match(later[0] ?? '', /^weir {2}x {2}20 Nov 14:02–14:41 /);
    const long = facts({ agents: ['x'], from: at(14, 2) - 7 * 86_400_000, remarks: ['r'] });
    assert.match(text(long), /^weir {2}x {2}13 Nov 14:02–20 Nov 14:41 /);
    const narrow = receiptLines(facts({ ...long, runs: 12, agents: ['an-agent-of-some-name'] }), { width: 60 });
    assert.deepEqual(narrow.slice(0, 2), [
      'weir  an-agent-of-some-name  13 Nov 14:02–20 Nov 14:41  12 runs',
      '      monitor · cooperative',
    ]);
  });

  it('folds the first contacts of a learning agent, and says what a name is when it is unusual', () => {
    const first = (host: string): ReportNew => news('first-contact', host);
    const f = facts({ agents: ['a'], new: ['a.test', 'b.test', 'c.test'].map(first) });
    assert.match(text(f), /^ {2}new {7}3 first contacts while learning: a\.test, b\.test, c\.test$/m);
    const many = facts({ new: Array.from({ length: 40 }, (_, i) => first(`host-number-${i}.test`)) });
    const [, line = ''] = receiptLines(many, { width: 80 });
    assert.match(line, /^ {2}new {7}40 first contacts while learning: host-number-0\.test, …$/);
    assert.ok(line.length <= 80, line);
    const totals = { new: 0, firstContacts: 900, leaving: 0 };
    assert.match(text(facts({ new: [first('a.test')], totals })), /900 first contacts while learning: a\.test, …$/m);
    const other = [
      news('new-port', 'a.test', { port: 8443 }),
      news('new-method', 'a.test', { message: 'this agent has never used DELETE at a.test' }),
      news('tenant-first-seen', 'git.test', {
        message: 'a wrote to git.test/evil, it has only written to git.test/acme',
      }),
      news('credential-first-seen', 'git.test'),
      news('silence', '', { message: 'quiet for long' }),
      news('first-seen', '2001:db8::1', { port: 8080, severity: 'info', requestBytes: 300 }),
    ];
    assert.deepEqual(
      receiptLines(facts({ new: other }), { width: 80 })
        .slice(1)
        .map((l) => l.trim().replace(/ {2,}/g, ' | ')),
      [
        'new | a.test:8443 | a port never used there before | ← look',
        'a.test | DELETE never used there before | ← look',
        'git.test | first write to git.test/evil | ← look',
        'git.test | a credential claude has never used | ← look',
        'quiet for long | ← look',
        '[2001:db8::1]:8080 | first contact | ← look',
      ],
    );
  });

  it('marks what was done and what would be, and colours only through style', () => {
    const leaving = (action: 'forward' | 'redact' | 'block', would: 'none' | 'redact' | 'block', count = 1) =>
      ({ rule: 'pii-email', method: 'POST', host: 'h.test', path: '/p', count, action, would }) as const;
    const f = facts({
      leaving: [
        leaving('block', 'none', 3),
        leaving('redact', 'none'),
        leaving('redact', 'block'),
        leaving('forward', 'redact'),
        leaving('forward', 'none'),
      ],
      blocked: 3,
      redacted: 2,
      requests: 10,
      destinations: 1,
      top: [destination('h.test', 10, 1)],
    });
    const marks = receiptLines(f, { width: 80 }).filter((l) => l.includes('pii-email'));
    assert.deepEqual(
      marks.map((l) => l.slice(68)),
      ['blocked', 'redacted', 'would block', 'would redact', '← look'],
    );
    assert.match(marks[0] ?? '', /pii-email in POST h\.test\/p, 3 times /);
    assert.match(text(f), /^ {2}enforce {3}stopped 3, redacted 2 of 10 +weir policy suggest$/m);
    assert.match(text(facts({ redacted: 1, requests: 1 })), /^ {2}enforce {3}redacted 1 of 1$/m);
    const styled = receiptLines(EXAMPLE, { width: 90, style: (name, t) => `<${name}>${t}</>` });
    assert.match(styled[0] ?? '', /^weir {2}<bold>claude<\/> {2}14:02/);
    assert.match(styled.join('\n'), /<dim> {2}new {7}<\/>files/);
    assert.match(styled.join('\n'), /<yellow>would block<\/>/);
    const plain = styled.map((l) => l.replace(/<\w*>|<\/>/g, ''));
    assert.deepEqual(plain, receiptLines(EXAMPLE, { width: 90 }));
  });

  it('never says that nothing went around', () => {
    const quiet = facts({ ...EXAMPLE, direct: [], directWatched: true, unread: [] });
    assert.doesNotMatch(text(quiet), /unseen|direct/);
    const direct = [
      { program: 'ssh', address: '192.0.2.1', port: 22, count: 3 },
      { program: 'curl', address: '2001:db8::1', port: 443, count: 1 },
      { program: 'x', address: '192.0.2.3', port: 1, count: 1 },
    ];
    assert.match(
      text(facts({ direct }), 120),
      /unseen {4}5 direct connections around Weir \(ssh → 192\.0\.2\.1:22 ×3, curl → \[2001:db8::1\]:443, 1 more\), sampled 4×\/s$/m,
    );
    assert.match(text(facts({ direct: direct.slice(2), directTotal: 7 })), /7 direct connections around Weir \(x →/);
    const unread = [{ reason: 'client-certificate-required', hosts: ['mtls.test'] }];
    assert.match(
      text(facts({ unread }), 120),
      /1 host tunnelled, not read \(mtls\.test: asks for a client certificate\)$/m,
    );
  });

  it('ends with what is missing in the record', () => {
    const remarks = ['the collector died once and was started again'];
    assert.equal(
      receiptLines(facts({ remarks }), { width: 80 }).at(-1),
      '  note      the collector died once and was started again',
    );
  });

  it('keeps the end of a long host and the beginning of a long party', () => {
    const top = [
      destination('api.anthropic.com.login-service-with-a-long-name.and-more.evil.example', 12, 5e6),
      {
        ...destination('github.com', 3, 0),
        tenant: 'github.com/an-organisation-with-a-name-beyond-all-measure-of-a-line',
      },
    ];
    const lines = receiptLines(facts({ destinations: 2, requests: 15, top }), { width: 60 });
    assert.match(lines[2] ?? '', /^ {12}….*\.evil\.example {2} 12 {3}5\.0 MB out$/);
    assert.match(lines[3] ?? '', /^ {12}github\.com\/an-.*… {2} {2}3 {3}0 B out$/);
    for (const line of lines) assert.ok(line.length <= 60, line);
  });
});

it('amounts', () => {
  assert.deepEqual([0, 999, 1000, 9949, 9960, 180_400, 999_600, 3.1e6, 48e6, 1.5e13, Number.NaN, -1].map(amount), [
    '0 B',
    '999 B',
    '1.0 KB',
    '9.9 KB',
    '10 KB',
    '180 KB',
    '1.0 MB',
    '3.1 MB',
    '48 MB',
    '15 TB',
    '0 B',
    '0 B',
  ]);
  assert.deepEqual([412, 38_000, 1_200_000].map(short), ['412', '38 k', '1.2 M']);
});

function news(rule: string, host: string, more: Partial<ReportNew> = {}): ReportNew {
  return { rule, agent: 'claude', host, port: 443, message: '', requestBytes: 0, ...more };
}

const word = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.constantFrom('', 'a.test', '\u001b[2J', '\n\n'),
);
const count = fc.oneof(fc.nat(), fc.constantFrom(0, 1, Number.MAX_SAFE_INTEGER));
const listOf = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 30 });
const action = fc.constantFrom('forward', 'redact', 'block');
const would = fc.constantFrom('none', 'redact', 'block');
const anyFacts: fc.Arbitrary<ReportFacts> = fc.record(
  {
    filter: fc.record({ agent: word }, { requiredKeys: [] }),
    agents: fc.array(word, { maxLength: 3 }),
    from: fc.oneof(fc.integer(), fc.constant(Number.NaN)),
    to: fc.integer(),
    mode: fc.constantFrom('monitor', 'redact', 'enforce'),
    containment: fc.constantFrom('cooperative', 'separate-user', 'network'),
    run: fc.option(
      fc.record(
        { id: word, program: word, code: fc.nat(255), signal: word, restarts: count },
        { requiredKeys: ['id', 'program', 'restarts'] },
      ),
      { nil: undefined },
    ),
    runs: count,
    destinations: count,
    requests: count,
    requestBytes: count,
    responseBytes: count,
    top: listOf(
      fc.record(
        {
          host: word,
          port: fc.nat(65535),
          tenant: word,
          requests: count,
          requestBytes: count,
          responseBytes: count,
          inputTokens: count,
          outputTokens: count,
        },
        { requiredKeys: ['host', 'port', 'requests', 'requestBytes', 'responseBytes'] },
      ),
    ),
    new: listOf(
      fc.record(
        {
          rule: fc.oneof(word, fc.constantFrom('first-seen', 'first-contact', 'credential-never-seen', 'new-method')),
          agent: word,
          host: word,
          port: fc.nat(65535),
          message: word,
          requestBytes: count,
          action,
          would,
        },
        { requiredKeys: ['rule', 'agent', 'host', 'port', 'message', 'requestBytes'] },
      ),
    ),
    leaving: listOf(fc.record({ rule: word, method: word, host: word, path: word, count, action, would })),
    direct: listOf(fc.record({ program: word, address: word, port: fc.nat(65535), count })),
    directWatched: fc.boolean(),
    unread: listOf(
      fc.record(
        { reason: fc.oneof(word, fc.constant('client-rejected-ca')), client: word, hosts: fc.array(word) },
        { requiredKeys: ['reason', 'hosts'] },
      ),
    ),
    wouldBlock: count,
    blocked: count,
    redacted: count,
    remarks: listOf(word),
  },
  { noNullPrototype: true },
) as fc.Arbitrary<ReportFacts>;

it('names and counts of ordinary size stay within the width, but for commands to copy', () => {
  const name = fc.stringMatching(/^[a-z0-9.-]{1,70}$/);
  const n = fc.nat(9_999_999);
  const host = fc.record({ host: name, port: fc.constantFrom(443, 80, 8443) });
  const some = <T>(item: fc.Arbitrary<T>) => fc.array(item, { maxLength: 9 });
  const rule = fc.constantFrom('first-seen', 'credential-first-seen', 'new-port', 'other', 'first-contact');
  fc.assert(
    fc.property(
      some(fc.tuple(host, n, n)),
      some(fc.tuple(host, rule, action, would)),
      some(fc.tuple(host, name, n, action, would)),
      fc.array(n, { minLength: 4, maxLength: 4 }),
      fc.integer({ min: 60, max: 140 }),
      (top, told, leaving, [a = 0, b = 0, c = 0, d = 0], width) => {
        const f = facts({
          agents: ['an-agent'],
          destinations: a % 1000,
          requests: b,
          requestBytes: c,
          responseBytes: d,
          wouldBlock: a,
          top: top.map(([at, requests, sent]) => ({ ...destination(at.host, requests, sent), port: at.port })),
          new: told.map(([at, what, done, could]) => ({
            ...news(what, at.host, { message: 'm'.repeat(150), agent: 'an-agent' }),
            action: done as 'block',
            would: could as 'block',
          })),
          leaving: leaving.map(([at, path, count, done, could]) => ({
            rule: 'aws-access-key',
            method: 'POST',
            host: at.host,
            path,
            count,
            action: done as 'block',
            would: could as 'block',
          })),
        });
        for (const line of receiptLines(f, { width })) assert.ok(line.length <= width, `${width}: ${line}`);
      },
    ),
    { numRuns: 300 },
  );
});

it('whatever the facts: at most 20 lines, each printable and one line', () => {
  fc.assert(
    fc.property(anyFacts, fc.integer({ min: -5, max: 300 }), (f, width) => {
      const lines = receiptLines(f, { width });
      assert.ok(lines.length >= 1 && lines.length <= 20, `${lines.length} lines`);
      for (const line of lines) assert.equal(printable(line, 10_000), line);
    }),
    { numRuns: 400 },
  );
});
