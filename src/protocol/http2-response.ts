import { constants, type IncomingHttpHeaders } from 'node:http2';
import type { Answer } from '../model/answer.ts';
import type { ContentTap } from '../model/ports.ts';
import { DIGESTS, weakTag } from './http1-response-filter.ts';
import { sendTrailers } from './http2-ends.ts';
import { listenUpstreamData, type Pair, sawEnd } from './http2-events.ts';
import {
  END_STREAM,
  editedFields,
  editedTrailers,
  fieldOf,
  marked,
  type RawFields,
  regularFrom,
  withField,
} from './http2-fields.ts';
import { type HoldOwner, holdStream, type Last, type StreamHold } from './http2-hold.ts';

/** Says how many places of a body were rewritten (product.md §7). */
const REDACTED = 'x-strathon-redacted';

/** Upstream → agent: fields, DATA, trailers and the end of one response. */
export class ResponseHalf implements HoldOwner {
  /** Has come completely. */
  done = false;
  readonly #pair: Pair;
  #trailers: readonly string[] = [];
  #tap: ContentTap | undefined;
  #hold: StreamHold | undefined;
  /** Fields of a held response that have not gone. */
  #fields: RawFields | undefined;
  /** Payload for which the head has not gone. */
  #waiting: Buffer[] = [];
  /** It ends with trailers, which Node asks for once everything else is written. */
  #trailersDue = false;
  /** Code to reset the agent's stream with as soon as it is written. */
  #resetAfter: number | undefined;

  constructor(pair: Pair) {
    this.#pair = pair;
  }

  /** Has come, and its filter has given all of it. */
  get complete(): boolean {
    return this.done && this.#hold?.over !== false;
  }

