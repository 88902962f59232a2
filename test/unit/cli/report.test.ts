import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { reportMarkdown } from '../../../src/cli/report-markdown.ts';
import { period } from '../../../src/cli/time.ts';
import type { ReportFacts } from '../../../src/model/report.ts';
import { refOf, ulid } from '../../../src/model/ulid.ts';
import { openStore } from '../../../src/store/database.ts';
import { exchange, finding, options, run } from '../store/help.ts';
import { at, destination, EXAMPLE, facts } from './report-facts.ts';
import { tempDir, weir } from './world.ts';

describe('weir report without a collector reads the file', () => {
  const dir = tempDir();
  const env = { HOME: dir, WEIR_STATE_DIR: dir };
  const now = Date.now();
  const id = ulid(now - 60_000);
  before(async () => {
    const store = await openStore(options(dir));
    const first = { agent: 'claude', startedAt: now - 60_000, firstSeen: true, runId: id } as const;
    await store.consume(
      [
        exchange({ ...first, host: 'one.test', requestBytes: 1500 }),
        exchange({ agent: 'other', startedAt: now - 30_000, host: 'two.test', would: 'block', findings: [finding()] }),
        exchange({ agent: 'claude', startedAt: now - 3 * 86_400_000, host: 'three.test' }),
        run({ id, agent: 'claude', program: 'claude', startedAt: now - 61_000, endedAt: now - 50_000, direct: [] }),
      ],
      4,
    );
    await store.close(1000);
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  it('the last day, as text', async () => {
    const { code, out, err } = await weir(['report'], env);
    assert.deepEqual([code, err], [0, '']);
    const times = period(now - 60_000, now - 29_987.5, now);
    assert.deepEqual(out.trimEnd().split('\n'), [
      `${`weir  2 agents  ${times}  1 run`.padEnd(59)}monitor · cooperative`,
      '  went to   2 destinations · 2 requests · 1.5 KB out · 400 B in',
      '            one.test                  1   1.5 KB out',
      '            two.test                  1   10 B out',
      '  new       1 first contact while learning: one.test',
      '  enforce   would have stopped 1 of 2                       weir policy suggest',
    ]);
  });

  it('of an agent, of a time, of a run', async () => {
    const hosts = async (...args: string[]): Promise<string[]> => {
      const { out, err } = await weir(['report', '--json', ...args], env);
      assert.equal(err, '');
      return (JSON.parse(out) as ReportFacts).top.map(({ host }) => host).sort();
    };
    assert.deepEqual(await hosts('--agent', 'claude'), ['one.test']);
    assert.deepEqual(await hosts('--since', '7d', '--agent', 'claude'), ['one.test', 'three.test']);
    assert.deepEqual(await hosts('--since', '7d', '--until', '2d'), ['three.test']);
    assert.deepEqual(await hosts('--until', '60h'), ['three.test'], 'the day before');
    assert.deepEqual(await hosts('--run', id), ['one.test']);
    assert.deepEqual(await hosts('--run', refOf(id).toLowerCase()), ['one.test']);
    assert.match((await weir(['report', '--run', id], env)).out, /^weir {2}claude {2}\S.*–.* {2}exit 0 {2,}monitor/);
  });

  it('as Markdown', async () => {
    const { out } = await weir(['report', '--markdown', '--agent', 'claude'], env);
    assert.match(out, /^## Weir: `claude`, .*, 1 run\n\n\*\*monitor\*\* · cooperative · 1 destination · 1 request · /);
    assert.match(out, /^\| `one\.test` \| 1 \| 1\.5 KB \| 200 B \|$/m);
  });

  it('what makes no sense is said', async () => {
    const fails = async (args: string[], code: number, text: RegExp): Promise<void> => {
      const ran = await weir(['report', ...args], env);
      assert.equal(ran.code, code, ran.err);
      assert.match(ran.err, text);
      assert.equal(ran.out, '');
    };
    await fails(['--since', 'tuesday'], 2, /Write 7d, 2h, 30m or a date/);
    await fails(['--run', "x' OR true --"], 2, /Write the id of a run or its last 10 characters/);
    await fails(['--run', '0123456789'], 1, /no run 0123456789 is recorded\. Which there are: weir query "SELECT/);
    await fails(['--since', '1h', '--until', '2h'], 2, /nothing can be between them/);
    await fails(['--markdown', '--json'], 2, /choose one/);
    const nobody = await weir(['report', '--agent', "no'body"], env);
    assert.match(nobody.out, /^weir {2}no'body {2}.* {3}nothing was recorded\n$/);
  });

  it('an agent that is no other text than its name', async () => {
    const { out } = await weir(['report', '--agent', 'a\u001b[2J\u202e'], env);
    assert.match(out, /^weir {2}a<U\+001B>\[2J<U\+202E> /);
  });
});

describe('Markdown', () => {
  it('of the example of the specification', () => {
    assert.equal(
      reportMarkdown(EXAMPLE, EXAMPLE.to),
      `## Weir: \`claude\`, 14:02–14:41, exit 0

**monitor** · cooperative · 7 destinations · 412 requests · 3.1 MB out · 48 MB in

| destination | requests | out | in | tokens in | tokens out |
| --- | ---: | ---: | ---: | ---: | ---: |
| \`api.anthropic.com\` | 388 | 2.9 MB | 0 B | 1.2 M | 38 k |
| \`github.com/acme\` | 6 | 180 KB | 0 B |  |  |

… and 5 more

### New

| where | what | agent |  |
| --- | --- | --- | --- |
| \`files.example.net\` | \`first contact, 41 KB uploaded\` | \`claude\` | ← look |
| \`api.anthropic.com\` | \`a credential claude has never used\` | \`claude\` | ← look |

### Leaving

| rule | in | times |  |
| --- | --- | ---: | --- |
| \`aws-access-key\` | \`POST api.github.com/gists\` | 1 | would block |

### Unseen

Connections around Weir, sampled 4×/s. Sampling proves these; it cannot prove that there were no others.

| program | to | sockets |
| --- | --- | ---: |
| \`ssh\` | \`140.82.112.4:22\` | 2 |

- \`gh: 3 hosts tunnelled, not read (does not trust Weir's CA: weir ca trust --only github.com)\`

**enforce**: would have stopped 2 of 412 (\`weir policy suggest --agent claude\`)
`,
    );
  });

  it('of nothing', () => {
    assert.equal(reportMarkdown(facts({}), at(15, 0)), '## Weir: `report`, 14:02–14:41\n\nNothing was recorded.\n');
  });

  it('is not escaped by any name: every cell stays a cell, every name code', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 80 }),
        fc.constantFrom('|', '`', '\n', '<b>', '](x)'),
        (a, b) => {
          const evil = `${a}${b}${a}`;
          const text = reportMarkdown(
            facts({ requests: 1, destinations: 1, top: [destination(evil, 1, 1)], remarks: [evil] }),
            0,
          );
          const lines = text.split('\n');
          const row = lines.find((line) => line.startsWith('| `'));
          assert.match(row ?? '', /^\| `[^`|\n]+` \| 1 \| 1 B \| 0 B \|$/);
          const remark = lines.find((line) => line.startsWith('- '));
          assert.match(remark ?? '', /^- `[^`\n]+`$/);
        },
      ),
    );
  });
});
