import type { Finding } from '../model/finding.ts';
import type { ContentTap } from '../model/ports.ts';
import { failed, noteLate } from './checkpoint.ts';
import type { LiveExchange } from './live.ts';
import type { BodyTap } from './stages.ts';

/** Whatever looks at one body. */
export interface Looking extends ContentTap {
  /** Ends it. A promise when the record has to wait for what is still being decoded; it never rejects. */
  settle(): Promise<void> | undefined;
}

const NONE: readonly Looking[] = [];

/** One body of an exchange: a failure while looking at it is a finding, like any inspector's, and the traffic never hears of it. */
export class Tapped implements Looking {
  readonly #exchange: LiveExchange;
  #tap: BodyTap | undefined;
  #waiting: Promise<void> | undefined;

  constructor(exchange: LiveExchange, tap: BodyTap) {
    this.#exchange = exchange;
    this.#tap = tap;
  }

  push(payload: Uint8Array): void {
    try {
      this.#tap?.push(payload);
    } catch (error) {
      this.#fail(error);
    }
  }

  end(): void {
    const tap = this.#tap;
    if (tap === undefined) return;
    this.#tap = undefined;
    try {
      const findings = tap.finish();
      if (findings instanceof Promise) this.#wait(findings);
      else this.#note(findings);
    } catch (error) {
      this.#fail(error);
    }
  }

  settle(): Promise<void> | undefined {
    this.end();
    return this.#waiting;
  }

  #wait(findings: Promise<readonly Finding[]>): void {
    this.#waiting = findings.then(
      (all) => {
        this.#waiting = undefined;
        this.#note(all);
      },
      (error: unknown) => {
        this.#waiting = undefined;
        this.#fail(error);
      },
    );
  }

  #note(findings: readonly Finding[]): void {
    noteLate(this.#exchange, { findings });
  }

  #fail(error: unknown): void {
    this.#tap = undefined;
    this.#note([failed('scan', error)]);
  }
}

/** Begins to look at a body. Undefined when nobody wants to. */
export function tapContent(exchange: LiveExchange, direction: 'request' | 'response'): Tapped | undefined {
  const { content } = exchange.stages;
  if (content === undefined || exchange.closed) return undefined;
  let tap: BodyTap | undefined;
  try {
    tap = content.tap(exchange, direction);
    if (tap === undefined) return undefined;
  } catch (error) {
    // Told when the body would have been: it has a verdict of its own then.
    tap = { push: () => undefined, finish: () => [failed('scan', error)] };
  }
  const tapped = new Tapped(exchange, tap);
  exchange.taps = exchange.taps === undefined ? [tapped] : [...exchange.taps, tapped];
  return tapped;
}

/** Ends all that looks at an exchange, then calls `then`: at once, or when what is still being decoded is known (`late` meanwhile). */
export function afterTaps(taps: readonly Looking[] | undefined, late: Set<Promise<unknown>>, then: () => void): void {
  let waiting: Promise<void>[] | undefined;
  for (const tap of taps ?? NONE) {
    const pending = tap.settle();
    if (pending === undefined) continue;
    waiting ??= [];
    waiting.push(pending);
  }
  if (waiting === undefined) {
    then();
    return;
  }
  const all: Promise<unknown> = Promise.all(waiting).then(() => {
    late.delete(all);
    then();
  });
  late.add(all);
}
