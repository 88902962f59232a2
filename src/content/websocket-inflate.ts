import { constants, createInflateRaw, type InflateRaw } from 'node:zlib';
import type { UnscannedCause } from '../model/scan.ts';

/** What a sender leaves off the end of a message (RFC 7692 §7.2.1). */
const TAIL = Buffer.from([0, 0, 0xff, 0xff]);
/** Small messages may expand as they like: the ratio is for bombs. */
const RATIO_FLOOR = 1 << 20;
/** What may be left unread behind a last block: the empty block of RFC 7692 §7.2.3.4, and the tail. */
const AFTER_LAST = TAIL.length + 1;

/** Called once per write: all of it is decoded, or it cannot be. */
export type Inflated = (failure: UnscannedCause | undefined) => void;

/**
 * permessage-deflate of one direction undone. It remembers what it decoded, because a message may refer to the ones before it
 * (RFC 7692 §7.1.1). One write at a time; after a failure nothing can be decoded until `forget`.
 */
export class Inflation {
  readonly #ratio: number;
  readonly #onData: (bytes: Buffer) => void;
  #inflate: InflateRaw | undefined;
  #failed = false;
  /** Bytes given to and taken by the decoder that is open now. */
  #given = 0;
  #encoded = 0;
  #decoded = 0;
  #done: Inflated | undefined;

  constructor(ratio: number, onData: (bytes: Buffer) => void) {
    this.#ratio = ratio;
    this.#onData = onData;
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** A message begins. */
  begin(): void {
    this.#encoded = 0;
    this.#decoded = 0;
  }

  /** Nothing that follows refers to what was before. */
  forget(): void {
    this.destroy();
    this.#failed = false;
  }

  /** `last`: the message ends with these bytes. */
  write(bytes: Buffer, last: boolean, done: Inflated): void {
    const all = last ? Buffer.concat([bytes, TAIL]) : bytes;
    this.#encoded += bytes.length;
    this.#done = done;
    this.#inflate ??= this.#start();
    const inflate = this.#inflate;
    this.#given += all.length;
    inflate.write(all, () => {
      if (inflate === this.#inflate) this.#written(inflate, last);
    });
  }

  destroy(): void {
    this.#inflate?.destroy();
    this.#inflate = undefined;
    this.#given = 0;
    this.#done = undefined;
  }

  #start(): InflateRaw {
    const inflate = createInflateRaw({ flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH });
    inflate.on('data', (chunk: Buffer) => {
      if (inflate === this.#inflate) this.#take(chunk);
    });
    inflate.on('error', () => {
      if (inflate === this.#inflate) this.#fail('broken-encoding');
    });
    return inflate;
  }

  #take(chunk: Buffer): void {
    this.#decoded += chunk.length;
    if (this.#decoded > RATIO_FLOOR && this.#decoded > this.#encoded * this.#ratio) this.#fail('decode-ratio');
    else this.#onData(chunk);
  }

  #written(inflate: InflateRaw, last: boolean): void {
    const unread = this.#given - inflate.bytesWritten;
    if (unread > 0) {
      // A last block ended the compression. What follows it would be read by some receivers and not by others.
      if (!last || unread > AFTER_LAST) {
        this.#fail('broken-encoding');
        return;
      }
      const done = this.#done;
      this.destroy();
      done?.(undefined);
      return;
    }
    const done = this.#done;
    this.#done = undefined;
    done?.(undefined);
  }

  #fail(cause: UnscannedCause): void {
    const done = this.#done;
    this.destroy();
    this.#failed = true;
    done?.(cause);
  }
}