  head(raw: RawFields, headers: IncomingHttpHeaders, flags: number): void {
    const pair = this.#pair;
    const { exchange, host, upstream } = pair;
    exchange.headMono = performance.now();
    exchange.status = Number(headers[':status']);
    exchange.responseFields = raw.slice(regularFrom(raw));
    if (pair.gone || pair.answered) return;
    const checked = host.corridor.checkResponse(exchange);
    if (!checked.forward) {
      pair.refuse(checked.answer);
      return;
    }
    const fields = marked(checked.edits === undefined ? raw : editedFields(raw, checked.edits), headers);
    const endStream = (flags & END_STREAM) !== 0;
    const { upgrade, method } = exchange.request;
    const switches = upgrade !== undefined;
    const accepted = switches && exchange.status < 300;
    if (switches) pair.request.switched(accepted && !endStream);
    if (!endStream && method !== 'HEAD') this.#hold = holdStream(host.corridor, exchange, 'response', raw, this);
    if (this.#hold === undefined || accepted) {
      if (!this.#respond(fields, endStream)) return;
      if (!endStream && this.#hold === undefined) this.#tap = host.corridor.content(exchange, 'response');
    } else this.#holdHead(fields, this.#hold);
    if (upstream !== undefined) listenUpstreamData(upstream);
  }

  /** A head waits for its whole body, or for what came in the same packet: a stop there is an answer and no cut. */
  #holdHead(fields: RawFields, hold: StreamHold): void {
    this.#fields = hold.shape === 'free' ? without(fields, ['content-length', ...DIGESTS]) : fields;
    if (!hold.whole) setImmediate(() => this.#begin());
  }

  #begin(): void {
    const fields = this.#fields;
    const { agent, answered, gone } = this.#pair;
    if (fields === undefined || gone || answered) return;
    this.#fields = undefined;
    if (!this.#respond(fields, false)) return;
    for (const payload of this.#waiting.splice(0)) this.pass(payload);
    if (this.#hold?.over === true) agent.end();
  }

  #respond(fields: RawFields, endStream: boolean): boolean {
    try {
      const options = { endStream, waitForTrailers: !endStream, sendDate: false };
      this.#pair.agent.respond(fields, options as object);
    } catch (error) {
      this.#pair.malformed((error as Error).message);
      return false;
    }
    this.#trailersDue = !endStream;
    return true;
  }

  data(chunk: Buffer): void {
    const { agent, exchange, host, upstream } = this.#pair;
    const hold = this.#hold;
    if (hold !== undefined) {
      if (hold.over) return;
      host.passedDown(chunk.length);
      hold.write(chunk);
      if (hold.choked && !hold.over) upstream?.pause();
      return;
    }
    exchange.responseBytes += chunk.length;
    if (agent.closed || agent.writableEnded) return;
    host.passedDown(chunk.length);
    this.#write(chunk);
    this.#tap?.push(chunk);
  }

  pass(payload: Buffer): void {
    const { agent, exchange } = this.#pair;
    if (agent.closed || agent.writableEnded) return;
    if (this.#fields !== undefined) {
      this.#waiting.push(payload);
      return;
    }
    exchange.responseBytes += payload.length;
    this.#write(payload);
  }

  #write(payload: Buffer): void {
    if (this.#pair.agent.write(payload)) return;
    this.#pair.upstream?.pause();
    this.#pair.host.slow();
  }

  passed(whole: Buffer | undefined, redactions: number): void {
    const { agent, answered, gone } = this.#pair;
    if (gone || answered) return;
    if (whole !== undefined) {
      if (!this.#respondWhole(whole, redactions)) return;
    } else if (redactions > 0) this.#trailers = [...this.#trailers, REDACTED, String(redactions)];
    // Otherwise it ends when its head has gone.
    if (this.#fields === undefined && !agent.writableEnded) agent.end();
  }

  #respondWhole(whole: Buffer, redactions: number): boolean {
    let fields = this.#fields as RawFields;
    this.#fields = undefined;
    if (whole.length !== this.#hold?.received) fields = withField(fields, 'content-length', String(whole.length));
    if (redactions > 0) {
      fields = without(fields, DIGESTS);
      const tag = fieldOf(fields, 'etag');
      if (tag !== undefined) fields = withField(fields, 'etag', weakTag(tag));
      fields.push(REDACTED, String(redactions));
    }
    if (!this.#respond(fields, false)) return false;
    if (whole.length > 0) this.pass(whole);
    return true;
  }

  stopped(answer: Answer, last: Last): void {
    const pair = this.#pair;
    this.#waiting = [];
    this.#trailers = [];
    if (!pair.agent.headersSent) pair.refuse(answer);
    else if (pair.exchange.request.upgrade !== undefined) pair.leave(last?.forward, last?.back);
    else pair.cut(answer, last?.forward);
  }

  /** Ends what has begun: nothing more of the upstream's comes. A body that promised its length can only be cut. */
  close(last: Buffer | undefined, trailers: readonly string[]): void {
    const { agent, exchange, request } = this.#pair;
    this.#fields = undefined;
    this.#waiting = [];
    this.#trailers = trailers;
    this.#hold?.abandon();
    if (this.#hold?.shape !== 'free' && fieldOf(exchange.responseFields ?? [], 'content-length') !== undefined) {
      this.#resetSoon(constants.NGHTTP2_INTERNAL_ERROR);
      return;
    }
    if (last !== undefined) this.#write(last);
    if (!request.read) this.#resetAfter = constants.NGHTTP2_NO_ERROR;
    if (!agent.writableEnded) agent.end();
  }

  wanted(): void {
    if (!this.#pair.agent.writableNeedDrain) this.#pair.upstream?.resume();
  }

  trailers(raw: readonly string[]): void {
    const { exchange, host } = this.#pair;
    this.#trailers = editedTrailers(raw, host.corridor.checkTrailers(exchange, 'response', raw));
  }

  end(): void {
    const { agent, upstream } = this.#pair;
    if (upstream === undefined || !sawEnd(upstream)) return;
    this.done = true;
    if (this.#hold !== undefined) this.#hold.end();
    else if (!agent.closed && !agent.writableEnded) agent.end();
  }

  agentDrained(): void {
    if (this.#hold?.choked !== true) this.#pair.upstream?.resume();
  }

  agentWantsTrailers(): void {
    this.#trailersDue = false;
    sendTrailers(this.#pair.agent, this.#trailers);
    if (this.#resetAfter !== undefined) this.#resetSoon(this.#resetAfter);
  }

  /** RST_STREAM after a complete response (RFC 9113 §8.1): first everything that is still to be written. */
  resetWhenWritten(code: number): void {
    this.done = true;
    if (this.#trailersDue || this.#hold?.over === false || this.#fields !== undefined) this.#resetAfter = code;
    else this.#resetSoon(code);
  }

  /** The upstream breaks its body off: what may still go does, then `then`. A head that waits for its body goes no more. */
  breakOff(then: () => void): void {
    const hold = this.#hold;
    const { responseBytes } = this.#pair.exchange;
    // What was written goes before a reset.
    const done = (): void => {
      if (this.#pair.exchange.responseBytes === responseBytes) then();
      else setImmediate(then);
    };
    if (hold === undefined || hold.over) then();
    else if (hold.whole || this.#fields !== undefined) {
      hold.abandon();
      then();
    } else hold.breakOff(done);
  }

  /** The exchange is over. */
  abandon(): void {
    this.#hold?.abandon();
    this.#fields = undefined;
    this.#waiting = [];
  }

  /** Node sends trailers in a setImmediate; this one comes after it. */
  #resetSoon(code: number): void {
    setImmediate(() => this.#pair.agent.close(code));
  }
}

function without(fields: RawFields, names: readonly string[]): RawFields {
  return names.reduce((left, name) => withField(left, name, undefined), fields);
}
