import type { Act, BodyScanned, Found, PartScanPort, UnscannedCause } from '../model/scan.ts';
import type { BodyFormat } from './body-format.ts';
import type { FilterOptions } from './filter-contract.ts';
import { Held, merged } from './held.ts';
import { cutsFor } from './label.ts';
import { placeOf } from './place.ts';
import { BodyStart } from './split.ts';
import { Tally } from './tally.ts';

export interface RedactorOptions extends Omit<FilterOptions, 'out'> {
  readonly scan: PartScanPort;
  readonly format: BodyFormat;
  /** A label takes as many bytes as what it stands for. */
  readonly fixed: boolean;
  /** Nobody waits for single bytes: whatever is open is held. */
  readonly patient: boolean;
  /** What may go on, in order. */
  readonly data: (payload: Buffer) => void;
  /** Once: nothing more may go on. */
  readonly stopped: () => void;
  /** The scan threw: let the rest pass unread, or end the body there. Asked once. */
  readonly onFailed: (error: unknown) => 'pass' | 'stop';
  /** Of the bytes before a secret that stops the body, how many still go on (a whole event); default all. */
  readonly clean?: (bytes: Uint8Array) => number;
}

/** Bytes scanned at once, beside what was held. */
const SLICE = 64 << 10;
/** A match that begins so near to the first byte at hand may be a piece of something else. */
const BLIND = 64;
/** Bytes wait while a candidate is open (product.md §7); one that is on its way may be longer, up to this. */
const MOST_HELD = 4096;
const MOST_SURE = 96 << 10;

/**
 * Passes a decoded body on while it comes, with labels in place of secrets. Bytes wait only as long as something is open that
 * began with them. Without time limit, however the body is cut, the result is the same.
 */
export class Redactor {
  readonly #options: RedactorOptions;
  readonly #tally: Tally = new Tally();
  readonly #held: Held = new Held();
  /** What leaves may hold a secret that was cut up. */
  readonly #start: BodyStart | undefined;
  #sure = Number.POSITIVE_INFINITY;
  #block = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;
  #state: 'reading' | 'blind' | 'over' = 'reading';
  /** Places that carry a label now. */
  replaced = 0;

  constructor(options: RedactorOptions) {
    this.#options = options;
    if (options.what === 'request') this.#start = new BodyStart();
  }

  get scanned(): BodyScanned {
    return this.#tally.scanned;
  }

  /** Nothing more goes on. */
  get over(): boolean {
    return this.#state === 'over';
  }

