import { editHead, type HeadChange, lengthValues } from '../codec/http1-edit.ts';
import type { ResponseHead } from '../codec/http1-head.ts';
import type { Answer } from '../model/answer.ts';
import type { Exchange } from '../model/exchange.ts';
import type { ContentFilter, ContentTap, Corridor, FilterSink, RelayLimits } from '../model/ports.ts';
import { type Framing, WireBody } from './http1-wire-body.ts';

/** Says how many places of a body were rewritten (product.md §7): a field when that is known before the head, else a trailer. */
export const REDACTED = 'X-Strathon-Redacted';
/** What speaks about bytes that are no more (RFC 9530; Content-MD5 and Digest before it). */
export const DIGESTS: readonly string[] = ['content-md5', 'digest', 'content-digest', 'repr-digest'];
const REWRITTEN = new Set(DIGESTS);
const FRAMING = new Set(['content-length', 'transfer-encoding', ...DIGESTS]);
const ALL_FRAMING = new Set([...FRAMING, 'connection', 'keep-alive']);
const CHUNKED = [['Transfer-Encoding', 'chunked']] as const;
const CLOSE = [['Connection', 'close']] as const;

/**
 * The entity tag of a body that was rewritten: it is no longer the same byte by byte, and may still be asked for by (RFC 9110 §8.8.1). A
 * weak one is not good for ranges, nor for overwriting what was read.
 */
export function weakTag(value: string): string {
  return value.startsWith('"') ? `W/${value}` : value;
}

function* weakTags(fields: readonly string[]): Generator<[number, string]> {
  for (let i = 0; i < fields.length; i += 2)
    if ((fields[i] as string).toLowerCase() === 'etag') yield [i / 2, weakTag(fields[i + 1] as string)];
}

/** Who writes what a held response becomes. */
export interface ResponseHoldOwner {
  /** Towards the agent. */
  write(bytes: Buffer): void;
  /** The filter does not keep up, or does again. */
  choke(choked: boolean): void;
  /** The body is written. Called when nothing is being read. */
  holdDone(hold: ResponseHold): void;
  /** Nothing more may go on. `begun`: the head has gone, and the body has been ended as well as it can be. */
  holdStopped(hold: ResponseHold, answer: Answer, begun: boolean): void;
}

/** One response whose body is about to be held. */
export interface HeldResponse {
  readonly exchange: Exchange;
  readonly head: ResponseHead;
  readonly headBytes: Buffer;
}

/** Begins to hold a response back, as far as its filter wants. Undefined: it is not to be held. */
export function holdResponse(
  owner: ResponseHoldOwner,
  response: HeldResponse,
  corridor: Corridor,
  limits: RelayLimits,
): ResponseHold | undefined {
  const { exchange, head } = response;
  const hold = new ResponseHold(owner, response, corridor, limits);
  const length = head.body === 'length' ? head.length : undefined;
  const filter = corridor.filter(exchange, 'response', length, hold.sink);
  if (filter === undefined) return undefined;
  hold.begin(filter);
  return hold;
}

/** One response and its filter: the head goes when something of the first read may, a `whole` one with its body. */
export class ResponseHold implements ContentTap {
  over = false;
  /** The head has gone to the agent. */
  begun = false;
  /** The end of the connection ends the body, although the upstream's did not. */
  endsConnection = false;
  readonly #owner: ResponseHoldOwner;
  readonly #response: HeldResponse;
  readonly #body: WireBody;
  #filter: ContentFilter | undefined;
  #head: Buffer;
  #out: Buffer[] = [];
  /** The upstream has broken its body off: what is done when all has been given. */
  #broken: (() => void) | undefined;
  /** Inside one read of the upstream: what is given is written once, at its end. */
  #reading = true;

  readonly sink: FilterSink = {
    data: (payload) => this.#given(payload),
    end: (redactions) => this.#givenAll(redactions),
    stop: (answer, last) => this.#stopped(answer, last?.forward),
    drained: () => this.#owner.choke(false),
  };

