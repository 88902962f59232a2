import type { BodyFound, BodyScanned, Found, UnscannedCause } from '../model/scan.ts';

/** Different rules kept of one body. */
const MOST_RULES = 64;
/** More are not told. */
const MOST_PLACES = 16;

/** What was found in one body: once per rule, and where looking ended. */
export class Tally {
  readonly #rules: Map<string, BodyFound> = new Map();
  #unscanned: BodyScanned['unscanned'];

  /** `offset` in the decoded body; `place` is asked for the first of each rule. */
  add(found: Found, offset: number, place?: () => string | undefined): void {
    const known = this.#rules.get(found.rule);
    if (known !== undefined) {
      this.#rules.set(found.rule, { ...known, count: known.count + 1 });
    } else if (this.#rules.size < MOST_RULES) {
      const where = this.#rules.size < MOST_PLACES ? place?.() : undefined;
      this.#rules.set(found.rule, { found, offset, count: 1, ...(where === undefined ? {} : { place: where }) });
    }
  }

  /** What was found otherwise; nothing new about a rule that is known. */
  include(all: readonly BodyFound[]): void {
    for (const one of all) {
      if (!this.#rules.has(one.found.rule) && this.#rules.size < MOST_RULES) this.#rules.set(one.found.rule, one);
    }
  }

  /** The first cause counts. True = it was the first. */
  unscanned(cause: UnscannedCause, offset: number): boolean {
    if (this.#unscanned !== undefined) return false;
    this.#unscanned = { cause, offset };
    return true;
  }

  get scanned(): BodyScanned {
    const found = [...this.#rules.values()];
    return this.#unscanned === undefined ? { found } : { found, unscanned: this.#unscanned };
  }
}
