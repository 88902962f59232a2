import type { BodyFound, BodyScanned, Found, UnscannedCause } from '../model/scan.ts';
import type { FilterOptions } from './filter-contract.ts';
import { replaceFound } from './websocket-replace.ts';

/** Different rules kept of one direction. */
const MOST_RULES = 64;

/** Looks at texts one by one and remembers what was found in all of them. */
export class Look {
  readonly #options: FilterOptions;
  readonly #rules: Map<string, BodyFound> = new Map();
  #unscanned: BodyScanned['unscanned'];
  /** Bytes of all texts before. */
  #offset = 0;
  /** Places that carry a label now. */
  replaced = 0;

  constructor(options: FilterOptions) {
    this.#options = options;
  }

  get scanned(): BodyScanned {
    const found = [...this.#rules.values()];
    return this.#unscanned === undefined ? { found } : { found, unscanned: this.#unscanned };
  }

  /** What becomes of one text: it passes as it is, as another one, or not at all. */
  at(text: Buffer): 'pass' | 'stop' | Buffer {
    const { scanBytes, budget, agent, scan, what, now } = this.#options;
    const offset = this.#offset;
    if (text.length === 0) return 'pass';
    this.#offset += text.length;
    if (scanBytes > 0 && this.#offset > scanBytes) return this.unread('scan-bytes', offset);
    if (!budget.left(agent)) return this.unread('cpu-budget', offset);
    const began = now();
    const { found, unscanned } = scan.scan(what, text);
    budget.spend(agent, now() - began);
    const places: Found[] = [];
    let stop = false;
    for (const one of found) {
      this.#keep(one, offset + one.start);
      const act = this.#options.act(one);
      if (act === 'stop') stop = true;
      else if (act === 'replace') places.push(one);
    }
    const cause = unscanned === 'cpu-budget' ? 'candidates' : unscanned;
    if (stop || (cause !== undefined && this.unread(cause, offset) === 'stop')) return 'stop';
    if (places.length === 0) return 'pass';
    this.replaced += places.length;
    return replaceFound(text, places);
  }

  /** Something was not looked at. */
  unread(cause: UnscannedCause, offset: number = this.#offset): 'pass' | 'stop' {
    this.#unscanned ??= { cause, offset };
    return this.#options.onUnscanned(cause);
  }

  #keep(found: Found, offset: number): void {
    const known = this.#rules.get(found.rule);
    if (known !== undefined) this.#rules.set(found.rule, { ...known, count: known.count + 1 });
    else if (this.#rules.size < MOST_RULES) this.#rules.set(found.rule, { found, offset, count: 1 });
  }
}
