import { EventEnds } from './event-stream.ts';

/** Finds where the messages of a stream end: what stands in one is nothing that goes on in the next. */
export interface MessageEnds {
  /** Offsets behind messages that end in the next bytes, at least behind the last one: looking at each by itself takes its time. */
  of(bytes: Uint8Array): readonly number[];
}

/** By media type (`mediaType`); undefined = a body of one text. */
export function messageEnds(type: string): MessageEnds | undefined {
  if (type === 'text/event-stream') return new EventEnds();
  // Of gRPC-Web's text form nobody knows the ends without undoing base64.
  if (/^application\/grpc(?!-web-text)/.test(type)) return new FrameEnds();
  return /^application\/(?:x-)?(?:ndjson|jsonl|json-?lines|json-seq|stream\+json)$/.test(type)
    ? new LineEnds()
    : undefined;
}

const LINE_FEED = 10;

/** A JSON text of such a stream has no raw line feed inside (RFC 8259 §7; RFC 7464 §2.2 ends each with one). */
class LineEnds implements MessageEnds {
  of(bytes: Uint8Array): readonly number[] {
    const at = bytes.lastIndexOf(LINE_FEED);
    return at < 0 ? [] : [at + 1];
  }
}

/** A flag and four bytes of length in front of a message. */
const HEAD = 5;

/** gRPC's length-prefixed messages, and Connect's envelopes, which are the same. */
class FrameEnds implements MessageEnds {
  /** Bytes of the head that are there. */
  #head = 0;
  #left = 0;

  of(bytes: Uint8Array): readonly number[] {
    let end = 0;
    for (let at = 0; at < bytes.length; ) {
      if (this.#head < HEAD) {
        const byte = bytes[at++] as number;
        // The flag says whether it is compressed.
        this.#left = this.#head === 0 ? 0 : this.#left * 256 + byte;
        if (++this.#head < HEAD || this.#left > 0) continue;
      } else {
        const some = Math.min(this.#left, bytes.length - at);
        at += some;
        this.#left -= some;
      }
      if (this.#left > 0) continue;
      this.#head = 0;
      end = at;
    }
    return end === 0 ? [] : [end];
  }
}
