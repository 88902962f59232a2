import type { BodyScanned, UnscannedCause } from '../model/scan.ts';
import { DeltaFilter, together } from './delta-filter.ts';
import { EventEnds } from './event-stream.ts';
import type { BodyPlan } from './filter.ts';
import { messageEnds } from './message-ends.ts';
import { MessageRedactor } from './message-redactor.ts';
import { Redactor } from './redactor.ts';
import type { RedactorOptions } from './redactor-contract.ts';

/** An event stream: every event by itself, then the texts that events make together. */
export class EventRedactor {
  readonly #redactor: Redactor;
  readonly #deltas: DeltaFilter;
  readonly #options: RedactorOptions;
  /** The texts could not be looked at: what passes goes on as it is. */
  #blind = false;
  #over = false;

  constructor(options: RedactorOptions) {
    this.#options = options;
    const { scan, budget, agent, now, holdMs } = options;
    this.#deltas = new DeltaFilter({
      scan,
      budget,
      agent,
      now,
      holdMs,
      act: (found) => options.act(found),
      data: options.data,
      stopped: () => this.#stop(),
      onError: (error) => this.#failed(error),
    });
    const hooks = { data: (payload: Buffer) => this.#pass(payload), stopped: () => this.#stop() };
    this.#redactor = new MessageRedactor({ ...options, ...hooks }, new EventEnds());
  }

  get scanned(): BodyScanned {
    return together(this.#redactor.scanned, this.#deltas);
  }

  get replaced(): number {
    return this.#redactor.replaced + this.#deltas.replaced;
  }

  get over(): boolean {
    return this.#over;
  }

  write(payload: Buffer): void {
    this.#redactor.write(payload);
  }

  end(): void {
    if (this.#over) return;
    this.#redactor.end();
    if (this.#over) return;
    this.#safely(() => this.#deltas.end());
    this.#over = true;
  }

  breakOff(): void {
    if (this.#over) return;
    this.#redactor.breakOff();
    if (this.#over) return;
    this.#safely(() => this.#deltas.breakOff());
    this.#over = true;
  }

  abandon(): void {
    this.#over = true;
    this.#redactor.abandon();
    this.#deltas.abandon();
  }

  giveUp(cause: UnscannedCause): void {
    this.#redactor.giveUp(cause);
  }

  #pass(payload: Buffer): void {
    if (this.#blind) this.#options.data(payload);
    else this.#safely(() => this.#deltas.write(payload));
  }

  #safely(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (this.#over || this.#blind) return;
    if (this.#options.onFailed(error) === 'stop') {
      this.#stop();
      return;
    }
    this.#blind = true;
    this.#deltas.giveUp();
  }

  #stop(): void {
    if (this.#over) return;
    this.abandon();
    this.#options.stopped();
  }
}

/** What looks at a body of this plan. */
export function redactorOf(plan: BodyPlan, hooks: Pick<RedactorOptions, 'data' | 'stopped'>): Redactor | EventRedactor {
  const options = { ...plan, data: hooks.data, stopped: hooks.stopped };
  // Labels of the same length would leave the rest of a text where it is.
  if (plan.events && plan.what === 'response' && !plan.fixed) return new EventRedactor(options);
  const ends = plan.patient ? undefined : messageEnds(plan.type);
  return ends === undefined ? new Redactor(options) : new MessageRedactor(options, ends);
}
