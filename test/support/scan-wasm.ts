import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';

const ROOT = join(import.meta.dirname, '../..');
const FILE = join(ROOT, 'src/scan/wasm-code.ts');
const OPTIONS = [
  '-O3',
  '--noAssert',
  '--runtime',
  'stub',
  '--importMemory',
  '--initialMemory',
  '64',
  '--enable',
  'simd',
];
const MODULE = 'module.wasm';

/** `src/scan/wasm-code.ts` as the sources in `src/scan/wasm/` make it. Throws Error with the compiler's words. */
export async function wasmCode(): Promise<string> {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(['src/scan/wasm/index.ts', '-o', MODULE, ...OPTIONS], {
    readFile: (name, base) => {
      try {
        return readFileSync(join(ROOT, base, name), 'utf8');
      } catch {
        return null;
      }
    },
    writeFile: (name, contents) => {
      if (name === MODULE) binary = contents as Uint8Array;
    },
    listFiles: () => null,
  });
  if (error !== null || binary === undefined) throw new Error(`${error?.message ?? 'no module'}\n${stderr.toString()}`);
  return `/** Made by \`npm run build:scan\` from \`src/scan/wasm/\`: a WebAssembly module, base64. */
export const WASM =
  '${Buffer.from(binary).toString('base64')}';
`;
}

/** What is checked in. */
export function checkedIn(): string {
  return readFileSync(FILE, 'utf8');
}

if (import.meta.main) {
  const code = await wasmCode();
  writeFileSync(FILE, code);
  console.log(`${FILE}: ${code.length} bytes`);
}