  constructor(owner: ResponseHoldOwner, response: HeldResponse, corridor: Corridor, limits: RelayLimits) {
    this.#owner = owner;
    this.#response = response;
    this.#head = response.headBytes;
    this.#body = new WireBody({
      chunked: response.head.body === 'chunked',
      trailerBytes: limits.headBytes,
      trailers: (fields) => corridor.checkTrailers(response.exchange, 'response', fields),
    });
  }

  /** More trailers than may be held. */
  get tooLong(): boolean {
    return this.#body.tooLong;
  }

  begin(filter: ContentFilter): void {
    this.#filter = filter;
    if (filter.shape !== 'free') return;
    const { head, exchange } = this.#response;
    const framing: Framing = head.body === 'until-close' || this.#old(exchange, head) ? 'plain' : 'chunked';
    this.#body.framing = framing;
    // What is in chunks already has its line, and no length.
    if (head.body === 'until-close' || (head.body === 'chunked' && framing === 'chunked')) {
      this.#change({ without: REWRITTEN });
    } else {
      this.endsConnection = framing === 'plain';
      this.#change(this.endsConnection ? { without: ALL_FRAMING, added: CLOSE } : { without: FRAMING, added: CHUNKED });
    }
  }

  /** Bytes of the body as they came; what of them is payload follows through {@link push}. */
  raw(bytes: Buffer): void {
    this.#reading = true;
    if (this.over) return;
    this.#body.raw(bytes);
  }

  push(payload: Buffer): void {
    if (this.over) return;
    this.#body.payload(payload);
    if (this.#filter?.write(payload) === false && !this.over) this.#owner.choke(true);
  }

  end(): void {
    if (!this.over) this.#filter?.end();
  }

  /** The read is over: what may go goes. */
  flush(): void {
    this.#reading = false;
    if (!this.begun && !this.over && this.#filter?.shape !== 'whole') this.#begin();
    this.#write();
  }

  /** The upstream breaks its body off: what may still go does, then `then`. */
  breakOff(then: () => void): void {
    const filter = this.#filter;
    if (this.#broken !== undefined) return;
    if (this.over || !this.begun || filter?.breakOff === undefined) {
      this.abandon();
      then();
      return;
    }
    this.#broken = then;
    filter.breakOff();
  }

  /** The exchange ends another way. */
  abandon(): void {
    if (this.over) return;
    this.over = true;
    this.#out = [];
    this.#filter?.abandon();
  }

  /** No chunks for who may not know them (RFC 9112 §7). */
  #old(exchange: Exchange, head: ResponseHead): boolean {
    return exchange.request.protocol === '1.0' || head.version === '1.0';
  }

  #change(change: HeadChange): void {
    this.#head = editHead(this.#head, change);
  }

  #begin(): void {
    this.begun = true;
    this.#out.unshift(this.#head);
    // The head is not of the body's bytes.
    this.#response.exchange.responseBytes -= this.#head.length;
  }

  #given(payload: Buffer): void {
    if (this.over) return;
    if (this.#filter?.shape === 'whole') this.#out.push(payload);
    else {
      this.#out.push(...this.#body.give(payload));
      if (!this.#reading) this.flush();
    }
  }

  #givenAll(redactions: number): void {
    if (this.over) return;
    if (this.#broken !== undefined) {
      this.over = true;
      this.#write();
      this.#broken();
      return;
    }
    const body = this.#body;
    if (this.#filter?.shape === 'whole') this.#wholeOut(redactions);
    else {
      const counted = body.framing === 'chunked' && redactions > 0;
      this.#out.push(...body.finish(counted ? [[REDACTED, String(redactions)]] : []));
    }
    this.over = true;
    if (!this.begun) this.#begin();
    if (!this.#reading) this.#write();
    queueMicrotask(() => this.#owner.holdDone(this));
  }

  /** Head and body as they came when nothing was rewritten. */
  #wholeOut(redactions: number): void {
    const body = this.#body;
    const { head } = this.#response;
    const payload = Buffer.concat(this.#out);
    const change: { -readonly [K in keyof HeadChange]: HeadChange[K] } = {};
    if (!body.fits(payload.length)) {
      if (head.body === 'length') {
        body.framing = 'plain';
        change.values = lengthValues(head.fields, payload.length);
      } else body.framing = head.body === 'chunked' ? 'chunked' : 'plain';
    }
    if (redactions > 0) {
      change.values = new Map([...(change.values ?? []), ...weakTags(head.fields)]);
      change.without = REWRITTEN;
      change.added = [[REDACTED, String(redactions)]];
    }
    if (redactions > 0 || change.values !== undefined) this.#change(change);
    this.#out = [...body.give(payload), ...body.finish([])];
  }

  #stopped(answer: Answer, last: Buffer | undefined): void {
    if (this.over) return;
    this.over = true;
    const { begun } = this;
    // What was given before is let go; a body that promises its length can only be cut.
    if (begun && this.#body.framing !== 'as-came') {
      if (last !== undefined) this.#out.push(...this.#body.give(last));
      if (this.#body.framing === 'chunked') this.#out.push(Buffer.from('0\r\n\r\n', 'latin1'));
    } else if (!begun) this.#out = [];
    if (!this.#reading) this.#write();
    queueMicrotask(() => this.#owner.holdStopped(this, answer, begun));
  }

  #write(): void {
    const parts = this.#out;
    if (parts.length === 0 || !this.begun) return;
    this.#out = [];
    const bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    this.#response.exchange.responseBytes += bytes.length;
    this.#owner.write(bytes);
  }
}
