import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ACTS, type Act, AGENT, HOSTS, type Part, type Play } from '../../../src/cli/demo-acts.ts';
import { commandText, fold, partText } from '../../../src/cli/demo-words.ts';
import type { LogLine, StatusReport } from '../../../src/model/admin.ts';
import { weir } from './world.ts';

const plain = (_: string, text: string): string => text;
const widths = (text: string): number[] => text.split('\n').map((line) => line.length);

test('lines are broken at blanks, continued further in, and keep the blanks that align a table', () => {
  const words = Array.from({ length: 30 }, (_, i) => `word${i}`).join(' ');
  const folded = fold(words, '  ', '    ');
  assert.ok(Math.max(...widths(folded)) <= 100);
  assert.deepEqual(
    folded.split('\n').map((line) => /^ */.exec(line)?.[0].length),
    [2, 6, 6],
  );
  assert.equal(folded.replaceAll(/\s+/g, ' ').trim(), words);
  assert.equal(fold('A   B\n  1   2', '  '), '  A   B\n    1   2');
  assert.equal(fold(''), '');
});

test('what has no blanks is cut, JSON between its members', () => {
  const long = fold('x'.repeat(250), '  ', '  ');
  assert.deepEqual(widths(long), [100, 100, 60]);
  const json = JSON.stringify({ reason: 'r'.repeat(60), destination: 'd'.repeat(60) });
  assert.deepEqual(fold(json).split('\n'), [`{"reason":"${'r'.repeat(60)}",`, `"destination":"${'d'.repeat(60)}"}`]);
});

test('escape sequences take no room', () => {
  const line = `\u001b[36m${'y'.repeat(95)}\u001b[0m end`;
  assert.equal(fold(line), line);
});

test('a command stands as one would type it', () => {
  assert.equal(commandText(['logs', '--agent', 'a-b', '-n', '1']), 'weir logs --agent a-b -n 1');
  assert.equal(commandText(['query', "SELECT 1 FROM x WHERE h='y'"]), 'weir query "SELECT 1 FROM x WHERE h=\'y\'"');
});

test('what comes from an answer cannot steer the terminal; records are data only', () => {
  const text = partText({ quote: 'HTTP/1.1 403 \u001b[2Jno\nbody' }, plain);
  assert.doesNotMatch(text, /\u001b/u);
  assert.deepEqual(text.split('\n').length, 2);
  assert.equal(partText({ recorded: { message: 'not printed' } as LogLine }, plain), '');
});

/** A collector and servers that tell what the test says; a wait that is in vain fails at once. */
function fakePlay(more: {
  lines?: readonly Partial<LogLine>[];
  status?: number;
  body?: string;
  got?: readonly { readonly requests: number; readonly bytes: number }[];
  state?: 'learning' | 'ready';
}): Play {
  const got = [...(more.got ?? [])];
  const origin = () => {
    const last = got.length > 1 ? got.shift() : got[0];
    return { port: 1, requests: 0, bytes: 0, ...last, close: async () => undefined };
  };
  const status = { agents: [{ agent: AGENT, baseline: { state: more.state, requests: 8, sentence: 'so' } }] };
  const client = {
    status: async () => status as unknown as StatusReport,
    logs: async () => (more.lines ?? []) as LogLine[],
    preflight: async () => ({ wouldLose: 1 }),
  } as unknown as Play['stage']['client'];
  const wait = async <T>(what: string, probe: () => Promise<T | undefined>): Promise<T> => {
    const found = await probe();
    if (found === undefined) throw new Error(`waited in vain for ${what}`);
    return found;
  };
  const type = async (args: readonly string[]): Promise<Part> => ({ command: commandText(args), output: '' });
  return {
    stage: { origin, wait, client },
    send: async () => ({ status: more.status ?? 200, statusLine: 'HTTP/1.1', body: more.body ?? '' }),
    type,
    typeOnce: type,
  };
}

async function parts(act: Act | undefined, play: Play): Promise<Part[]> {
  assert.ok(act);
  const told: Part[] = [];
  for await (const part of act.play(play)) told.push(part);
  return told;
}

