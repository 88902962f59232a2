import type { ContentFilter, FilterSink } from '../model/ports.ts';

/** Kept of a body of any length before its filter has given something. */
const MOST_KEPT = 1 << 20;

/** What is done when a filter throws: `pass` the bytes on unread, or end the body there. Told once. */
export type OnThrow = (error: unknown) => 'pass' | 'stop';

/**
 * Makes a filter whose throw is the exchange's failure, and nobody's problem further on. `make` is given the sink the filter must
 * use; `stop` ends the body with the exchange's answer.
 */
export function guarded(
  make: (sink: FilterSink) => ContentFilter | undefined,
  sink: FilterSink,
  onThrow: OnThrow,
  stop: () => void,
): ContentFilter | undefined {
  let guard: GuardedFilter | undefined;
  const filter = make({
    data: (payload) => guard?.given(payload),
    drained: () => guard?.unlessOver(() => sink.drained()),
    end: (redactions) => guard?.over(() => sink.end(redactions)),
    stop: (answer, last) => guard?.over(() => (last === undefined ? sink.stop(answer) : sink.stop(answer, last))),
  });
  if (filter === undefined) return undefined;
  guard = new GuardedFilter(filter, sink, onThrow, stop);
  return guard;
}

/**
 * A filter that may throw. Remembers what went in and has not come out, so that the body can go on whole where that is wanted; where it cannot be known (`free`, after something came out) the
 * body is stopped rather than told wrongly.
 */
class GuardedFilter implements ContentFilter {
  readonly shape: ContentFilter['shape'];
  readonly #filter: ContentFilter;
  readonly #sink: FilterSink;
  readonly #onThrow: OnThrow;
  readonly #stop: () => void;
  /** Went in and has not come out, oldest first. */
  #kept: Buffer[] = [];
  #keptBytes = 0;
  /** What came out cannot be matched with what went in. */
  #lost = false;
  #state: 'filtering' | 'passing' | 'over' = 'filtering';

  constructor(filter: ContentFilter, sink: FilterSink, onThrow: OnThrow, stop: () => void) {
    this.#filter = filter;
    this.shape = filter.shape;
    this.#sink = sink;
    this.#onThrow = onThrow;
    this.#stop = stop;
  }

  write(payload: Buffer): boolean {
    if (this.#state === 'passing') this.#sink.data(payload);
    if (this.#state !== 'filtering') return true;
    this.#keep(payload);
    try {
      return this.#filter.write(payload);
    } catch (error) {
      this.#failed(error);
      return true;
    }
  }

  end(): void {
    if (this.#state === 'filtering') {
      try {
        this.#filter.end();
        return;
      } catch (error) {
        this.#failed(error);
      }
    }
    if (this.#state === 'passing') this.over(() => this.#sink.end(0));
  }

  abandon(): void {
    this.#kept = [];
    const filtering = this.#state === 'filtering';
    this.#state = 'over';
    if (!filtering) return;
    try {
      this.#filter.abandon();
    } catch (error) {
      this.#onThrow(error);
    }
  }

  breakOff(): void {
    if (this.#state === 'filtering') {
      try {
        if (this.#filter.breakOff !== undefined) {
          this.#filter.breakOff();
          return;
        }
        this.#filter.abandon();
      } catch (error) {
        this.#failed(error);
      }
    }
    this.over(() => this.#sink.end(0));
  }

  #keep(payload: Buffer): void {
    if (this.#lost) return;
    this.#kept.push(payload);
    this.#keptBytes += payload.length;
    if (this.shape === 'free' && this.#keptBytes > MOST_KEPT) this.#lose();
  }

  #lose(): void {
    this.#lost = true;
    this.#kept = [];
  }

  /** Its filter gives something. */
  given(payload: Buffer): void {
    if (this.#state !== 'filtering') return;
    if (this.shape === 'same') this.#forget(payload.length);
    else this.#lose();
    this.#sink.data(payload);
  }

  /** As many bytes as came out are no longer waiting. */
  #forget(bytes: number): void {
    let left = bytes;
    while (left > 0) {
      const first = this.#kept.shift();
      if (first === undefined) return;
      if (first.length > left) this.#kept.unshift(first.subarray(left));
      left -= first.length;
    }
  }

  /** Its filter has something else to say. */
  unlessOver(act: () => void): void {
    if (this.#state === 'filtering') act();
  }

  /** Its filter is done. */
  over(act: () => void): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#kept = [];
    act();
  }

  #failed(error: unknown): void {
    if (this.#state !== 'filtering') return;
    const kept = this.#kept;
    this.#kept = [];
    if (this.#onThrow(error) === 'stop' || this.#lost) {
      this.over(this.#stop);
      return;
    }
    this.#state = 'passing';
    for (const payload of kept) this.#sink.data(payload);
  }
}
