import { BodyFramer } from '../../src/codec/http1-body.ts';
import { parseRequestHead, parseResponseHead } from '../../src/codec/http1-head.ts';
import { HeadReader, MORE, REFUSED } from '../../src/codec/http1-reader.ts';

/** One message as a reader understood it. */
export interface Message {
  readonly what: string;
  payload: string;
  complete: boolean;
}

/** What a reader made of the bytes of a connection. */
export interface Reading {
  readonly messages: Message[];
  /** Why it stopped reading, if it did. */
  stopped: string | undefined;
}

const LIMITS = { headBytes: 262144, headers: 1000 };

/** Reads requests with the codec, as the relay does: message after message until one is refused or the last. */
export function readRequests(parts: readonly Buffer[]): Reading {
  const reading: Reading = { messages: [], stopped: undefined };
  const reader = new HeadReader(LIMITS, true);
  let current: Message | undefined;
  let persistent = true;
  const framer = new BodyFramer(false, (payload) => {
    if (current !== undefined) current.payload += payload.toString('latin1');
  });
  const body = (bytes: Buffer, from: number): number => {
    const end = framer.push(bytes, from);
    if (framer.error !== undefined) reading.stopped = framer.error;
    else if (framer.done && current !== undefined) {
      current.complete = true;
      current = undefined;
      if (!persistent) reading.stopped = 'last';
    }
    return end;
  };
  for (const part of parts) {
    let rest = part;
    while (rest.length > 0 && reading.stopped === undefined) {
      if (current !== undefined) {
        rest = rest.subarray(body(rest, 0));
        continue;
      }
      const found = reader.push(rest);
      if (found === MORE) break;
      const head = found === REFUSED ? reader.fault : parseRequestHead(reader, LIMITS);
      if (head === undefined || !head.ok) {
        reading.stopped = head?.detail ?? 'fault';
        break;
      }
      current = { what: `${head.method} ${head.target}`, payload: '', complete: false };
      reading.messages.push(current);
      // What follows an upgrade request waits for its answer: whose bytes they are is not known before.
      persistent = head.persistent && head.method !== 'CONNECT' && head.upgrade === undefined;
      framer.start(head.body, head.length);
      rest = reader.bytes.subarray(body(reader.bytes, head.end));
    }
  }
  return reading;
}

/** Reads the responses to one request; the connection ends after the last part. */
export function readResponse(parts: readonly Buffer[], method: string): Reading {
  const reading: Reading = { messages: [], stopped: undefined };
  const reader = new HeadReader(LIMITS, false);
  let current: Message | undefined;
  const framer = new BodyFramer(true, (payload) => {
    if (current !== undefined) current.payload += payload.toString('latin1');
  });
  for (const part of parts) {
    let rest = part;
    while (rest.length > 0 && reading.stopped === undefined) {
      if (current === undefined) {
        const found = reader.push(rest);
        if (found === MORE) break;
        const head = found === REFUSED ? reader.fault : parseResponseHead(reader, LIMITS, method);
        if (head === undefined || !head.ok) {
          reading.stopped = head?.detail ?? 'fault';
          break;
        }
        const message = { what: `${head.status}`, payload: '', complete: head.status < 200 };
        reading.messages.push(message);
        rest = reader.bytes.subarray(head.end);
        if (head.status < 200) continue;
        current = message;
        framer.start(head.body, head.length);
      }
      rest = rest.subarray(framer.push(rest, 0));
      if (framer.error !== undefined) reading.stopped = framer.error;
      else if (framer.done) reading.stopped = 'last';
    }
  }
  if (current !== undefined && framer.error === undefined) current.complete = framer.finish();
  return reading;
}
