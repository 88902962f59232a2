import type { Transform } from 'node:stream';
import {
  constants,
  createBrotliCompress,
  createDeflate,
  createDeflateRaw,
  createGzip,
  createZstdCompress,
} from 'node:zlib';

interface Stage {
  readonly stream: Transform;
  /** Gives out all that was written so far. */
  flush(done?: () => void): void;
}

/** Fast settings and small windows: a body is encoded again while somebody waits for it, beside many others. */
const LEVEL = 3;
const BROTLI = { [constants.BROTLI_PARAM_QUALITY]: LEVEL, [constants.BROTLI_PARAM_LGWIN]: 18 };

function stage(name: string, raw: boolean): Stage {
  switch (name) {
    case 'br': {
      const stream = createBrotliCompress({ params: BROTLI });
      return { stream, flush: (done) => stream.flush(constants.BROTLI_OPERATION_FLUSH, done) };
    }
    case 'zstd': {
      const stream = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: LEVEL } });
      return { stream, flush: (done) => stream.flush(constants.ZSTD_e_flush, done) };
    }
    case 'deflate': {
      const stream = (raw ? createDeflateRaw : createDeflate)({ level: LEVEL });
      return { stream, flush: (done) => stream.flush(constants.Z_SYNC_FLUSH, done) };
    }
    default: {
      const stream = createGzip({ level: LEVEL });
      return { stream, flush: (done) => stream.flush(constants.Z_SYNC_FLUSH, done) };
    }
  }
}

export interface EncoderOptions {
  /** As `DecoderOptions.encodings`. */
  readonly encodings: readonly string[];
  /** `deflate` came without its zlib head. */
  readonly raw: boolean;
  readonly onData: (chunk: Buffer) => void;
  /** Once, after `end`. */
  readonly onEnd: () => void;
}

/** Applies content encodings, on Node's threads; what was written is given out soon. */
export class Encoder {
  readonly #stages: readonly Stage[];
  #over = false;
  #flushing = false;
  /** Bytes given and not yet encoded. */
  waiting = 0;

  constructor({ encodings, raw, onData, onEnd }: EncoderOptions) {
    this.#stages = encodings.map((name) => stage(name, raw));
    for (const [i, { stream }] of this.#stages.entries()) {
      const next = this.#stages[i + 1];
      stream.on('error', () => this.destroy());
      if (next === undefined) {
        stream.on('data', (chunk: Buffer) => {
          if (!this.#over) onData(chunk);
        });
        stream.on('end', () => {
          if (!this.#over) onEnd();
        });
      } else {
        stream.on('data', (chunk: Buffer) => {
          next.stream.write(chunk);
          next.flush();
        });
        stream.on('end', () => next.stream.end());
      }
    }
  }

  write(bytes: Uint8Array, done?: () => void): void {
    if (this.#over || bytes.length === 0) return;
    this.waiting += bytes.length;
    this.#stages[0]?.stream.write(bytes, () => {
      this.waiting -= bytes.length;
      done?.();
    });
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      if (!this.#over) this.#stages[0]?.flush();
    });
  }

  /** Gives out all that was written so far. */
  flush(done: () => void): void {
    const next = (i: number): void => {
      const stage = this.#stages[i];
      if (this.#over) return;
      if (stage === undefined) done();
      else stage.flush(() => next(i + 1));
    };
    next(0);
  }

  /** No more comes. */
  end(): void {
    if (!this.#over) this.#stages[0]?.stream.end();
  }

  destroy(): void {
    this.#over = true;
    for (const { stream } of this.#stages) stream.destroy();
  }
}
