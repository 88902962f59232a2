import { editHead, type HeadChange, lengthValues } from '../codec/http1-edit.ts';
import { parseRequestHead } from '../codec/http1-head.ts';
import { HeadReader, WHOLE } from '../codec/http1-reader.ts';
import { splitTarget } from '../codec/http1-target.ts';
import type { Answer } from '../model/answer.ts';
import type { ErrorCode } from '../model/error.ts';
import type { ContentFilter, ContentTap, Corridor, FilterSink, HeadEdits, RelayContext } from '../model/ports.ts';
import type { PendingRequest } from './http1-forward.ts';
import type { Intake } from './http1-intake.ts';
import * as losses from './http1-losses.ts';
import { DIGESTS } from './http1-response-filter.ts';
import type { Upstream } from './http1-upstream.ts';
import { WireBody } from './http1-wire-body.ts';

const CONTINUE = Buffer.from('HTTP/1.1 100 Continue\r\n\r\n', 'latin1');
const LENGTH = new Set(['content-length']);
const EXPECT = ['expect'];
const CHUNKED = [['Transfer-Encoding', 'chunked']] as const;

/** Who forwards what a held body becomes; it is told when nothing of its intake is under way. */
export interface RequestHoldOwner extends losses.LossOwner {
  /** To be dialled for and written; of a `whole` one, head and body. */
  forward(pending: PendingRequest): void;
  /** Everything of the body has been written. */
  bodyGiven(): void;
}

/** A request with its head changed, read again: every index in it counts in the new bytes. */
function withHead(pending: PendingRequest, change: HeadChange, body: Buffer | undefined): PendingRequest {
  const { head, bytes } = pending;
  const edited = editHead(bytes.subarray(head.start, head.end), change);
  const limits = { headBytes: Number.POSITIVE_INFINITY, headers: head.fields.length };
  const reader = new HeadReader(limits, true);
  const parsed = reader.push(edited) === WHOLE ? parseRequestHead(reader, limits) : undefined;
  // A label of ours broke the head: a bug.
  if (parsed === undefined || !parsed.ok) throw new Error('an edited request head cannot be read');
  return { ...pending, head: parsed, bytes: Buffer.concat([edited, body ?? bytes.subarray(head.end)]) };
}

/** What was found in the head, taken out of it. */
export function withEdits(pending: PendingRequest, edits: HeadEdits | undefined): PendingRequest {
  if (edits === undefined) return pending;
  const { head } = pending;
  const { target, values } = edits;
  const change: { target?: string; values?: ReadonlyMap<number, string> } = {};
  if (values !== undefined) change.values = values;
  if (target !== undefined) {
    const form = splitTarget(head.method, head.target);
    change.target = form?.form === 'absolute' ? head.target.slice(0, form.pathAt) + target : target;
  }
  return withHead(pending, change, undefined);
}

/** Begins to hold a request body back, as far as its filter wants. Undefined: it is not to be held. */
export function holdRequest(
  owner: RequestHoldOwner,
  intake: Intake,
  pending: PendingRequest,
  context: RelayContext,
): RequestHold | undefined {
  const { exchange, head } = pending;
  if (head.body === 'none') return undefined;
  const hold = new RequestHold(owner, intake, pending, context);
  const filter = context.corridor.filter(
    exchange,
    'request',
    head.body === 'length' ? head.length : undefined,
    hold.sink,
  );
  if (filter === undefined) return undefined;
  hold.filter = filter;
  return hold;
}

/**
 * One request body and its filter. What the filter gives waits for the upstream, at most one read of it; a `whole` body waits
 * for its verdict before anything is dialled.
 */
export class RequestHold implements ContentTap {
  /** Nothing more goes on: everything has been written, or nothing may be. */
  over = false;
  /** Set before anything else. */
  filter: ContentFilter | undefined;
  /** Nothing of it may go on any more. */
  refused = false;
  /** The request as it goes on: its head, and none of the body unless it was held whole. */
  pending: PendingRequest;
  readonly #owner: RequestHoldOwner;
  readonly #intake: Intake;
  readonly #corridor: Corridor;
  readonly #body: WireBody;
  #up: Upstream | undefined;
  /** Wire bytes for an upstream that is not there yet. */
  #waiting: Buffer[] = [];
  #received = 0;
  #whole: Buffer[] = [];

  readonly sink: FilterSink = {
    data: (payload) => this.#given(payload),
    end: (redactions) => this.#givenAll(redactions),
    stop: (answer) => this.#stopped(answer),
    drained: () => this.#intake.unchoke(),
  };

