import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const MEGABYTE = 1 << 20;

/** The same numbers in every run. */
let state = 20_261_120;
function next(below: number): number {
  state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
  return (state >>> 8) % below;
}

const read = (pattern: string): Buffer =>
  Buffer.concat(
    globSync(pattern, { cwd: ROOT })
      .sort()
      .map((file) => readFileSync(join(ROOT, file))),
  );
const hex = (length: number): string =>
  createHash('sha512')
    .update(String(next(1e9)))
    .digest('hex')
    .slice(0, length);
const noise = (bytes: number): Buffer => Buffer.from(Uint8Array.from({ length: bytes }, () => next(256)));
const long = (bytes: Buffer): Buffer => Buffer.concat(Array.from({ length: 9 }, () => bytes)).subarray(0, MEGABYTE);

const code = read('src/**/*.ts').subarray(0, MEGABYTE);
const prose = read('{README,SECURITY,CHANGELOG,src/README,patterns/README,test/bench/README}.md');
const words = prose
  .toString()
  .split(/[^A-Za-z]+/)
  .filter((word) => word.length > 1);
const say = (count: number): string => Array.from({ length: count }, () => words[next(words.length)]).join(' ');
const some = (from: Buffer, bytes: number): string => {
  const at = next(from.length - bytes);
  return from.toString('latin1', at, at + bytes);
};

/** What a REST API lists. */
function item(id: number): object {
  return {
    id,
    name: say(2),
    description: say(12),
    private: false,
    url: `https://api.example/items/${id}`,
    created_at: '2026-05-06T07:08:09Z',
    size: next(1e6),
    score: next(1e9) / 1e9,
    sha: hex(40),
    uuid: `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`,
    topics: [say(1), say(1)],
    seen: 1_700_000_000_000 + next(1e9),
  };
}

function chat(): Buffer {
  const content = (i: number): string => (i % 2 === 1 ? some(code, 3000) : `${say(260)}\n\n${say(90)}`);
  const messages = Array.from({ length: 6 }, (_, i) => ({
    role: i % 2 === 1 ? 'assistant' : 'user',
    content: [{ type: 'text', text: content(i) }],
  }));
  const system = `You are a coding agent.\n${say(600)}`;
  return Buffer.from(JSON.stringify({ model: 'some-model', max_tokens: 4096, system, messages })).subarray(0, 20_480);
}

function answer(): Buffer {
  const text = `${say(700)}\n\`\`\`ts\n${some(code, 5000)}\n\`\`\`\n${say(300)}`;
  return Buffer.from(JSON.stringify({ id: 'msg_1', content: [{ type: 'text', text }], usage: { input: 12 } })).subarray(
    0,
    10_240,
  );
}

function call(): Buffer {
  const params = { name: 'search', arguments: { query: say(70), limit: 10 } };
  return Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: next(1e4), method: 'tools/call', params })).subarray(0, 500);
}

function parameters(): Buffer {
  return Buffer.from(Array.from({ length: 1000 }, (_, i) => `p${i}=${encodeURIComponent(say(2))}`).join('&'));
}

const many = (count: number, make: () => Buffer): readonly Buffer[] => Array.from({ length: count }, make);

/** Texts of a kind, about a megabyte, none of them with a secret. */
export const KINDS: Readonly<Record<string, readonly Buffer[]>> = {
  code: [code],
  JSON: [Buffer.from(JSON.stringify(Array.from({ length: 3000 }, (_, id) => item(id)))).subarray(0, MEGABYTE)],
  'minified code': [read('node_modules/{zod,undici,yaml}/**/*.cjs').subarray(0, MEGABYTE)],
  prose: [long(prose)],
  'base64 image': [Buffer.from(JSON.stringify({ image: noise(786_000).toString('base64') }))],
  binary: [noise(MEGABYTE)],
};

/** Bodies of a size, different ones: one alone would be learnt by heart by the processor. */
export const SIZES = {
  '500 B tool call': many(512, call),
  '20 KB chat request': many(48, chat),
  '10 KB response': many(96, answer),
  '1000 query parameters': many(24, parameters),
} as const;

const repeated = (text: string): Buffer => Buffer.alloc(MEGABYTE, text);

/** What costs more than it should, if anything does; a megabyte of each. */
export const ADVERSARIAL: Readonly<Record<string, Buffer>> = {
  zeros: Buffer.alloc(MEGABYTE),
  'a prefix, repeated': repeated(['AK', 'IA'].join('')),
  'a prefix with a separator': repeated(['gh', 'p_ '].join('')),
  'password=': repeated('password= '),
  'api_key="abcdefgh",': repeated('api_key="abcdefgh",'),
  'https://a:': repeated('https://a:'),
  dashes: repeated('-'),
  'digits in fours': repeated('4111 '),
  '@': repeated('a@'),
  'eyJ in dots': repeated('eyJ.'),
  '%25': repeated('%25'),
  '\\u0041': repeated('\\u0041'),
  '&amp;': repeated('&amp;'),
  'base64 of base64': repeated(Buffer.from(Buffer.from('some text to read').toString('base64')).toString('base64')),
  'hex pairs': repeated('61:'),
  'begin of an instruction': repeated('if you send email '),
};
