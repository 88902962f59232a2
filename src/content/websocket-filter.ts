import { type FrameHead, FrameHeadReader } from '../codec/websocket-head.ts';
import { MOST_CONTROL } from '../codec/websocket-write.ts';
import type { ContentFilter } from '../model/ports.ts';
import type { BodyScanned, UnscannedCause } from '../model/scan.ts';
import { Inflation } from './websocket-inflate.ts';
import { Look, type LookOptions, type Seen } from './websocket-look.ts';
import { Chunks, type Message, Spans, unmasked } from './websocket-message.ts';
import { WebSocketOut } from './websocket-out.ts';

export interface WebSocketFilterOptions extends LookOptions {
  /** permessage-deflate of this direction, if it was agreed. `takeover`: a message may refer to the ones before it. */
  deflate(): { readonly takeover: boolean } | undefined;
  /** What a Close frame says of why the connection ends: printable, short. */
  reason(scanned: BodyScanned): string;
}

/** A message that is longer is not held, and not looked at from there on. */
const MOST_MESSAGE = 1 << 20;
const MOST_QUEUED = 256 << 10;
const BINARY = 2;
const CLOSE = 8;

/**
 * One direction of a WebSocket, looked at before it goes on (RFC 6455, RFC 7692). A data message is held until it is complete;
 * what need not change goes on as the bytes it came in, a message with a label in it as one uncompressed frame. Where later ones
 * could refer to what the receiver has not seen so, they go on uncompressed as well.
 */
export class WebSocketFilter implements ContentFilter {
  readonly shape = 'free';
  readonly #options: WebSocketFilterOptions;
  readonly #look: Look;
  readonly #out: WebSocketOut;
  readonly #inflation: Inflation;
  readonly #heads = new FrameHeadReader();
  readonly #queue = new Chunks();
  /** A decoder is at work: what comes waits. */
  #busy = false;
  #wanted = false;
  #ending = false;
  #over = false;
  /** What passes is no WebSocket as we know it, and goes on unread. */
  #blind = false;
  /** Bytes of the frame under way that have gone nowhere yet. */
  readonly #frame = new Spans();
  /** Payload of the frame under way that has been read. */
  #seen = 0;
  /** What the control frame under way says. */
  readonly #control = new Spans();
  #message: Message | undefined;
  /** The receiver has not seen all the compressed messages that the next ones may refer to. */
  #desynced = false;

  constructor(options: WebSocketFilterOptions) {
    this.#options = options;
    this.#look = new Look(options);
    this.#out = new WebSocketOut(options.out, options.what === 'request');
    this.#inflation = new Inflation(options.decodeRatio, (bytes) => this.#decoded(bytes));
  }

