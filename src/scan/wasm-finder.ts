import { type Finder, type FoundNumber, type FoundWord, isDigit } from './finder.ts';
import type { View } from './lane.ts';
import { type CompiledPattern, programOf } from './pattern.ts';
import type { Tables } from './tables.ts';
import { type Wasm, wasmOf } from './wasm-memory.ts';
import { gateBytes, type WasmTables, wasmTables } from './wasm-tables.ts';

/** Bytes behind a block that gates may read; what they cannot see they let pass. */
const BEHIND = 128;

/** The tables of one engine in the module's memory. */
class Placed {
  readonly wasm: Wasm;
  readonly tables: Tables;
  readonly own: WasmTables;
  words = 0;
  numbers = 0;
  #generation = -1;
  /** Patterns whose gate is there. */
  readonly #gated: Set<CompiledPattern> = new Set();

  constructor(wasm: Wasm, tables: Tables, own: WasmTables) {
    this.wasm = wasm;
    this.tables = tables;
    this.own = own;
  }

  /** Puts the tables there when they are not. */
  ensure(): void {
    if (this.#generation === this.wasm.generation) return;
    if (!this.#add()) {
      this.wasm.clear();
      this.#add();
    }
    this.#generation = this.wasm.generation;
    this.#gated.clear();
    for (const [pattern, { numbers }] of this.own.gates) if (numbers.length > 0) this.gate(pattern);
  }

  #add(): boolean {
    this.words = this.wasm.add(this.own.words);
    this.numbers = this.wasm.add(this.own.numbers);
    return this.words > 0 && this.numbers > 0;
  }

  /** The pattern was met: its gate is looked at there from now on. */
  gate(pattern: CompiledPattern): void {
    if (this.#gated.has(pattern)) return;
    this.#gated.add(pattern);
    const address = this.wasm.gateOf(pattern, () => gateBytes(programOf(pattern)));
    const places = this.own.gates.get(pattern);
    if (address === 0 || places === undefined) return;
    for (const at of places.words) this.wasm.words[(this.words + at) >> 2] = address;
    for (const at of places.numbers) this.wasm.words[(this.numbers + at) >> 2] = address;
  }
}

/** Finds with the WebAssembly module. What it leaves out the gate would have refused. */
class WasmFinder implements Finder {
  readonly #placed: Placed;
  #openNumber = -1;

  constructor(placed: Placed) {
    this.#placed = placed;
  }

  get openNumber(): number {
    return this.#openNumber;
  }

  /** Copies a block with what gates read around it. Returns the index of its first byte. */
  #read({ run }: View, from: number, to: number): number {
    const start = Math.max(0, from - this.#placed.own.before);
    this.#placed.wasm.read(run.bytes.subarray(start, Math.min(run.end, to + BEHIND)));
    return start;
  }

  words(view: View, from: number, to: number, found: FoundWord): void {
    const { wasm, own, tables } = this.#placed;
    this.#placed.ensure();
    const start = this.#read(view, from, to);
    const length = Math.min(view.run.end, to + BEHIND) - start;
    const count = wasm.call.words(this.#placed.words, from - start, to - start, length);
    if (count < 0) {
      // More than the list has room for.
      const middle = (from + to) >> 1;
      this.words(view, from, middle, found);
      this.words(view, middle, to, found);
      return;
    }
    const { list } = wasm;
    for (let i = 0; i < count; i++) {
      const hit = list[i] as number;
      const keyword = own.keywords[hit & 0x7fff] as number;
      this.#placed.gate((tables.targets[keyword] as Tables['targets'][number]).pattern);
      found(keyword, view.base + from + (hit >>> 15));
    }
  }

  numbers(view: View, from: number, to: number, found: FoundNumber): void {
    const { base, run } = view;
    let at = from;
    if (this.#openNumber >= 0) {
      while (at < to && isDigit(run.bytes[at])) at++;
      if (at === to) return;
      found(this.#openNumber, base + at);
      this.#openNumber = -1;
    }
    this.#closed(view, at, to, found);
  }

  #closed(view: View, from: number, to: number, found: FoundNumber): void {
    const { wasm } = this.#placed;
    this.#placed.ensure();
    const start = this.#read(view, from, to);
    const length = Math.min(view.run.end, to + BEHIND) - start;
    const count = wasm.call.numbers(this.#placed.numbers, from - start, to - start, length);
    if (count < 0) {
      const middle = (from + to) >> 1;
      this.#closed(view, from, middle, found);
      this.numbers(view, middle, to, found);
      return;
    }
    const { list, open } = wasm;
    const origin = view.base + start;
    for (let i = 0; i < count; i += 2) {
      const [first, end] = [list[i] as number, list[i + 1] as number];
      found(origin + first, origin + end);
    }
    this.#openNumber = open < 0 ? -1 : origin + open;
  }
}

/** Makes finders for a set of patterns; undefined where the module cannot run. */
export function wasmFinders(tables: Tables): (() => Finder) | undefined {
  const wasm = wasmOf();
  const own = wasm === undefined ? undefined : wasmTables(tables);
  if (wasm === undefined || own === undefined) return undefined;
  const placed = new Placed(wasm, tables, own);
  return () => new WasmFinder(placed);
}
