import { constants, createInflateRaw, type InflateRaw } from 'node:zlib';
import { type WebSocketFrame, WebSocketReader } from '../codec/websocket.ts';
import type { BodyScanned } from '../model/scan.ts';
import { SplitMessages } from './split.ts';
import type { BodyTap } from './tap.ts';
import { Window, type WindowOptions } from './window.ts';

export interface WebSocketTapOptions extends WindowOptions {
  /** Decoded to encoded, at most. */
  readonly decodeRatio: number;
}

/** Bytes of one frame that are looked at. */
const MOST_FRAME = 1 << 20;
/** As for bodies: more than this waiting for the inflater is too fast for us. */
const MOST_WAITING = 4 << 20;
const RATIO_FLOOR = 1 << 20;
const LATE_MS = 2_000;
/** What a sender leaves off the end of a message (RFC 7692 §7.2.1). */
const TAIL = Buffer.from([0, 0, 0xff, 0xff]);
/** No secret goes over two messages, and none begins in the middle of a word because of the one before. */
const BETWEEN = Buffer.from('\n');

/**
 * One direction of a WebSocket on a copy: messages, fragments joined, permessage-deflate undone, and what control frames say
 * (RFC 6455 §5.5, RFC 7692).
 */
export function tapWebSocket(options: WebSocketTapOptions): BodyTap {
  return new WebSocketTap(options);
}

class WebSocketTap implements BodyTap {
  readonly #options: WebSocketTapOptions;
  readonly #window: Window;
  readonly #reader: WebSocketReader;
  /** What leaves may be cut into several messages. */
  readonly #parts: SplitMessages | undefined;
  #inflate: InflateRaw | undefined;
  /** The message under way is compressed. */
  #compressed = false;
  #waiting = 0;
  #encoded = 0;
  #decoded = 0;
  #done: BodyScanned | undefined;
  #failure: { readonly error: unknown } | undefined;
  #settle: (() => void) | undefined;

  constructor(options: WebSocketTapOptions) {
    this.#options = options;
    this.#window = new Window(options);
    if (options.what === 'request') this.#parts = new SplitMessages(options.scan);
    this.#reader = new WebSocketReader(MOST_FRAME, (frame) => this.#frame(frame));
  }

  push(payload: Uint8Array): void {
    if (this.#done !== undefined || this.#window.stopped) return;
    this.#reader.push(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength));
    if (this.#reader.broken) this.#window.stop('broken-frames');
  }

  finish(): BodyScanned | Promise<BodyScanned> {
    if (this.#waiting === 0 || this.#done !== undefined) return this.#finished();
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        this.#window.stop('too-late');
        this.#settle?.();
      }, LATE_MS);
      this.#settle = () => {
        this.#settle = undefined;
        clearTimeout(late);
        try {
          resolve(this.#finished());
        } catch (error) {
          reject(error);
        }
      };
    });
  }

  #finished(): BodyScanned {
    this.#inflate?.destroy();
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#done ??= this.#window.finish();
    return this.#done;
  }

  #frame({ opcode, fin, compressed, payload, length }: WebSocketFrame): void {
    if (this.#window.stopped) return;
    if (payload.length < length) {
      this.#window.stop('long-frame');
      return;
    }
    if (opcode >= 8) {
      if (payload.length > 0) this.#window.push(payload);
      if (payload.length > 0) this.#window.push(BETWEEN);
      return;
    }
    if (opcode !== 0) this.#compressed = compressed;
    if (this.#compressed) this.#deflated(payload, fin);
    else this.#plain(payload, fin);
  }

  #plain(payload: Uint8Array, last: boolean): void {
    this.#window.push(payload);
    this.#parts?.add(payload);
    if (last) this.#between();
  }

  #between(): void {
    this.#window.push(BETWEEN);
    const found = this.#parts?.end() ?? [];
    if (found.length > 0) this.#window.include(found);
  }

  #deflated(payload: Uint8Array, last: boolean): void {
    this.#encoded += payload.length;
    if (this.#waiting + payload.length > MOST_WAITING) {
      this.#window.stop('decoder-behind');
      return;
    }
    this.#inflate ??= this.#start();
    this.#write(payload, undefined);
    if (last) this.#write(TAIL, 'between');
  }

  #write(bytes: Uint8Array, then: 'between' | undefined): void {
    this.#waiting += bytes.length;
    this.#inflate?.write(bytes, () => {
      this.#waiting -= bytes.length;
      if (then !== undefined && !this.#ended()) this.#safely(() => this.#between());
      if (this.#waiting === 0) this.#settle?.();
    });
  }

  /** One for the whole direction: a message may refer to the ones before it (RFC 7692 §7.1.1). */
  #start(): InflateRaw {
    const inflate = createInflateRaw({ flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH });
    inflate.on('data', (chunk: Uint8Array) => this.#take(chunk));
    inflate.on('error', () => this.#giveUp('broken-encoding'));
    // A last block ends the compression itself, which no message after it can go on with.
    inflate.on('end', () => this.#giveUp('broken-encoding'));
    return inflate;
  }

  #take(chunk: Uint8Array): void {
    if (this.#ended()) return;
    this.#decoded += chunk.length;
    if (this.#decoded > RATIO_FLOOR && this.#decoded > this.#encoded * this.#options.decodeRatio) {
      this.#giveUp('decode-ratio');
      return;
    }
    this.#safely(() => {
      this.#window.push(chunk);
      this.#parts?.add(chunk);
    });
  }

  /** Decoders call back from nowhere: what is thrown there is kept for whoever asks. */
  #safely(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#failure = { error };
    }
  }

  #ended(): boolean {
    return this.#done !== undefined || this.#failure !== undefined || this.#window.stopped;
  }

  #giveUp(cause: Parameters<Window['stop']>[0]): void {
    this.#window.stop(cause);
    this.#waiting = 0;
    this.#settle?.();
  }
}
