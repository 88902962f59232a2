import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { filterBody } from '../../../src/content/filter.ts';
import { tapBody } from '../../../src/content/tap.ts';
import { AWS, cut, filterOptions, GITHUB, pem, pieces, play } from './filter-support.ts';

const stream = { contentType: 'text/event-stream; charset=utf-8', what: 'response' } as const;
const LABEL = '[AWS ACCESS KEY ID_REDACTED]';

interface Dialect {
  write(piece: string): string;
  read(data: unknown): string | undefined;
}

/** What several APIs send per piece of text, and where a client finds it. */
const DIALECTS: Readonly<Record<string, Dialect>> = {
  'OpenAI chat': {
    write: (content) =>
      `data: ${JSON.stringify({ id: 'c1', choices: [{ index: 0, delta: { content }, finish_reason: null }] })}\n\n`,
    read: (data) => (data as { choices?: { delta: { content?: string } }[] }).choices?.[0]?.delta.content,
  },
  'OpenAI call': {
    write: (piece) =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta: { tool_calls: [{ index: 1, function: { arguments: piece } }] } }] })}\n\n`,
    read: (data) =>
      (data as { choices?: { delta: { tool_calls?: { function: { arguments: string } }[] } }[] }).choices?.[0]?.delta
        .tool_calls?.[0]?.function.arguments,
  },
  'OpenAI responses': {
    write: (delta) =>
      `event: response.output_text.delta\ndata: ${JSON.stringify({ type: 'response.output_text.delta', item_id: 'm1', output_index: 0, delta })}\n\n`,
    read: (data) => (data as { delta?: string }).delta,
  },
  'Anthropic text': {
    write: (text) =>
      `event: content_block_delta\r\ndata: ${JSON.stringify({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })}\r\n\r\n`,
    read: (data) => (data as { delta?: { text?: string } }).delta?.text,
  },
  'Anthropic input': {
    write: (piece) =>
      `event: content_block_delta\ndata: ${JSON.stringify({ type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: piece } })}\n\n`,
    read: (data) => (data as { delta?: { partial_json?: string } }).delta?.partial_json,
  },
  Gemini: {
    write: (text) =>
      `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }], role: 'model' }, index: 0 }] })}\n\n`,
    read: (data) =>
      (data as { candidates?: { content: { parts: { text: string }[] } }[] }).candidates?.[0]?.content.parts[0]?.text,
  },
};
const chat = DIALECTS['OpenAI chat'] as Dialect;

/** The text a client puts together; every event must be valid JSON. */
function textOf(bytes: Buffer, { read }: Dialect): string {
  return [...bytes.toString().matchAll(/^data: (\{.*\})\r?$/gm)]
    .map(([, data]) => read(JSON.parse(data as string)) ?? '')
    .join('');
}

const split = (text: string, size: number): string[] => pieces(Buffer.from(text), size).map(String);

for (const [name, dialect] of Object.entries(DIALECTS)) {
  test(`a secret over several events is one label in the text: ${name}`, async () => {
    for (const size of [1, 2, 3, 5, 9]) {
      const events = split(`the key is ${AWS}, and so on.`, size).map(dialect.write);
      for (const chunks of [events, [events.join('')], events.join('').match(/[\s\S]{1,37}/g) ?? []]) {
        const played = await play(
          stream,
          chunks.map((chunk) => Buffer.from(chunk)),
        );
        const text = textOf(played.bytes, dialect);
        assert.equal(text.replace(/^(the key is )[AKI]{0,3}\[/, '$1['), `the key is ${LABEL}, and so on.`);
        assert.equal(played.replaced, 1);
        assert.equal(played.scanned.found[0]?.found.rule, 'aws-access-key');
        assert.match(played.scanned.found[0]?.place ?? '', /events put together/);
      }
    }
  });
}

test('clean events go on at once, as the bytes they came in', () => {
  const given: string[] = [];
  const filter = filterBody({
    ...filterOptions({ ...stream, holdMs: 250 }),
    out: {
      data: (payload) => given.push(payload.toString()),
      drained: () => undefined,
      end: () => undefined,
      stop: () => undefined,
    },
  });
  const words = [
    'The',
    ' quick',
    ' brown',
    ' fox',
    '.',
    '\n\n',
    'const',
    ' x',
    ' =',
    ' "',
    'ab',
    'cde',
    '";',
    ' internationalization',
    ' 12',
    '34',
  ];
  for (const { write } of Object.values(DIALECTS)) {
    for (const word of words) {
      const event = write(word);
      filter.write(Buffer.from(event));
      assert.equal(given.at(-1), event);
    }
  }
  filter.abandon();
});

test('any stream of clean pieces passes as it came, however it is cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...Object.values(DIALECTS)), fc.string({ maxLength: 12 })), { maxLength: 20 }),
      fc.array(fc.nat(1 << 16), { maxLength: 8 }),
      async (parts, at) => {
        const body = Buffer.from(
          `: hello\n\n${parts.map(([{ write }, piece]) => write(piece)).join('')}data: [DONE]\n\n`,
        );
        const { bytes, replaced } = await play(stream, cut(body, at));
        if (replaced === 0) assert.equal(bytes.toString(), body.toString());
      },
    ),
    { numRuns: 200 },
  );
});

test('however a text is cut into events, and events into chunks, nothing of a secret is left but a begun keyword', async () => {
  const word = fc.constantFrom(
    'The key',
    ' is',
    ' "quoted"',
    '\n',
    ' ',
    '. ',
    ' password',
    'AKIA',
    '-----',
    ' cafe',
    `${AWS} `,
    ` ${AWS}.`,
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...Object.values(DIALECTS)),
      fc.array(word, { maxLength: 14 }),
      fc.array(fc.nat(400), { maxLength: 60 }),
      fc.array(fc.nat(1 << 14), { maxLength: 6 }),
      async (dialect, words, at, chunks) => {
        const text = words.join(' ');
        const events = cut(Buffer.from(text), at).map((piece) => dialect.write(piece.toString()));
        const { bytes } = await play(stream, cut(Buffer.from(events.join('')), chunks));
        const seen = textOf(bytes, dialect);
        assert.ok(!seen.includes(AWS.slice(4)));
        assert.equal(seen.replaceAll(/(?:A|AK|AKI)?\[AWS ACCESS KEY ID_REDACTED\]/g, AWS), text);
      },
    ),
    { numRuns: 300 },
  );
});

test('texts are told apart: pieces of two choices, or of a text and a call, make no secret', async () => {
  const [one, two] = [AWS.slice(0, 10), AWS.slice(10)];
  const events = [
    chat.write(one),
    (DIALECTS.Gemini as Dialect).write(two),
    chat.write(' .'),
    (DIALECTS['OpenAI call'] as Dialect).write(two),
  ];
  const body = Buffer.from(events.join(''));
  const { bytes, replaced } = await play(stream, [body]);
  assert.equal(replaced, 0);
  assert.deepEqual(bytes, body);
});

test('a key of many lines is cut out of all the events it is spread over', async () => {
  const text = `Here it is:\n${pem(20)}Done.`;
  const events = split(text, 4).map(chat.write);
  const { bytes } = await play(
    stream,
    events.map((event) => Buffer.from(event)),
  );
  const seen = textOf(bytes, chat);
  assert.match(seen, /^Here it is:\n-*(?:BEGIN|BEG|BE|B)?.*\[RSA PRIVATE KEY_REDACTED\]\nDone\.$/);
  assert.ok(!seen.includes(pem(20).split('\n')[1]?.slice(0, 12) as string));
});

test('a stream that must stop does so before the secret is complete', async () => {
  for (const contentEncoding of [undefined, 'gzip']) {
    const events = split(`see ${GITHUB} there`, 3).map(chat.write).join('');
    const body = contentEncoding === undefined ? Buffer.from(events) : gzipSync(events);
    const { bytes, stopped } = await play({ ...stream, contentEncoding, act: () => 'stop' }, pieces(body, 100));
    const all = Buffer.concat([bytes, stopped?.forward ?? Buffer.alloc(0)]);
    const seen = (contentEncoding === undefined ? all : gunzipSync(all)).toString();
    assert.ok(textOf(Buffer.from(seen.slice(0, seen.indexOf('event: error'))), chat).length < 'see '.length + 8);
    assert.match(seen, /\n\nevent: error\ndata: .*GitHub Personal Access Token/);
  }
});

test('events wait for what their text may become only so long', (t: TestContext) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const given: Buffer[] = [];
  const filter = filterBody({
    ...filterOptions({ ...stream, holdMs: 250 }),
    out: {
      data: (payload) => given.push(payload),
      drained: () => undefined,
      end: () => undefined,
      stop: () => undefined,
    },
  });
  const seen = (): string => textOf(Buffer.concat(given), chat);
  filter.write(Buffer.from(chat.write('see ')));
  filter.write(Buffer.from(chat.write(GITHUB.slice(0, 12))));
  assert.equal(seen(), 'see ');
  t.mock.timers.tick(250);
  assert.equal(seen(), `see ${GITHUB.slice(0, 12)}`);
  filter.write(Buffer.from(chat.write(GITHUB.slice(12))));
  filter.write(Buffer.from(chat.write(' end')));
  assert.equal(seen(), `see ${GITHUB.slice(0, 12)}[GITHUB PERSONAL ACCESS TOKEN_REDACTED] end`);
  filter.write(Buffer.from('data: {"choices":[{"index":0,"delta":{"content":"slow'));
  t.mock.timers.tick(250);
  assert.ok(Buffer.concat(given).toString().endsWith('slow'));
  filter.write(Buffer.from(`ly"}}]}\n\n${chat.write('.')}`));
  assert.ok(seen().endsWith(' endslowly.'));
  filter.abandon();
});

