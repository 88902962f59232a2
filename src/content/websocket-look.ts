import type { BodyScanned, Found, UnscannedCause } from '../model/scan.ts';
import type { FilterOptions } from './filter-contract.ts';
import { placeOf } from './place.ts';
import { Tally } from './tally.ts';
import { replaceFound } from './websocket-replace.ts';

export interface LookOptions extends FilterOptions {
  /** The scan threw: let what it was given pass unread, or stop. */
  onFailed(error: unknown): 'pass' | 'stop';
}

/** Looks at texts one by one and remembers what was found in all of them. */
export class Look {
  readonly #options: LookOptions;
  readonly #tally = new Tally();
  /** Bytes of all texts before. */
  #offset = 0;
  /** Places that carry a label now. */
  replaced = 0;

  constructor(options: LookOptions) {
    this.#options = options;
  }

  get scanned(): BodyScanned {
    return this.#tally.scanned;
  }

  /** What becomes of one text: it passes as it is, as another one (of the same length when `fixed`), or not at all. */
  at(text: Buffer, fixed = false): 'pass' | 'stop' | Buffer {
    const { scanBytes, budget, agent, now } = this.#options;
    const offset = this.#offset;
    if (text.length === 0) return 'pass';
    this.#offset += text.length;
    if (scanBytes > 0 && this.#offset > scanBytes) return this.unread('scan-bytes', offset);
    if (!budget.left(agent)) return this.unread('cpu-budget', offset);
    const began = now();
    try {
      return this.#judged(text, offset, fixed);
    } catch (error) {
      return this.#options.onFailed(error);
    } finally {
      budget.spend(agent, now() - began);
    }
  }

  #judged(text: Buffer, offset: number, fixed: boolean): 'pass' | 'stop' | Buffer {
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
    this.replaced += places.length;
    return replaceFound(text, places, fixed, (bytes) => scan.scan(what, bytes).found.length === 0);
  }

  /** Something was not looked at. */
  unread(cause: UnscannedCause, offset: number = this.#offset): 'pass' | 'stop' {
    this.#tally.unscanned(cause, offset);
    return this.#options.onUnscanned(cause);
  }
}
