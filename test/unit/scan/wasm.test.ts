import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { createEngine } from '../../../src/scan/engine.ts';
import { Wasm } from '../../../src/scan/wasm-memory.ts';
import { checkedIn, wasmCode } from '../../support/scan-wasm.ts';
import { bytes, pattern } from './library.ts';

const ROOT = join(import.meta.dirname, '../../..');

test('the module that is checked in is what its sources make, byte for byte', async () => {
  assert.equal(checkedIn(), await wasmCode(), 'npm run build:scan');
});

const SCAN = `
  const { wasmOf } = await import('./src/scan/wasm-memory.ts');
  const { createEngine } = await import('./src/scan/engine.ts');
  const { scanLayers } = await import('./src/scan/layers.ts');
  const { pattern } = await import('./test/unit/scan/library.ts');
  const engine = createEngine([pattern({ expression: 'key_[a-z]{8}', keywords: ['key_'] })]);
  const text = 'key_abcdefgh and ' + Buffer.from('this is key_hgfedcba').toString('base64') + ' and %6bey_aaaabbbb';
  const { matches } = scanLayers(engine, Buffer.from(text));
  console.log(JSON.stringify([wasmOf() === undefined, matches.map(({ start, encodings }) => [start, ...encodings])]));
`;

/** In a process of its own: a thread tries once. What is missing is taken away when the sources, which Node strips with WebAssembly, are read. */
function scanWithout(missing: string): unknown {
  const script = SCAN.replace('const engine', () => `${missing}\n  const engine`);
  const args = ['--input-type=module', '--eval', script];
  return JSON.parse(execFileSync(process.execPath, args, { cwd: ROOT, timeout: 60_000 }).toString());
}

test('without WebAssembly, or without what the module needs of it, the plain engine finds the same', () => {
  const found = [[0], [25, 'base64'], [50, 'percent']];
  assert.deepEqual(scanWithout(''), [false, found]);
  assert.deepEqual(scanWithout('delete globalThis.WebAssembly;'), [true, found]);
  assert.deepEqual(scanWithout('WebAssembly.Module = class { constructor() { throw new Error("no SIMD"); } };'), [
    true,
    found,
  ]);
});

test('engines share the memory and survive one another: what does not fit any more is put there again', () => {
  const engines = Array.from({ length: 80 }, (_, i) => {
    const key = `k${String.fromCharCode(97 + (i % 26))}${i}_`;
    return { key, engine: createEngine([pattern({ expression: `${key}[a-z]{8}`, keywords: [key] })]) };
  });
  for (let round = 0; round < 2; round++) {
    for (const { key, engine } of engines) {
      const { matches } = engine.scan(bytes(`a ${key}abcdefgh b ${key}12 c ${key}hgfedcba`));
      assert.equal(matches.length, 2, key);
    }
  }
});

test('a module that cannot be instantiated is an error of the constructor, not of a scan', () => {
  assert.throws(() => new Wasm({}));
});