test('on a copy, what is spread over events is told, once, with what it is spread over', async () => {
  for (const contentEncoding of [undefined, 'gzip']) {
    for (const [events, place] of [
      [split(`the key is ${AWS}.`, 3).map(chat.write), /in the text of \d events put together/],
      [[chat.write(`all in one: ${AWS}`), chat.write(' end')], undefined],
    ] as const) {
      const { budget, agent, scan, now, scanBytes, decodedBytes, decodeRatio, decodeDepth } = filterOptions();
      const given = { budget, agent, scan, now, scanBytes, decodedBytes, decodeRatio, decodeDepth };
      const tap = tapBody({ ...given, what: 'response', contentEncoding, events: scan });
      const text = Buffer.from(events.join(''));
      for (const piece of pieces(contentEncoding === undefined ? text : gzipSync(text), 50)) {
        const lent = Buffer.from(piece);
        tap.push(lent);
        lent.fill(0);
      }
      const { found } = await tap.finish();
      assert.deepEqual(
        found.map((one) => [one.found.rule, one.count]),
        [['aws-access-key', 1]],
      );
      if (place !== undefined) assert.match(found[0]?.place ?? '', place);
    }
  }
});

test('however many texts a stream has had, the one that goes on is looked at', async () => {
  const responses = (item: string, delta: string): string =>
    `data: ${JSON.stringify({ type: 'response.output_text.delta', item_id: item, output_index: 0, delta })}\n\n`;
  const others = Array.from({ length: 200 }, (_, i) => responses(`m${i}`, `text ${i}`));
  const parts = [responses('late', AWS.slice(0, 8)), responses('late', AWS.slice(8)), responses('late', ' end')];
  const text = [responses('long', 'begins '), ...others.flatMap((one) => [one, responses('long', '.')]), ...parts];
  const { bytes, replaced } = await play(stream, [Buffer.from(text.join(''))]);
  assert.equal(replaced, 1);
  const said = [...bytes.toString().matchAll(/"late".*"delta":"([^"]*)"/g)].map(([, delta]) => delta).join('');
  assert.equal(said, `${LABEL} end`);
});
