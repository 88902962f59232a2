import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';

const SRC = join(import.meta.dirname, '../../src');

/** room → rooms and packages it may import; the table of src/README.md as code. `node:*` = any builtin. */
const LAW: Record<string, readonly (string | RegExp)[]> = {
  model: ['node:crypto', 'node:stream', 'node:net', 'node:url'],
  codec: ['model'],
  config: ['model', 'zod', 'yaml', /^node:(fs|path|os|net|module)/],
  connection: [
    'model',
    'codec',
    'proxy-chain',
    /^node-forge/,
    /^node:(net|tls|http|crypto|fs|path|events|stream|buffer)/,
  ],
  protocol: ['model', 'codec', /^node:(net|tls|stream|http2|buffer)/],
  pipeline: ['model', 'node:crypto'],
  inspect: ['model', 'codec', /^node:(net|url|crypto|os)/],
  scan: ['model', 'node:crypto'],
  llm: ['model'],
  content: ['model', 'codec', 'node:zlib', 'node:stream'],
  policy: ['model', /^@marcbachmann\/cel-js/, 're2js'],
  verdict: ['model'],
  upstream: ['model', 'codec', 'socks', /^node:(net|tls|dns|http|stream|crypto|fs)/],
  record: ['model', /^node:/],
  telemetry: ['model', 'undici', /^@opentelemetry\//, /^node:/],
  calls: ['model', 'undici', /^node:(crypto|dns|fs|net|os)$/],
  store: ['model', '@duckdb/node-api', /^node:/],
  admin: ['model', 'undici', /^node:/],
  cli: ['model', 'config', 'admin', 'store', 'policy', 'collector.ts', 'commander', 'pino', 'undici', /^node:/],
};
/** The halls: they wire, so they know the rooms. */
const HALLS = new Set(['collector.ts', 'recorder.ts', 'index.ts']);

interface Source {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function sources(dir: string = SRC): Source[] {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const full = join(dir, entry.name);
    if (entry.isDirectory()) return sources(full);
    if (!entry.name.endsWith('.ts')) return [];
    const path = relative(SRC, full);
    const text = readFileSync(full, 'utf8');
    const imports = [
      ...text.matchAll(/(?:^|\n)\s*(?:import|export)[^'"`;]*?from\s*'([^']+)'|import\(\s*'([^']+)'/g),
    ].map((match) => (match[1] ?? match[2]) as string);
    return [{ path, room: path.includes('/') ? (path.split('/')[0] as string) : '', text, imports }];
  });
}

const all = sources();

test('there is something to hold to the law', () => {
  assert.ok(all.length > 40, `${all.length} sources found`);
});

test('a room imports only what its row of the table says', () => {
  const wrong: string[] = [];
  for (const source of all) {
    if (source.room === '') continue;
    const allowed = LAW[source.room];
    assert.ok(allowed, `room ${source.room} has no row in the table`);
    for (const target of source.imports) {
      if (target.startsWith('./')) continue;
      const name = target.startsWith('../') ? (target.slice(3).split('/')[0] as string) : target;
      if (!allowed.some((rule) => (typeof rule === 'string' ? rule === name : rule.test(name)))) {
        wrong.push(`${source.path} imports ${target}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

/** AssemblyScript: another compiler's, with a memory for vocabulary. It imports only its own files and is no part of what runs (`scan/wasm-code.ts` is). */
const isWasm = (path: string): boolean => path.startsWith('scan/wasm/');

test('the sources of the WebAssembly module import nothing but one another', () => {
  const own = all.filter((source) => isWasm(source.path));
  assert.ok(own.length > 3);
  for (const { path, imports } of own)
    assert.ok(
      imports.every((target) => /^\.\/[a-z-]+$/.test(target)),
      path,
    );
  assert.deepEqual(
    all.filter(({ imports }) => imports.some((target) => target.includes('/wasm/'))).map(({ path }) => path),
    [],
  );
});

test('only the halls stand above the rooms, and rooms are flat', () => {
  const above = all.filter((source) => source.room === '').map((source) => source.path);
  assert.deepEqual(
    above.filter((path) => !HALLS.has(path) && !path.startsWith('collector')),
    [],
  );
  assert.deepEqual(
    all.filter((source) => source.path.split('/').length > 2 && !isWasm(source.path)).map((source) => source.path),
    [],
  );
});

test('files are at most 300 lines and named in kebab-case', () => {
  assert.deepEqual(
    all.filter((source) => source.text.split('\n').length > 301).map((source) => source.path),
    [],
  );
  assert.deepEqual(
    all
      .filter((source) => !/^(?:[a-z0-9-]+\/|scan\/wasm\/)?[a-z0-9-]+(?:\.d)?\.ts$/.test(source.path))
      .map((source) => source.path),
    [],
  );
});

test('the mode is applied in one file', () => {
  // Comparing against a mode word decides by it; naming the type, or parsing what an operator wrote, does not, nor does asking what was done.
  const decides = /(?<!\b(?:action|disposition) )(?:===|!==|case)\s*'(?:enforce|redact)'/;
  const free = ['verdict/enforce.ts', 'config/', 'cli/', 'admin/', 'collector'];
  assert.deepEqual(
    all
      .filter((source) => decides.test(source.text) && !free.some((prefix) => source.path.startsWith(prefix)))
      .map((source) => source.path),
    [],
  );
});

test('a permit is minted in one file and sockets are opened in one room', () => {
  assert.deepEqual(
    all.filter((source) => /brand: 'permit'/.test(source.text) && source.room !== 'model').map((source) => source.path),
    ['verdict/enforce.ts'],
  );
  const dials = /\b(?:net|tls)\.(?:connect|createConnection)\(|\bnew (?:net\.)?Socket\(/;
  assert.deepEqual(
    all
      .filter((source) => dials.test(source.text) && !['upstream', 'admin', 'cli'].includes(source.room))
      .map((source) => source.path),
    [],
  );
});

test('nothing is left unfinished behind a marker', () => {
  assert.deepEqual(
    all.filter((source) => /\b(?:TODO|FIXME|XXX|HACK)\b/.test(source.text)).map((source) => source.path),
    [],
  );
});
