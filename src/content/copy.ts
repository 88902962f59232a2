import { canDecode, Decoder, encodingsOf } from './decode.ts';

export interface CopyOptions {
  readonly contentEncoding: string | undefined;
  /** Bytes after decoding that are handed on. */
  readonly decodedBytes: number;
  /** Decoded to encoded, at most. */
  readonly decodeRatio: number;
  /** Decoded bytes, valid during the call. */
  readonly onData: (bytes: Uint8Array) => void;
}

/** A body with its encodings undone, on a copy, for somebody who reads it. */
export interface Copy {
  /** More of it, after it was written on. */
  push(payload: Uint8Array): void;
  /** No more comes. True when all of it was handed on; a promise while it is being decoded. Throws or rejects with what `onData` threw meanwhile. */
  finish(): boolean | Promise<boolean>;
}

/** As for scanning (`tap.ts`): beyond it the body is faster than we are. */
const MOST_WAITING = 4 << 20;
const RATIO_FLOOR = 1 << 20;
const LATE_MS = 2_000;

/** Undefined when its encodings cannot be undone. */
export function copyBody(options: CopyOptions): Copy | undefined {
  const encodings = encodingsOf(options.contentEncoding);
  if (encodings.length === 0) return plainCopy(options);
  return canDecode(encodings) ? new DecodedCopy(options, encodings) : undefined;
}

function plainCopy({ decodedBytes, onData }: CopyOptions): Copy {
  let left = decodedBytes;
  return {
    push: (payload) => {
      if (left >= payload.length) onData(payload);
      left -= payload.length;
    },
    finish: () => left >= 0,
  };
}

class DecodedCopy implements Copy {
  readonly #options: CopyOptions;
  readonly #decoder: Decoder;
  #encoded = 0;
  #decoded = 0;
  #whole: boolean | undefined;
  #settle: ((whole: boolean) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;
  /** Decoders call back from nowhere: what is thrown there is kept for whoever asks. */
  #failure: { readonly error: unknown } | undefined;
  #late: NodeJS.Timeout | undefined;

  constructor(options: CopyOptions, encodings: readonly string[]) {
    this.#options = options;
    this.#decoder = new Decoder({
      encodings,
      onData: (chunk) => this.#take(chunk),
      onEnd: (error) => this.#over(error === undefined),
    });
  }

  push(payload: Uint8Array): void {
    if (this.#whole !== undefined) return;
    this.#encoded += payload.length;
    if (this.#decoder.waiting + payload.length > MOST_WAITING) this.#over(false);
    // The decoder reads later, the caller's bytes are his again when this returns.
    else this.#decoder.push(Buffer.from(payload));
  }

  finish(): boolean | Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#whole !== undefined) return this.#whole;
    return new Promise((resolve, reject) => {
      this.#settle = resolve;
      this.#reject = reject;
      this.#late = setTimeout(() => this.#over(false), LATE_MS);
      this.#decoder.end();
    });
  }

  #take(chunk: Uint8Array): void {
    const { decodedBytes, decodeRatio, onData } = this.#options;
    this.#decoded += chunk.length;
    const bomb = this.#decoded > RATIO_FLOOR && this.#decoded > this.#encoded * decodeRatio;
    if (bomb || this.#decoded > decodedBytes) {
      this.#over(false);
      return;
    }
    try {
      onData(chunk);
    } catch (error) {
      this.#failure = { error };
      this.#over(false);
    }
  }

  #over(whole: boolean): void {
    if (this.#whole !== undefined) return;
    this.#whole = whole;
    clearTimeout(this.#late);
    this.#decoder.destroy();
    if (this.#failure === undefined) this.#settle?.(whole);
    else this.#reject?.(this.#failure.error);
  }
}
