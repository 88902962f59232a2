import type { Act, BodyScanned, CountsFor, Found, ScannedPart, UnscannedCause } from '../model/scan.ts';
import { harmless } from './harmless.ts';
import { Held } from './held.ts';
import { placeOf } from './place.ts';
import type { RedactorOptions } from './redactor-contract.ts';
import { rewritten } from './rewrite.ts';
import { BodyStart } from './split.ts';
import { Tally } from './tally.ts';
import { Waits } from './waits.ts';

/** Bytes scanned at once, beside what was held. */
const SLICE = 64 << 10;
/** A match that begins so near to the first byte at hand may be a piece of something else. */
const BLIND = 64;
/** Bytes wait while a candidate is open (product.md §7); one that is on its way may be longer, up to this. */
const MOST_HELD = 4096;
const MOST_SURE = 96 << 10;
/** A window longer than this is not scanned again for every few bytes. */
const SMALL = 4096;

const NEVER = Number.POSITIVE_INFINITY;
const NOTHING = { begun: NEVER, worth: NEVER, sure: NEVER, block: NEVER };

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
  #open: Pick<ScannedPart, 'begun' | 'worth' | 'sure' | 'block'> = NOTHING;
  /** What is before it has been scanned. */
  #looked = 0;
  readonly #waits: Waits;
  #state: 'reading' | 'blind' | 'over' = 'reading';
  /** Places that carry a label now. */
  replaced = 0;

  constructor(options: RedactorOptions) {
    this.#options = options;
    if (options.what === 'request') this.#start = new BodyStart();
    const { holdMs, patient } = options;
    this.#waits = new Waits({ holdMs: patient ? 0 : holdMs, still: () => this.#still(), late: () => this.#late() });
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
    if (this.#state === 'reading') this.#close();
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

  /** No more comes, and it has no end: what waits is decided, but what may begin something that stops the body stays. */
  breakOff(): void {
    if (this.#state === 'reading') this.#safely(() => this.#letGo(harmless(this.#held, this.#options)));
    this.#close();
    this.#state = 'over';
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
    this.#waits.clear();
    this.#open = NOTHING;
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
    const window = held.end - held.base;
    // Else a long one would be read again for every byte; who sends no more is looked at when that is known.
    if (window <= SMALL || held.end - Math.max(this.#looked, held.base) >= window >> 4) {
      this.#look(held.end, false, before === 0 ? part : undefined);
      this.#bound();
    }
    if (this.#state !== 'reading') return;
    held.slide(this.#open.begun);
    // What waits may have waited before.
    if (before === 0 || held.end - part.length <= held.gone) this.#waits.restart();
    if (held.waiting > 0) this.#waits.wait();
  }

  /** No more waits than may. */
  #bound(): void {
    const { end, waiting } = this.#held;
    if (this.#options.patient || waiting <= MOST_HELD) return;
    const least = waiting > MOST_SURE ? Number.POSITIVE_INFINITY : this.#open.sure;
    this.#letGo(Math.min(least, end - MOST_HELD));
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
    const part = last ? undefined : scan.part(what, bytes, this.#counts);
    const { found, unscanned } = part ?? scan.scan(what, bytes);
    budget.spend(agent, now() - began);
    if (part !== undefined) {
      const { begun, worth, sure, block } = part;
      const { base } = this.#held;
      this.#open = { begun: begun + base, worth: worth + base, sure: sure + base, block: block + base };
      this.#looked = until;
    }
    // One text that costs too much says nothing of the next.
    if (unscanned !== undefined && !this.#tell(unscanned === 'cpu-budget' ? 'candidates' : unscanned)) return;
    this.#pass(found, part === undefined ? until : part.settled + this.#held.base, fresh);
  }

  /** What nothing is done about is not waited for. */
  readonly #counts: CountsFor = (found) => this.#options.act(found) !== 'pass';

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
    const decided: [found: Found, act: Act][] = [];
    for (const one of known) {
      if (one.start + base >= settled) continue;
      // Of a match that is not decided as a whole, only that it stops the body counts.
      const early = one.end + base > until && one.start + base >= until;
      const act = this.#options.act(one);
      if (!early || act === 'stop') decided.push([one, act]);
    }
    if (until <= this.#held.gone && !decided.some(([, act]) => act === 'stop')) return;
    this.#give(decided, until, fresh);
  }

  #give(decided: readonly (readonly [found: Found, act: Act])[], until: number, fresh: Buffer | undefined): void {
    const { base } = this.#held;
    const [stop] = decided.find(([, act]) => act === 'stop') ?? [];
    const limit = stop === undefined ? until : this.#upTo(Math.min(until, stop.start + base));
    const window = decided.length === 0 ? undefined : this.#held.until(this.#held.end);
    for (const [found] of decided)
      this.#tally.add(found, found.start + base, () => window && placeOf(window, found.start, found.end, base === 0));
    const places = decided.flatMap(([found, act]) => (act === 'replace' && found.start + base < limit ? [found] : []));
    if (places.length > 0) this.#rewrite(places, limit);
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
    const { format, fixed } = this.#options;
    const { bytes, end, replaced } = rewritten({ ...this.#held.going(limit), format, fixed }, places);
    this.replaced += replaced;
    this.#held.gone = end + this.#held.base;
    this.#options.data(bytes);
  }

  /** The sender is silent: all goes that is not the beginning of something that would be acted on. */
  #still(): void {
    if (this.#state !== 'reading' || this.#held.waiting === 0) return;
    this.#safely(() => {
      const { end } = this.#held;
      if (this.#looked < end) this.#look(end, false, undefined);
      if (this.#state === 'reading') this.#letGo(Math.min(this.#open.worth, end));
      this.#gone();
    });
  }

  /** The time is up: all goes but a block that has begun, and in requests what is on its way to be a match. */
  #late(): void {
    const { what, scan } = this.#options;
    this.#safely(() => {
      if (this.#looked < this.#held.end) this.#look(this.#held.end, false, undefined);
      const { base, end } = this.#held;
      const { sure, block } = this.#open;
      const least = what === 'request' ? sure : block;
      // What would be a whole secret with nothing behind it is one: who waits for an answer sends no more. Half a block is none.
      const whole =
        least < end &&
        block >= end &&
        scan.scan(what, this.#held.until(end)).found.some((one) => one.end + base > least);
      this.#letGo(whole ? end : Math.min(least, end));
      this.#gone();
    });
  }

  #gone(): void {
    if (this.#state === 'reading') this.#held.slide(this.#open.begun);
    if (this.#held.waiting === 0) this.#waits.restart();
  }
}
