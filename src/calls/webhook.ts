import { createHmac } from 'node:crypto';
import type { HookStatus } from '../model/notify.ts';
import { type Caller, createCaller, type IsSelf, type Via } from './direct.ts';

/** One notification; the same id on every try, so that a receiver can tell a repeat. */
export interface Message {
  readonly id: string;
  /** JSON. */
  readonly body: string;
}

export interface HookOptions {
  readonly url: string;
  /** `whsec_` and base64, or any text; absent = not signed. */
  readonly secret?: string;
  readonly isSelf: IsSelf;
  readonly via?: Via | undefined;
  readonly log: (level: 'warn', event: string, fields: Record<string, unknown>) => void;
  /** Pauses between tries, ms; one more try than pauses. */
  readonly pausesMs?: readonly number[];
  readonly maxQueue?: number;
  readonly timeoutMs?: number;
}

/** One address that is told. */
export interface Hook {
  push(message: Message): void;
  /** Tells what waits once more, until the deadline; the rest is given up. */
  close(deadlineMs: number): Promise<void>;
  status(): HookStatus;
}

const PAUSES_MS: readonly number[] = [1_000, 5_000, 30_000, 120_000, 600_000];
const MAX_QUEUE = 1_000;
const TIMEOUT_MS = 10_000;
/** Nobody reads what a receiver answers. */
const MAX_ANSWER = 64 * 1024;
const GONE = 410;

/**
 * Headers of Standard Webhooks 1.0: `webhook-signature` is base64 of the HMAC-SHA256 of `id.timestamp.body` by the bytes the secret
 * encodes. @param at epoch ms of this try
 */
export function signed(secret: string | undefined, { id, body }: Message, at: number): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000));
  const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp };
  if (secret === undefined) return headers;
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice('whsec_'.length), 'base64') : Buffer.from(secret);
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { ...headers, 'webhook-signature': `v1,${mac}` };
}

export function createHook(options: HookOptions): Hook {
  return new Queue(options);
}

class Queue implements Hook {
  readonly #options: HookOptions;
  readonly #caller: Caller;
  readonly #waiting: Message[] = [];
  readonly #pauses: readonly number[];
  #delivered = 0;
  #dead = 0;
  #tries = 0;
  #busy = false;
  /** It said that it is gone for good (410). */
  #gone = false;
  #lastError: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #idle: () => void = () => undefined;

  constructor(options: HookOptions) {
    this.#options = options;
    this.#pauses = options.pausesMs ?? PAUSES_MS;
    this.#caller = createCaller(options.url, options.isSelf, options.via);
  }

  push(message: Message): void {
    if (this.#closed) return;
    if (this.#gone || this.#waiting.length >= (this.#options.maxQueue ?? MAX_QUEUE)) {
      this.#dead++;
      return;
    }
    this.#waiting.push(message);
    if (this.#waiting.length === 1) void this.#send();
  }

  status(): HookStatus {
    return {
      origin: new URL(this.#options.url).origin,
      delivered: this.#delivered,
      waiting: this.#waiting.length,
      dead: this.#dead,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
  }

  async close(deadlineMs: number): Promise<void> {
    if (this.#waiting.length > 0 && !this.#gone) {
      const done = new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
      clearTimeout(this.#timer);
      void this.#send();
      await Promise.race([done, new Promise((resolve) => setTimeout(resolve, deadlineMs).unref())]);
    }
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#dead += this.#waiting.length;
    this.#waiting.length = 0;
    this.#caller.close();
  }

  /** One at a time, in order: what cannot be told stops those behind it until it is told or given up. */
  async #send(): Promise<void> {
    const [message] = this.#waiting;
    if (this.#busy || this.#closed || message === undefined) return;
    this.#busy = true;
    const error = await this.#try(message);
    this.#busy = false;
    if (this.#closed) return;
    if (error === undefined) this.#done(true);
    else this.#failed(message, error);
  }

  async #try(message: Message): Promise<string | undefined> {
    const { secret, timeoutMs = TIMEOUT_MS } = this.#options;
    try {
      const { status } = await this.#caller.call({
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'user-agent': 'weir',
          ...signed(secret, message, Date.now()),
        },
        body: message.body,
        timeoutMs,
        maxBytes: MAX_ANSWER,
      });
      if (status === GONE) this.#gone = true;
      return status >= 200 && status < 300 ? undefined : `it answered ${status}`;
    } catch (error) {
      return (error as Error).message;
    }
  }

  #failed(message: Message, error: string): void {
    this.#lastError = error;
    const pause = this.#pauses[this.#tries++];
    if (!this.#gone && pause !== undefined) {
      this.#timer = setTimeout(() => void this.#send(), pause);
      this.#timer.unref();
      return;
    }
    const { origin } = new URL(this.#options.url);
    this.#options.log('warn', 'notification-given-up', { to: origin, id: message.id, error });
    this.#done(false);
  }

  #done(delivered: boolean): void {
    this.#waiting.shift();
    this.#tries = 0;
    if (delivered) {
      this.#delivered++;
      this.#lastError = undefined;
    } else this.#dead++;
    if (this.#gone) {
      this.#dead += this.#waiting.length;
      this.#waiting.length = 0;
    }
    if (this.#waiting.length === 0) this.#idle();
    else void this.#send();
  }
}
