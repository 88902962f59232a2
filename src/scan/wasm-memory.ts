import type { CompiledPattern } from './pattern.ts';
import { PRINTABLE, SIX_BITS } from './stretches.ts';
import { WASM } from './wasm-code.ts';

/** The part that is used; the types of Node have none, those of browsers much else. */
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object;
  readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
};

/** The functions of `wasm/`; what they do is written there. */
interface Functions {
  words(table: number, from: number, to: number, length: number): number;
  numbers(table: number, from: number, to: number, length: number): number;
  runs(length: number): number;
  windows(length: number): number;
}

/** What the module asks for while it reads for `windows`. */
export interface Asked {
  /** Bytes of the HTML entity at an index of the input, 0 = none. */
  entity(at: number): number;
  /** What a code point of so many bytes is; it is put to `kinds` as well. */
  classify(codePoint: number, bytes: number): number;
}

/** Between calls, so that no text is kept. */
export const NOTHING_ASKED: Asked = { entity: () => 0, classify: () => 0 };

/** As in `wasm/memory.ts`. */
const OPEN = 0x400;
const SIX = 0x800;
const PRINTABLE_AT = 0x900;
const KINDS = 0x30000;
const CODE_POINTS = 0x110000;
const LIST = 0x10000;
const INPUT = 0x150000;
const INPUT_END = 0x260000;
const TABLES = INPUT_END + 64;
const TABLES_END = 0x3d0000;
const PAGES = 64;

/** Shorter inputs are read faster than they are handed over. */
const LEAST = 48;

/** The module with its memory: one per thread, made when it is first needed, never larger. */
export class Wasm {
  readonly call: Functions;
  /** What calls found. */
  readonly list: Uint32Array;
  readonly words: Uint32Array;
  /** By code point; 0 = not known. */
  readonly kinds: Uint8Array;
  asked: Asked = NOTHING_ASKED;
  readonly #bytes: Uint8Array;
  readonly #open: Int32Array;
  /** Changes when tables were thrown away to make room. */
  generation = 0;
  #next = TABLES;
  #gates: WeakMap<CompiledPattern, number> = new WeakMap();

  constructor(module: object) {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
    const env = {
      memory,
      entity: (at: number) => this.asked.entity(at),
      classify: (codePoint: number, bytes: number) => this.asked.classify(codePoint, bytes),
    };
    const instance = new WebAssembly.Instance(module, { env });
    this.call = instance.exports as unknown as Functions;
    this.#bytes = new Uint8Array(memory.buffer);
    this.words = new Uint32Array(memory.buffer);
    this.list = this.words.subarray(LIST >> 2);
    this.kinds = this.#bytes.subarray(KINDS, KINDS + CODE_POINTS);
    this.#bytes.set(SIX_BITS, SIX);
    this.#bytes.set(PRINTABLE, PRINTABLE_AT);
    this.#open = new Int32Array(memory.buffer, OPEN, 1);
  }

  /** Start of the run of digits that reached the end of the last call of `numbers`, or -1. */
  get open(): number {
    return this.#open[0] as number;
  }

  /** Whether an input is worth handing over, and has room. */
  takes(bytes: Uint8Array): boolean {
    return bytes.length >= LEAST && bytes.length <= INPUT_END - INPUT;
  }

  /** Puts bytes where the functions read them. */
  read(bytes: Uint8Array): void {
    this.#bytes.set(bytes, INPUT);
  }

  /** @returns the address, or 0 = there is no room. */
  add(table: Uint8Array): number {
    const address = this.#next;
    if (address + table.length > TABLES_END) return 0;
    this.#bytes.set(table, address);
    this.#next = (address + table.length + 15) & ~15;
    return address;
  }

  /** Address of a pattern's gate, which engines share; 0 = there is no room. */
  gateOf(pattern: CompiledPattern, make: () => Uint8Array): number {
    let address = this.#gates.get(pattern) ?? 0;
    if (address === 0) {
      address = this.add(make());
      this.#gates.set(pattern, address);
    }
    return address;
  }

  /** Throws all tables away. */
  clear(): void {
    this.generation++;
    this.#gates = new WeakMap();
    this.#next = TABLES;
  }
}

let wasm: Wasm | undefined;
let failed = false;

/** The module of this thread; undefined where it cannot run: no WebAssembly, or none with SIMD. */
export function wasmOf(): Wasm | undefined {
  if (wasm !== undefined || failed) return wasm;
  try {
    wasm = new Wasm(new WebAssembly.Module(Buffer.from(WASM, 'base64')));
  } catch {
    failed = true;
  }
  return wasm;
}
