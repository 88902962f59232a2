import type { ContentFilter } from '../model/ports.ts';
import { Decoding } from './decoding.ts';
import { Encoder } from './encode.ts';
import type { BodyFilterOptions, BodyPlan } from './filter.ts';
import type { Holding } from './held-bytes.ts';

/** A body with a content encoding that is held whole. One in which nothing was replaced goes on as it came. */
export class CodedWholeFilter implements ContentFilter {
  readonly shape = 'whole';
  readonly #options: BodyFilterOptions;
  readonly #encodings: readonly string[];
  readonly #holding: Holding | undefined;
  readonly #decoding: Decoding;
  readonly #raw: Buffer[] = [];
  /** Decoded, with labels. */
  #plain: Buffer[] = [];
  #plainBytes = 0;
  /** More of it than is ever looked at cannot be held, and cannot go on as it came either. */
  #bounded = false;
  #ending = false;
  #decoded = false;
  /** Nothing more of what is decoded is wanted. */
  #asIs = false;
  #over = false;

  constructor(options: BodyFilterOptions, plan: BodyPlan, encodings: readonly string[], holding: Holding | undefined) {
    this.#options = options;
    this.#holding = holding;
    this.#encodings = encodings;
    this.#decoding = new Decoding(options, plan, encodings, {
      data: (payload) => this.#keep(payload),
      stopped: () => this.#stop(),
      ended: () => this.#ready(),
      broken: () => {
        this.#unread();
        this.#ready();
      },
      limited: () => {
        if (this.#unread()) this.#ready();
        else this.#bounded = true;
      },
    });
  }

  write(payload: Buffer): boolean {
    if (this.#over) return true;
    this.#raw.push(payload);
    this.#decoding.push(payload);
    return true;
  }

  end(): void {
    this.#ending = true;
    if (this.#over) return;
    if (this.#decoded) this.#finish();
    else this.#decoding.end();
  }

  abandon(): void {
    if (this.#over) return;
    const { scanned, redactor } = this.#decoding;
    this.#destroy();
    this.#options.out.end(scanned, redactor.replaced);
  }

  #keep(payload: Buffer): void {
    if (this.#asIs || this.#over) return;
    if (this.#holding?.take(payload.length) === false && !this.#bounded) {
      this.#decoding.limit('held-bytes');
      // With labels in it there is no way back to what came, and no room to go on.
      if (!this.#asIs && !this.#over) this.#stop();
      return;
    }
    this.#plain.push(payload);
    this.#plainBytes += payload.length;
    if (this.#bounded && this.#plainBytes > this.#options.decodedBytes) this.#stop();
  }

  #stop(): void {
    const { scanned } = this.#decoding;
    this.#destroy();
    this.#options.out.stop(scanned);
  }

  #destroy(): void {
    this.#over = true;
    this.#plain = [];
    this.#raw.length = 0;
    this.#decoding.destroy();
  }

  /** What cannot be read to its end goes on as it came when nothing had to be replaced before. True = it does. */
  #unread(): boolean {
    if (this.#decoding.redactor.replaced > 0) return false;
    this.#asIs = true;
    this.#plain = [];
    this.#decoding.destroy();
    return true;
  }

  #ready(): void {
    this.#decoded = true;
    if (this.#ending) this.#finish();
  }

  #finish(): void {
    const { scanned, redactor } = this.#decoding;
    const { out } = this.#options;
    if (redactor.replaced === 0) {
      const all = Buffer.concat(this.#raw);
      this.#destroy();
      if (all.length > 0) out.data(all);
      out.end(scanned, 0);
      return;
    }
    const chunks: Buffer[] = [];
    const encoder = new Encoder({
      encodings: this.#encodings,
      raw: this.#decoding.raw,
      onData: (chunk) => chunks.push(chunk),
      onEnd: () => {
        if (this.#over) return;
        this.#destroy();
        out.data(Buffer.concat(chunks));
        out.end(scanned, redactor.replaced);
      },
    });
    for (const payload of this.#plain) encoder.write(payload);
    encoder.end();
  }
}
