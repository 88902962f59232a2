import type { BodyFound, BodyScanned, Found, PartScanPort, UnscannedCause } from '../model/scan.ts';
import type { FilterOptions } from './filter-contract.ts';
import { placeOf } from './place.ts';
import { Redactor } from './redactor.ts';
import { rewritten } from './rewrite.ts';
import { SplitMessages, splitFinds } from './split.ts';
import { Tally } from './tally.ts';

export interface LookOptions extends FilterOptions {
  readonly scan: PartScanPort;
  /** The scan threw: let what it was given pass unread, or stop. */
  onFailed(error: unknown): 'pass' | 'stop';
}

/** What becomes of a text: it passes as it is, as another one, or not at all. */
export type Seen = 'pass' | 'stop' | Buffer;

/** Longer texts are looked at in turns of the event loop, this much in each. */
const TURN = 64 << 10;
/** A secret may be cut into as many messages, none of them longer. */
const MOST_PARTS = 8;
const MOST_PART = 512;

/** Looks at texts one by one and remembers what was found in all of them. */
export class Look {
  readonly #options: LookOptions;
  readonly #tally = new Tally();
  /** Bytes of all texts before. */
  #offset = 0;
  /** The last messages, as far as they may be parts of something. */
  readonly #recent: Buffer[] = [];
  /** Places that carry a label now. */
  replaced = 0;

  constructor(options: LookOptions) {
    this.#options = options;
  }

  get scanned(): BodyScanned {
    return this.#tally.scanned;
  }

  /** `fixed`: if it passes as another one, then of the same length. */
  at(text: Buffer, fixed = false): Seen {
    const offset = this.#offset;
    const told = this.#begin(text);
    if (told !== undefined) return told;
    return this.#safely(() => this.#whole(text, offset, fixed));
  }

  /** A message that is complete: as `at`, at once or later. */
  message(text: Buffer, fixed: boolean, done: (seen: Seen) => void): void {
    if (text.length > TURN) this.#inTurns(text, fixed, done);
    else {
      const seen = this.at(text, fixed);
      done(seen === 'stop' ? seen : this.#safely(() => (this.#isCutUp(text) ? 'stop' : seen)));
    }
  }

  /** Something was not looked at. */
  unread(cause: UnscannedCause, offset: number = this.#offset): 'pass' | 'stop' {
    this.#tally.unscanned(cause, offset);
    return this.#options.onUnscanned(cause);
  }

  #begin(text: Buffer): Seen | undefined {
    const { scanBytes, budget, agent } = this.#options;
    const offset = this.#offset;
    if (text.length === 0) return 'pass';
    this.#offset += text.length;
    if (scanBytes > 0 && this.#offset > scanBytes) return this.unread('scan-bytes', offset);
    return budget.left(agent) ? undefined : this.unread('cpu-budget', offset);
  }

  #safely(look: () => Seen): Seen {
    const { agent, budget, now, onFailed } = this.#options;
    const began = now();
    try {
      return look();
    } catch (error) {
      return onFailed(error);
    } finally {
      budget.spend(agent, now() - began);
    }
  }

  #whole(text: Buffer, offset: number, fixed: boolean): Seen {
    const { scan, what } = this.#options;
    const { found, unscanned } = scan.scan(what, text);
    const places: Found[] = [];
    let stop = false;
    for (const one of found) {
      this.#tally.add(one, offset + one.start, () => placeOf(text, one.start, one.end, true));
      const act = this.#options.act(one);
      if (act === 'stop') stop = true;
      else if (act === 'replace') places.push(one);
    }
    const cause = unscanned === 'cpu-budget' ? 'candidates' : unscanned;
    if (stop || (cause !== undefined && this.unread(cause, offset) === 'stop')) return 'stop';
    if (places.length === 0) return 'pass';
    const going = { bytes: text, from: 0, until: text.length, whole: true, format: 'json', fixed } as const;
    const { bytes, replaced } = rewritten(going, places);
    this.replaced += replaced;
    return bytes;
  }

  /** Whether it holds, or completes, a secret that was cut up. Messages before it have gone on, this one need not. */
  #isCutUp(text: Buffer): boolean {
    const { act, scan, what } = this.#options;
    if (what !== 'request') return false;
    const found = [...splitFinds(text, scan), ...this.#overMessages(text)];
    this.#tally.include(found);
    return found.some((one) => act(one.found) === 'stop');
  }

  #overMessages(text: Buffer): readonly BodyFound[] {
    if (text.length === 0 || text.length > MOST_PART) return [];
    this.#recent.push(text);
    if (this.#recent.length > MOST_PARTS) this.#recent.shift();
    const parts = new SplitMessages(this.#options.scan);
    for (const one of this.#recent) {
      parts.add(one);
      parts.end();
    }
    return parts.finish();
  }

  #inTurns(text: Buffer, fixed: boolean, done: (seen: Seen) => void): void {
    const offset = this.#offset;
    const told = this.#begin(text);
    if (told !== undefined) {
      done(told);
      return;
    }
    const parts: Buffer[] = [];
    let stopped = false;
    const redactor = new Redactor({
      ...this.#options,
      scanBytes: 0,
      format: 'json',
      fixed,
      patient: true,
      data: (payload) => parts.push(payload),
      stopped: () => {
        stopped = true;
      },
    });
    const step = (from: number): void => {
      if (from < text.length && !stopped) {
        redactor.write(text.subarray(from, from + TURN));
        setImmediate(step, from + TURN);
        return;
      }
      if (!stopped) redactor.end();
      this.#include(redactor, offset);
      done(stopped ? 'stop' : redactor.replaced === 0 ? 'pass' : Buffer.concat(parts));
    };
    step(0);
  }

  #include({ replaced, scanned: { found, unscanned } }: Redactor, offset: number): void {
    this.replaced += replaced;
    for (const one of found) {
      for (let i = 0; i < one.count; i++) this.#tally.add(one.found, offset + one.offset, () => one.place);
    }
    if (unscanned !== undefined) this.#tally.unscanned(unscanned.cause, offset + unscanned.offset);
  }
}
