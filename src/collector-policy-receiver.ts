import { createReceiver, type ReceiverClient } from './calls/receiver.ts';
import { readStored, type StoredAnswer, writeStored } from './calls/stored.ts';
import { parseReceived } from './collector-policy-engine.ts';
import { fingerprintOf, isShrink, type Loosened, loosened, loosenedText } from './policy/compare.ts';
import type { PolicySet } from './policy/policy.ts';

/** Strathon's SDK asks this often. */
const EVERY_MS = 30_000;

export interface ReceiverOptions {
  readonly url: string;
  readonly key: string | undefined;
  /** Where the last good set is kept. */
  readonly file: string;
  readonly isSelf: (address: string, port: number) => boolean;
  /** Parent proxy on the way to it. */
  readonly via?: () => string | undefined;
  /** Somewhere requests are really stopped: then a set that allows much more has to be confirmed. */
  readonly enforcing: () => boolean;
  readonly acceptShrink: () => boolean;
  /** There is a new set. @param looser what it no longer stops; '' = nothing */
  readonly changed: (looser: string) => void;
  readonly log: (level: 'info' | 'warn', fields: object, message: string) => void;
}

interface Received {
  readonly set: PolicySet;
  readonly stored: StoredAnswer;
}

/** The policies of a Strathon receiver: asked at the start and every 30 s; what was good stays in force while it cannot be asked. */
export class PolicyReceiver {
  readonly #options: ReceiverOptions;
  readonly #client: ReceiverClient;
  #current: Received | undefined;
  #held: (Received & { readonly why: Loosened }) | undefined;
  /** Of the answer seen last, held or in force. */
  #etag: string | undefined;
  #checkedAt: number | undefined;
  #problem: string | undefined;
  #asking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#client = createReceiver(options.url, options.key, options.isSelf, options.via);
  }

  get url(): string {
    return this.#options.url;
  }

  /** Last good set; undefined = never loaded, in this life or an earlier one. */
  get set(): PolicySet | undefined {
    return this.#current?.set;
  }

  /** What it says of itself. Times epoch ms. */
  get state() {
    const held = this.#held;
    return {
      loadedAt: this.#current?.stored.at,
      checkedAt: this.#checkedAt,
      problem: this.#problem,
      held: held === undefined ? undefined : loosenedText(held.why),
    };
  }

  /** What a former life kept. */
  async restore(): Promise<void> {
    const stored = readStored(this.#options.file, this.url);
    if (stored === undefined) return;
    try {
      this.#current = { set: await parseReceived(stored.answer, this.#name()), stored };
      this.#etag = stored.etag;
    } catch (error) {
      this.#problem = `the set kept in ${this.#options.file} cannot be used: ${(error as Error).message}`;
    }
  }

  /** Asks now and then every 30 s. Resolves when the first answer, or failure, is in. */
  async start(): Promise<void> {
    await this.ask();
    if (this.#closed) return;
    this.#timer = setTimeout(() => void this.start(), EVERY_MS);
    this.#timer.unref();
  }

  stop(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#client.close();
  }

  /** Once, also when it is asked for twice at a time. Never rejects: what is wrong is in `state`. */
  ask(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  async #ask(): Promise<void> {
    try {
      const pulled = await this.#client.pull(this.#etag);
      if (this.#closed) return;
      this.#checkedAt = Date.now();
      if (!('unchanged' in pulled)) await this.#take(pulled);
      this.#settled(undefined);
    } catch (error) {
      if (!this.#closed) this.#settled((error as Error).message);
    }
  }

  /** Takes over what is held back. False when there is nothing. */
  accept(): boolean {
    const held = this.#held;
    if (held === undefined) return false;
    this.#use(held, held.why);
    return true;
  }

  async #take({ answer, etag }: { readonly answer: unknown; readonly etag?: string }): Promise<void> {
    const set = await parseReceived(answer, this.#name());
    const stored = { url: this.url, at: Date.now(), answer, ...(etag === undefined ? {} : { etag }) };
    const before = this.#current;
    this.#etag = etag;
    if (before === undefined) return this.#use({ set, stored }, undefined);
    if (fingerprintOf(before.set) === fingerprintOf(set)) {
      this.#current = { set: before.set, stored };
      this.#held = undefined;
      return undefined;
    }
    const why = loosened(before.set, set);
    const { enforcing, acceptShrink } = this.#options;
    if (!isShrink(why) || acceptShrink() || !enforcing()) return this.#use({ set, stored }, why);
    if (this.#held === undefined || fingerprintOf(this.#held.set) !== fingerprintOf(set)) {
      this.#options.log('warn', { from: this.#name(), what: loosenedText(why) }, 'policies-held-back');
    }
    this.#held = { set, stored, why };
    return undefined;
  }

  #use(received: Received, why: Loosened | undefined): void {
    this.#current = { set: received.set, stored: received.stored };
    this.#held = undefined;
    try {
      writeStored(this.#options.file, received.stored);
    } catch (error) {
      this.#options.log('warn', { file: this.#options.file, error: String(error) }, 'policies-not-kept');
    }
    this.#options.changed(why === undefined ? '' : loosenedText(why));
  }

  /** The log hears of a change of state, not of every try. */
  #settled(problem: string | undefined): void {
    if (problem !== this.#problem) {
      const from = this.#name();
      if (problem !== undefined) this.#options.log('warn', { from, problem }, 'policies-not-pulled');
      else if (this.#problem !== undefined) this.#options.log('info', { from }, 'policies-pulled-again');
    }
    this.#problem = problem;
  }

  #name(): string {
    return new URL(this.url).origin;
  }
}