  /** More of it; the bytes are ours from now on. */
  write(payload: Buffer): void {
    const { scanBytes } = this.#options;
    this.#start?.add(payload);
    for (let from = 0; from < payload.length && this.#state !== 'over'; ) {
      let size = SLICE;
      if (this.#state === 'reading' && scanBytes > 0) size = Math.min(size, scanBytes - this.#held.end);
      const part = payload.subarray(from, from + size);
      from += part.length;
      if (this.#state === 'blind') this.#options.data(part);
      else if (part.length > 0) this.#safely(() => this.#read(part));
      else this.#enough();
    }
  }

  /** A text is complete: what waits of it is decided, and nothing that comes belongs to it. */
  settle(): void {
    if (this.#state === 'reading') this.#safely(() => this.#letGo(this.#held.end));
    if (this.#state !== 'reading') return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held.clear();
  }

  /** No more comes: what waits is decided. */
  end(): void {
    if (this.#state === 'reading') this.#safely(() => this.#last());
    this.#close();
    this.#state = 'over';
  }

  #last(): void {
    const found = this.#start?.finds(this.#options.scan) ?? [];
    this.#tally.include(found);
    if (found.some((one) => this.#options.act(one.found) === 'stop')) this.#stop();
    else this.#letGo(this.#held.end);
  }

  /** Whatever waits is dropped. */
  abandon(): void {
    this.#state = 'over';
    this.#close();
  }

  /** The rest cannot be looked at: asks what to do, once. */
  giveUp(cause: UnscannedCause): void {
    if (this.#state === 'reading' && this.#tell(cause)) this.#unread();
  }

  /** The scan may throw: what to do then is asked. */
  #safely(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (this.#state !== 'reading') throw error;
      if (this.#options.onFailed(error) === 'pass') this.#unread();
      else this.#stop();
    }
  }

  /** All that waits, and all that comes, goes on as it is. */
  #unread(): void {
    const rest = this.#held.take(this.#held.end);
    this.#close();
    this.#state = 'blind';
    if (rest.length > 0) this.#options.data(rest);
  }

  #close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#held.clear();
  }

  /** True = it may pass. */
  #tell(cause: UnscannedCause): boolean {
    if (!this.#tally.unscanned(cause, this.#held.gone)) return true;
    if (this.#options.onUnscanned(cause) === 'pass') return true;
    this.#stop();
    return false;
  }

  #stop(): void {
    this.#state = 'over';
    this.#close();
    this.#options.stopped();
  }

  #read(part: Buffer): void {
    const held = this.#held;
    const before = held.waiting;
    held.append(part);
    this.#look(held.end, false, before === 0 ? part : undefined);
    const { waiting } = held;
    if (!this.#options.patient && waiting > MOST_HELD) {
      const least = waiting > MOST_SURE ? Number.POSITIVE_INFINITY : this.#sure;
      this.#letGo(Math.min(least, held.end - MOST_HELD));
    }
    if (this.#state !== 'reading') return;
    held.slide();
    this.#wait(before > 0 && held.end - part.length > held.gone);
  }

  /** As much as is to be looked at has been. */
  #enough(): void {
    this.#safely(() => this.#letGo(this.#held.end));
    this.giveUp('scan-bytes');
  }

  /** Decides all before an offset as if nothing came behind it. */
  #letGo(until: number): void {
    if (until > this.#held.gone) this.#look(until, true, undefined);
  }

  #look(until: number, last: boolean, fresh: Buffer | undefined): void {
    const { agent, budget, now, scan, what } = this.#options;
    if (this.#state !== 'reading') return;
    if (!budget.left(agent)) {
      this.giveUp('cpu-budget');
      return;
    }
    const began = now();
    const bytes = this.#held.until(until);
    const part = last ? undefined : scan.part(what, bytes);
    const { found, unscanned } = part ?? scan.scan(what, bytes);
    budget.spend(agent, now() - began);
    if (part !== undefined) [this.#sure, this.#block] = [part.sure + this.#held.base, part.block + this.#held.base];
    // One text that costs too much says nothing of the next.
    if (unscanned !== undefined && !this.#tell(unscanned === 'cpu-budget' ? 'candidates' : unscanned)) return;
    this.#pass(found, part === undefined ? until : part.settled + this.#held.base, fresh);
  }

  /** Lets everything before `settled` go, but nothing of a match that goes beyond it. */
  #pass(found: readonly Found[], settled: number, fresh: Buffer | undefined): void {
    const base = this.#held.base;
    const known = found.filter(
      ({ start, end }) => end + base > this.#held.gone && (this.#held.begins || start >= BLIND),
    );
    let until = settled;
    for (const { start, end } of [...known].reverse()) {
      if (start + base < until && end + base > until) until = start + base;
    }
    const decided: { readonly found: Found; readonly act: Act }[] = [];
    for (const one of known) {
      if (one.start + base >= settled) continue;
      const act = one.end + base > until && one.start + base >= until ? this.#early(one) : this.#options.act(one);
      if (act !== undefined) decided.push({ found: one, act });
    }
    if (until <= this.#held.gone && !decided.some(({ act }) => act === 'stop')) return;
    this.#give(decided, until, fresh);
  }

  /** Of a match that is not decided as a whole, only that it stops the body counts. */
  #early(found: Found): Act | undefined {
    return this.#options.act(found) === 'stop' ? 'stop' : undefined;
  }

  #give(
    decided: readonly { readonly found: Found; readonly act: Act }[],
    until: number,
    fresh: Buffer | undefined,
  ): void {
    const stop = decided.find(({ act }) => act === 'stop');
    const limit = stop === undefined ? until : this.#upTo(Math.min(until, stop.found.start + this.#held.base));
    const { base } = this.#held;
    const window = decided.length === 0 ? undefined : this.#held.until(this.#held.end);
    for (const { found } of decided)
      this.#tally.add(found, found.start + base, () => window && placeOf(window, found.start, found.end, base === 0));
    const places = decided.filter(({ found, act }) => act === 'replace' && found.start + this.#held.base < limit);
    if (places.length > 0) this.#rewrite(merged(places.map(({ found }) => found)), limit);
    else if (limit > this.#held.gone) {
      const bytes = fresh?.length === limit - this.#held.gone ? fresh : this.#held.take(limit);
      this.#held.gone = limit;
      this.#options.data(bytes);
    }
    if (stop !== undefined) this.#stop();
  }

  /** How far what stands before a secret goes on. */
  #upTo(limit: number): number {
    const { base, gone } = this.#held;
    if (limit <= gone) return gone;
    const bytes = this.#held.until(limit).subarray(gone - base);
    return gone + (this.#options.clean?.(bytes) ?? bytes.length);
  }

  #rewrite(places: readonly Found[], limit: number): void {
    const { format, fixed, scan, what } = this.#options;
    const { base, end: known } = this.#held;
    const bytes = this.#held.until(known);
    const clean = (from: number, to: number): boolean => scan.scan(what, bytes.subarray(from, to)).found.length === 0;
    const parts: Buffer[] = [];
    let at = this.#held.gone - base;
    for (const { start, end, label } of places) {
      const place = { bytes, start: Math.max(start, at), end, floor: at, whole: this.#held.begins, clean };
      for (const cut of cutsFor(place, label, format, fixed)) {
        const gone = Math.max(0, at - cut.start);
        parts.push(Buffer.from(bytes.subarray(at, cut.start)), fixed ? cut.text.subarray(gone) : cut.text);
        at = Math.max(at, cut.end);
      }
      this.replaced++;
    }
    const end = Math.max(at, limit - base);
    parts.push(Buffer.from(bytes.subarray(at, end)));
    this.#held.gone = end + base;
    this.#options.data(Buffer.concat(parts));
  }

  /** @param same - what waits has waited before. */
  #wait(same: boolean): void {
    const { holdMs, patient } = this.#options;
    if (patient || holdMs === 0) return;
    if (this.#timer !== undefined && same) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#held.waiting > 0) this.#timer = setTimeout(() => this.#late(), holdMs);
  }

  /** The time is up: all goes but a block that has begun, and in requests what is on its way to be a match. */
  #late(): void {
    this.#timer = undefined;
    const { what, scan } = this.#options;
    const { base, end } = this.#held;
    const least = what === 'request' ? this.#sure : this.#block;
    this.#safely(() => {
      // What would be a whole secret with nothing behind it is one: who waits for an answer sends no more. Half a block is none.
      const whole =
        least < end &&
        this.#block >= end &&
        scan.scan(what, this.#held.until(end)).found.some((one) => one.end + base > least);
      this.#letGo(whole ? end : Math.min(least, end));
      if (this.#state === 'reading') this.#held.slide();
    });
  }
}