  constructor(owner: RequestHoldOwner, intake: Intake, pending: PendingRequest, { corridor, limits }: RelayContext) {
    this.#owner = owner;
    this.#intake = intake;
    this.#corridor = corridor;
    this.pending = pending;
    this.#body = new WireBody({
      chunked: pending.head.body === 'chunked',
      trailerBytes: limits.headBytes,
      trailers: (fields) => corridor.checkTrailers(pending.exchange, 'request', fields),
    });
  }

  /** The head goes on only with the whole body. */
  get whole(): boolean {
    return this.filter?.shape === 'whole';
  }

  /** Takes what is here of the body. */
  begin(): void {
    const { head, bytes } = this.pending;
    const { whole } = this;
    if (!whole) this.#prepareHead(this.filter?.shape === 'free');
    this.raw(bytes.subarray(head.end));
    this.#intake.divert(this);
    if (!whole) {
      if (!this.refused) this.#owner.forward(this.pending);
      return;
    }
    // An agent that waits to be asked for its body is asked by us: nobody else is there (RFC 9110 §10.1.1).
    const waits = head.expectContinue && head.version === '1.1' && this.#received === 0;
    if (waits && !this.over) this.#owner.agent.write(CONTINUE);
    this.#intake.read();
  }

  /** Bytes of the message as they came; what of them is payload follows through {@link push}. */
  raw(bytes: Buffer): void {
    if (this.over) return;
    this.#received += bytes.length;
    if (!this.whole) this.pending.exchange.requestBytes += bytes.length;
    this.#body.raw(bytes);
    if (this.#body.tooLong) this.#fail('head-too-large', 'the trailers are too long');
  }

  push(payload: Buffer): void {
    if (this.over) return;
    this.#body.payload(payload);
    if (this.filter?.write(payload) === false && !this.over) this.#intake.choke();
  }

  end(): void {
    if (!this.over) this.filter?.end();
  }

  /** The upstream is there and has the head; what was held whole it has too. */
  attach(up: Upstream): void {
    if (this.whole) return;
    this.#up = up;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#write(waiting);
    this.#intake.read();
  }

  /** The exchange ends another way. */
  abandon(): void {
    if (this.over) return;
    this.#close();
    this.filter?.abandon();
  }

  #prepareHead(free: boolean): void {
    const { pending } = this;
    const { head, bytes } = pending;
    if (free) this.#body.framing = 'chunked';
    if (!free || head.body === 'chunked') this.pending = { ...pending, bytes: bytes.subarray(0, head.end) };
    // Nothing but a length delimits the body of an HTTP/1.0 request (RFC 9112 §6.1), and the length is not known.
    else if (head.version === '1.0') this.#fail('bad-request', 'a long HTTP/1.0 body cannot be inspected');
    else this.pending = withHead(pending, { without: LENGTH, added: CHUNKED }, Buffer.alloc(0));
  }

  #given(payload: Buffer): void {
    if (this.over) return;
    if (this.whole) this.#whole.push(payload);
    else this.#write(this.#body.give(payload));
  }

  #givenAll(redactions: number): void {
    if (this.over) return;
    if (this.whole) {
      const released = this.#released(redactions);
      this.over = true;
      this.#later(() => this.#owner.forward(released));
      return;
    }
    this.#write(this.#body.finish([]));
    this.over = true;
    this.#later(() => this.#owner.bodyGiven());
  }

  /** The whole request as it goes on: the bytes that came when nothing was rewritten. */
  #released(redactions: number): PendingRequest {
    const { pending } = this;
    const { head } = pending;
    const body = this.#body;
    const payload = Buffer.concat(this.#whole);
    this.#whole = [];
    const change: { values?: ReadonlyMap<number, string>; without?: ReadonlySet<string> } = {};
    const without = [...(head.expectContinue ? EXPECT : []), ...(redactions > 0 ? DIGESTS : [])];
    if (without.length > 0) change.without = new Set(without);
    if (!body.fits(payload.length)) {
      body.framing = head.body === 'chunked' ? 'chunked' : 'plain';
      if (head.body === 'length') change.values = lengthValues(head.fields, payload.length);
    }
    const parts = [...body.give(payload), ...body.finish([])];
    const going = { ...pending, received: this.#received };
    if (change.values !== undefined || change.without !== undefined) {
      return withHead(going, change, Buffer.concat(parts));
    }
    return { ...going, bytes: Buffer.concat([pending.bytes.subarray(0, head.end), ...parts]) };
  }

  #stopped(answer: Answer): void {
    if (this.over) return;
    this.#close();
    this.#later(() => losses.requestStopped(this.#owner, this.#owner.up, answer));
  }

  /** Not while the intake is at work; an exchange that has ended meanwhile needs nothing. */
  #later(act: () => void): void {
    queueMicrotask(() => {
      if (this.#owner.exchange === this.pending.exchange) act();
    });
  }

  #fail(code: ErrorCode, detail: string): void {
    this.filter?.abandon();
    this.#stopped(this.#corridor.failure(this.pending.exchange, code, detail));
  }

  #close(): void {
    this.over = true;
    this.refused = true;
    this.#waiting = [];
    this.#whole = [];
    this.#intake.unchoke();
  }

  #write(parts: readonly Buffer[]): void {
    if (parts.length === 0) return;
    if (this.#up === undefined) this.#waiting.push(...parts);
    else if (!this.#up.socket.write(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts))) {
      this.#intake.stall();
    }
  }
}