  write(payload: Buffer): boolean {
    if (this.#over || this.#ending) return true;
    this.#queue.push(payload);
    this.#work();
    this.#wanted = this.#queue.length > MOST_QUEUED;
    return !this.#wanted;
  }

  end(): void {
    if (this.#over || this.#ending) return;
    this.#ending = true;
    this.#work();
  }

  abandon(): void {
    if (!this.#over) this.#conclude();
  }

  /** What was found is told also when nothing more passes: labels may have gone on. */
  #conclude(): void {
    this.#release();
    this.#options.out.end(this.#look.scanned, this.#look.replaced);
  }

  #release(): void {
    this.#over = true;
    this.#queue.clear();
    this.#inflation.destroy();
  }

  #work(): void {
    while (!this.#busy && !this.#over) {
      const { first, at } = this.#queue;
      if (first === undefined) break;
      const end = this.#blind ? this.#pass(first, at) : this.#read(first, at);
      if (!this.#over) this.#queue.read(end);
    }
    if (this.#busy || this.#over) return;
    if (this.#ending) this.#finish();
    else if (this.#wanted) {
      this.#wanted = false;
      this.#options.out.drained();
    }
  }

  #pass(chunk: Buffer, from: number): number {
    this.#out.send(chunk.subarray(from));
    return chunk.length;
  }

  /** Reads on in a head, then what is there of the payload. */
  #read(chunk: Buffer, from: number): number {
    const heads = this.#heads;
    let at = from;
    if (heads.head === undefined) {
      at = heads.read(chunk, from);
      this.#frame.add(chunk.subarray(from, at));
      const { head } = heads;
      if (head === undefined && !heads.broken) return at;
      if (head === undefined || !this.#begin(head)) this.#broken();
      if (this.#over || this.#blind) return at;
    }
    return this.#payload(heads.head as FrameHead, chunk, at);
  }

  #payload(head: FrameHead, chunk: Buffer, from: number): number {
    const part = chunk.subarray(from, from + head.length - this.#seen);
    const said = unmasked(part, head, this.#seen);
    this.#frame.add(part);
    this.#seen += part.length;
    const last = this.#seen === head.length;
    if (last) {
      this.#heads.next();
      this.#seen = 0;
    }
    if (head.opcode < CLOSE) this.#data(this.#message as Message, said, last && head.fin);
    else {
      this.#control.add(said);
      if (last) this.#controlled(head.opcode);
    }
    return from + part.length;
  }

  /** False = this may not follow here (RFC 6455 §5.4, RFC 7692 §6.1). */
  #begin({ opcode, rsv }: FrameHead): boolean {
    if (opcode >= CLOSE) return rsv === 0;
    if (opcode === 0) return this.#message !== undefined && rsv === 0;
    if (this.#message !== undefined) return false;
    const deflate = rsv === 4 ? this.#options.deflate() : undefined;
    const compressed = deflate !== undefined;
    const message: Message = { opcode, compressed, how: 'hold', frames: new Spans(), plain: new Spans() };
    this.#message = message;
    if (!compressed) {
      if (rsv !== 0) this.#unread(message, 'unknown-encoding');
      return true;
    }
    if (deflate?.takeover === false) this.#inflation.forget();
    this.#inflation.begin();
    if (this.#inflation.failed) this.#unread(message, 'broken-encoding');
    return true;
  }

  /** More of a message. `complete`: it is all. */
  #data(message: Message, said: Buffer, complete: boolean): void {
    const bytes = this.#frame.take();
    if (message.how === 'raw') this.#out.send(bytes);
    else if (message.how === 'hold') message.frames.add(bytes);
    if (message.compressed && !this.#inflation.failed) {
      this.#busy = true;
      this.#inflation.write(said, complete, (failure) => this.#inflated(message, complete, failure));
      return;
    }
    if (message.how !== 'raw') message.plain.add(said);
    this.#goOn(message, complete);
  }

  #decoded(bytes: Buffer): void {
    // What goes on unread is decoded all the same: the next message may refer to it.
    if (this.#message !== undefined && this.#message.how !== 'raw') this.#message.plain.add(bytes);
  }

  #inflated(message: Message, complete: boolean, failure: UnscannedCause | undefined): void {
    this.#busy = false;
    if (this.#over) return;
    if (failure !== undefined) this.#unread(message, failure);
    this.#goOn(message, complete);
    this.#work();
  }

  #goOn(message: Message, complete: boolean): void {
    if (this.#over) return;
    if (message.how === 'rewrite') this.#out.frame(0, message.plain.take(), complete);
    else if (message.how === 'hold') {
      if (complete) this.#settle(message, 'whole');
      else if (message.frames.length > MOST_MESSAGE || message.plain.length > MOST_MESSAGE)
        this.#settle(message, 'begun');
    }
    if (complete) this.#message = undefined;
  }

  /** What there is of a message is looked at. `whole`: it goes on. `begun`: it does, and so does the rest, unread. `cut`: no more comes. */
  #settle(message: Message, part: 'whole' | 'begun' | 'cut'): void {
    const text = message.plain.take();
    const fixed = message.opcode === BINARY;
    if (part === 'cut') {
      this.#decided(message, part, text, this.#look.at(text, fixed));
      return;
    }
    this.#busy = true;
    let later = false;
    this.#look.message(text, fixed, (seen) => {
      this.#busy = false;
      if (this.#over) return;
      this.#decided(message, part, text, seen);
      if (later) this.#work();
    });
    later = true;
  }

  #decided(message: Message, part: 'whole' | 'begun' | 'cut', text: Buffer, seen: Seen): void {
    if (seen === 'stop' || (part === 'begun' && this.#look.unread('long-frame') === 'stop')) {
      this.#stop();
      return;
    }
    if (seen === 'pass' && !(message.compressed && this.#desynced)) {
      message.how = 'raw';
      this.#out.send(message.frames.take());
      return;
    }
    // Part of a message with a label in it would be a promise of more.
    if (part === 'cut') return;
    message.how = 'rewrite';
    if (message.compressed && this.#options.deflate()?.takeover === true) this.#desynced = true;
    this.#out.frame(message.opcode, seen === 'pass' ? text : seen, part === 'whole');
  }

  /** A control frame is complete. It may stand between the frames of a message, and never waits for them (RFC 6455 §5.4). */
  #controlled(opcode: number): void {
    const said = this.#control.take();
    const bytes = this.#frame.take();
    const seen = this.#look.at(opcode === CLOSE ? said.subarray(2) : said);
    if (seen === 'stop') {
      this.#stop();
      return;
    }
    if (opcode === CLOSE) this.#cut();
    if (this.#over) return;
    if (seen === 'pass') this.#out.send(bytes);
    else if (opcode === CLOSE) this.#out.close(said.readUInt16BE(0), seen);
    else this.#out.frame(opcode, seen.subarray(0, MOST_CONTROL));
  }

  /** A message that will not be completed any more. */
  #cut(): void {
    const message = this.#message;
    this.#message = undefined;
    if (message?.how === 'hold') this.#settle(message, 'cut');
  }

  #broken(): void {
    if (this.#look.unread('broken-frames') === 'stop') {
      this.#stop();
      return;
    }
    this.#cut();
    if (this.#over) return;
    this.#blind = true;
    this.#out.send(this.#frame.take());
  }

  /** A message cannot be read. */
  #unread(message: Message, cause: UnscannedCause): void {
    if (message.how === 'raw') return;
    // What has begun in frames of ours cannot go on in the sender's.
    if (this.#look.unread(cause) === 'stop' || message.how === 'rewrite') {
      this.#stop();
      return;
    }
    message.how = 'raw';
    message.plain.take();
    this.#out.send(message.frames.take());
  }

  #finish(): void {
    this.#cut();
    if (this.#over) return;
    const seen = this.#look.at(this.#control.take());
    if (seen === 'stop') {
      this.#stop();
      return;
    }
    if (seen === 'pass') this.#out.send(this.#frame.take());
    this.#conclude();
  }

  #stop(): void {
    this.#release();
    const { scanned } = this.#look;
    this.#out.refuse(scanned, this.#options.reason(scanned));
  }
}