const [learn, neverSeen, foreignKey, wouldBlock, enforced] = ACTS;
const line = (host: string, more: Partial<LogLine>): Partial<LogLine> => ({
  id: '01M7WE9X6ETQ94YHSV890H5R9W',
  destination: `${host}:80`,
  rules: [],
  ...more,
});
const [LLM = '', , , DROP = '', PASTE = ''] = HOSTS;
const forwarded = line(PASTE, { would: 'block', action: 'forward', status: 200 });
const blocked = line(PASTE, { would: 'none', action: 'block', status: 403 });
const refusal = JSON.stringify({ ref: 'SV890H5R9W' });

const HAPPENED: readonly (readonly [string, Act | undefined, Parameters<typeof fakePlay>[0]])[] = [
  ['a new host', neverSeen, { lines: [line(DROP, { rules: ['first-seen'] })], got: [{ requests: 1, bytes: 48_000 }] }],
  ['a foreign key', foreignKey, { lines: [line(LLM, { rules: ['credential-first-seen'] })] }],
  ['a would-block', wouldBlock, { lines: [forwarded], got: [{ requests: 1, bytes: 2000 }] }],
  ['a block', enforced, { lines: [blocked], status: 403, body: refusal, got: [{ requests: 1, bytes: 2000 }] }],
];
for (const [name, act, world] of HAPPENED)
  test(`an act whose event was recorded is told: ${name}`, async () => {
    const told = await parts(act, fakePlay(world));
    assert.ok(told.some((part) => 'recorded' in part));
    assert.ok(told.some((part) => 'command' in part));
  });

const DID_NOT: readonly (readonly [string, Act | undefined, Parameters<typeof fakePlay>[0], RegExp])[] = [
  ['no server answers', learn, { status: 502 }, /was not answered with 200/],
  ['nothing is learned', learn, { state: 'ready' }, /researcher to be learning after 8 requests/],
  ['it never gets ready', learn, { state: 'learning' }, /researcher to be ready after 48 requests/],
  ['a new host is no news', neverSeen, { lines: [line(DROP, {})] }, /in vain for a record of .*files-drop/],
  ['another host is news', neverSeen, { lines: [line(`x${DROP}`, { rules: ['first-seen'] })] }, /in vain/],
  [
    'a flagged upload does not arrive',
    neverSeen,
    { lines: [line(DROP, { rules: ['first-seen'] })], got: [{ requests: 1, bytes: 5 }] },
    /files-drop\.example got 5 bytes in 1 requests instead of 48000/,
  ],
  ['a foreign key is no news', foreignKey, { lines: [line(LLM, { rules: ['first-seen'] })] }, /in vain/],
  ['monitor blocks', wouldBlock, { lines: [blocked], status: 403 }, /in vain/],
  ['monitor answers itself', wouldBlock, { lines: [forwarded], status: 403 }, /monitor answered 403/],
  ['enforce forwards', enforced, { lines: [forwarded] }, /in vain/],
  ['the agent hears something else', enforced, { lines: [blocked], status: 200 }, /was answered 200/],
  [
    'the blocked request arrives',
    enforced,
    {
      lines: [blocked],
      status: 403,
      body: refusal,
      got: [
        { requests: 1, bytes: 0 },
        { requests: 2, bytes: 0 },
      ],
    },
    /the same request reached paste\.example/,
  ],
  ['the refusal names another row', enforced, { lines: [blocked], status: 403, body: '{"ref":"X"}' }, /name its row/],
  ['the refusal is no JSON', enforced, { lines: [blocked], status: 403, body: 'no' }, /name its row/],
];
for (const [name, act, world, words] of DID_NOT)
  test(`an act fails when ${name}`, async () => {
    await assert.rejects(parts(act, fakePlay(world)), words);
  });

test('the demo takes no state directory or configuration of the user’s', async () => {
  for (const option of ['--state-dir', '--config']) {
    const ran = await weir(['demo', option, '/nonexistent/there']);
    assert.deepEqual([ran.code, ran.out], [2, '']);
    assert.match(ran.err, /^weir: the demo has a state directory and a configuration of its own: weir demo\n$/);
  }
});
