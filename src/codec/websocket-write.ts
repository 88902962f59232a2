import { mask } from './websocket-head.ts';

/** A control frame carries at most this much (RFC 6455 §5.5). */
export const MOST_CONTROL = 125;

/** One frame to be written. Its payload is copied. */
export interface FrameToWrite {
  readonly opcode: number;
  readonly payload: Uint8Array;
  /** Default true. */
  readonly fin?: boolean;
  /** Four unpredictable bytes, fresh for each frame; needed towards a server (RFC 6455 §5.3). */
  readonly key?: Uint8Array | undefined;
}

/** A frame on the wire: uncompressed, with the shortest form of its length (RFC 6455 §5.2). */
export function writeFrame({ opcode, payload, fin = true, key }: FrameToWrite): Buffer {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8;
  const at = 2 + extended + (key === undefined ? 0 : 4);
  const frame = Buffer.allocUnsafe(at + length);
  frame[0] = (fin ? 0x80 : 0) | opcode;
  frame[1] = (key === undefined ? 0 : 0x80) | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) frame.writeUInt16BE(length, 2);
  else if (extended === 8) frame.writeBigUInt64BE(BigInt(length), 2);
  frame.set(payload, at);
  if (key !== undefined) {
    frame.set(key, at - 4);
    mask(frame.subarray(at), key, 0);
  }
  return frame;
}

/** A Close frame (RFC 6455 §5.5.1). A reason that is too long is cut where a character ends. */
export function writeClose(code: number, reason: Uint8Array, key?: Uint8Array): Buffer {
  let end = Math.min(reason.length, MOST_CONTROL - 2);
  if (end < reason.length) while (end > 0 && ((reason[end] as number) & 0xc0) === 0x80) end--;
  const payload = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), reason.subarray(0, end)]);
  return writeFrame({ opcode: 8, payload, key });
}
