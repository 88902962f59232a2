import type { Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import type { Leaf } from './certs.ts';
import { listening } from './origins.ts';

/** One frame as it stood on the wire (RFC 9113 §4.1). */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export const DATA = 0;
export const HEADERS = 1;
export const RST_STREAM = 3;
const SETTINGS = 4;
const PING = 6;
const WINDOW_UPDATE = 8;
/** RFC 9113 §6.9.2. */
const DEFAULT_WINDOW = 65_535;
const ACK = 1;
const END_STREAM = 1;
const END_HEADERS = 4;
const PREFACE_BYTES = 24;
/** `:status: 200` in the static table of HPACK (RFC 7541 appendix A). */
const OK = Buffer.from([0x88]);

function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** An HTTP/2 origin that reads frames itself: no library stands between a test and what was really sent. */
export interface FrameOrigin {
  readonly port: number;
  /** All streams in order of arrival, over all connections: their frames. */
  readonly streams: Frame[][];
  /** Begins an answer to each new stream, or none. */
  answers: boolean;
  /** The window of each new stream and connection; it is never opened again. */
  window: number;
  close(): void;
}

/** Whether a stream was ended properly: the receiver takes it for complete. */
export function endedWell(frames: readonly Frame[]): boolean {
  return frames.some(({ type, flags }) => (type === DATA || type === HEADERS) && (flags & END_STREAM) !== 0);
}

/** The code it was reset with. */
export function resetCode(frames: readonly Frame[]): number | undefined {
  return frames.find(({ type }) => type === RST_STREAM)?.payload.readUInt32BE();
}

/** Payload of its DATA frames. */
export function dataOf(frames: readonly Frame[]): string {
  return Buffer.concat(frames.filter(({ type }) => type === DATA).map(({ payload }) => payload)).toString('latin1');
}

/** Starts it on loopback, TLS with ALPN h2. */
export async function frameOrigin(leaf: Leaf): Promise<FrameOrigin> {
  const open = new Set<Socket>();
  const origin: FrameOrigin = { port: 0, streams: [], answers: false, window: DEFAULT_WINDOW, close: () => undefined };
  const server = createServer({ key: leaf.key, cert: leaf.cert, ALPNProtocols: ['h2'] }, (socket) => {
    open.add(socket);
    socket.on('error', () => undefined).on('close', () => open.delete(socket));
    read(socket, origin);
  });
  const port = await listening(server);
  const close = (): void => {
    for (const socket of open) socket.destroy();
    server.close();
  };
  return Object.assign(origin, { port, close });
}

function read(socket: TLSSocket, origin: FrameOrigin): void {
  const window = Buffer.alloc(6);
  window.writeUInt16BE(4, 0);
  window.writeUInt32BE(origin.window, 2);
  socket.write(frame(SETTINGS, 0, 0, window));
  if (origin.window > DEFAULT_WINDOW) {
    const more = Buffer.alloc(4);
    more.writeUInt32BE(origin.window - DEFAULT_WINDOW);
    socket.write(frame(WINDOW_UPDATE, 0, 0, more));
  }
  const streams = new Map<number, Frame[]>();
  let left: Buffer = Buffer.alloc(0);
  let prefaced = false;
  socket.on('data', (bytes: Buffer) => {
    left = Buffer.concat([left, bytes]);
    if (!prefaced && left.length >= PREFACE_BYTES) {
      left = left.subarray(PREFACE_BYTES);
      prefaced = true;
    }
    while (prefaced && left.length >= 9) {
      const length = left.readUIntBE(0, 3);
      if (left.length < 9 + length) return;
      const [type, flags, stream] = [left.readUInt8(3), left.readUInt8(4), left.readUInt32BE(5)];
      const one: Frame = { type, flags, stream, payload: Buffer.from(left.subarray(9, 9 + length)) };
      left = left.subarray(9 + length);
      if ((type === SETTINGS || type === PING) && (flags & ACK) === 0) {
        socket.write(frame(type, ACK, 0, type === PING ? one.payload : undefined));
      }
      if (stream === 0) continue;
      const known = streams.get(stream);
      if (known !== undefined) {
        known.push(one);
        continue;
      }
      const frames = [one];
      streams.set(stream, frames);
      origin.streams.push(frames);
      if (origin.answers) socket.write(frame(HEADERS, END_HEADERS, stream, OK));
    }
  });
}
