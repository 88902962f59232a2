import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import type { Answer } from '../model/answer.ts';
import type { ContentTap, HeadEdits } from '../model/ports.ts';
import { DIGESTS } from './http1-response-filter.ts';
import { sendTrailers } from './http2-ends.ts';
import { type AgentRequest, listenAgent, type Pair, sawEnd } from './http2-events.ts';
import { editedFields, editedTrailers, fieldOf, upstreamFields, withField } from './http2-fields.ts';
import { type HoldOwner, holdStream, type Last, type StreamHold } from './http2-hold.ts';

/** Agent → upstream: fields, DATA, trailers and the end of one request. */
export class RequestHalf implements HoldOwner {
  readonly #pair: Pair;
  #request: AgentRequest;
  #trailers: readonly string[] = [];
  #tap: ContentTap | undefined;
  #hold: StreamHold | undefined;
  /** Sends the request on, once its whole body may go. */
  #go: (() => void) | undefined;
  #whole: Buffer | undefined;

  constructor(pair: Pair, request: AgentRequest) {
    this.#pair = pair;
    this.#request = request;
  }

  /** Nothing of a body is still to come from the agent. */
  get read(): boolean {
    return this.#request.ended || sawEnd(this.#pair.agent);
  }

  /** The head may go: `go` is called when the request may, at once or with its whole body. */
  begin(edits: HeadEdits | undefined, go: () => void): void {
    const { agent, exchange, host } = this.#pair;
    const request = this.#request;
    if (edits !== undefined) this.#request = { ...request, raw: editedFields(request.raw, edits) };
    // What flows after a switch is held when it is known what it is.
    if (!request.ended && exchange.request.upgrade === undefined) {
      this.#hold = holdStream(host.corridor, exchange, 'request', request.raw, this);
    }
    if (this.#hold?.whole !== true) {
      go();
      return;
    }
    this.#go = go;
    // An agent that waits to be asked for its body is asked by us: nobody else is there (RFC 9110 §10.1.1).
    if (fieldOf(this.#request.raw, 'expect')?.toLowerCase() === '100-continue') {
      this.#request = { ...this.#request, raw: withField(this.#request.raw, 'expect', undefined) };
      agent.additionalHeaders({ ':status': 100 });
    }
    listenAgent(agent);
  }

  /** Opens the upstream's stream. Throws what Node says of fields it does not take. */
  open(session: ClientHttp2Session): ClientHttp2Stream {
    const { headers, ended, raw } = this.#request;
    const free = this.#hold?.shape === 'free';
    const fields = upstreamFields(free ? withField(raw, 'content-length', undefined) : raw, headers);
    return session.request(fields, { endStream: ended, waitForTrailers: !ended });
  }

  /** The upstream's stream is open: the body may flow. */
  flow(): void {
    const { agent, exchange, host, upstream } = this.#pair;
    if (this.#hold?.whole === true) {
      if (this.#whole !== undefined && this.#whole.length > 0) upstream?.write(this.#whole);
      this.#whole = undefined;
      upstream?.end();
      return;
    }
    // Whose bytes follow a switch is not known before its answer.
    if (exchange.request.upgrade !== undefined) return;
    if (!this.#request.ended && this.#hold === undefined) this.#tap = host.corridor.content(exchange, 'request');
    listenAgent(agent);
  }

  /** The answer to a switch is here. */
  switched(accepted: boolean): void {
    const { agent, exchange, host } = this.#pair;
    if (accepted) this.#hold = holdStream(host.corridor, exchange, 'request', [], this);
    if (!this.#request.ended && this.#hold === undefined) this.#tap = host.corridor.content(exchange, 'request');
    listenAgent(agent);
  }

  data(chunk: Buffer): void {
    const { exchange, host, upstream } = this.#pair;
    const hold = this.#hold;
    if (hold !== undefined) {
      if (hold.over) return;
      host.passedUp(chunk.length);
      if (!hold.whole) exchange.requestBytes += chunk.length;
      hold.write(chunk);
      if (hold.choked && !hold.over) this.#pair.agent.pause();
      return;
    }
    if (upstream === undefined || upstream.closed || upstream.writableEnded) return;
    exchange.requestBytes += chunk.length;
    host.passedUp(chunk.length);
    this.pass(chunk);
    this.#tap?.push(chunk);
  }

  pass(payload: Buffer): void {
    const { agent, host, upstream } = this.#pair;
    if (upstream === undefined || upstream.closed || upstream.writableEnded) return;
    if (upstream.write(payload)) return;
    agent.pause();
    host.slow();
  }

  passed(whole: Buffer | undefined, redactions: number): void {
    const { exchange, upstream } = this.#pair;
    if (whole === undefined) {
      if (upstream !== undefined && !upstream.closed && !upstream.writableEnded) upstream.end();
      return;
    }
    let { raw } = this.#request;
    exchange.requestBytes += this.#hold?.received ?? 0;
    this.#whole = whole;
    if (whole.length !== this.#hold?.received) raw = withField(raw, 'content-length', String(whole.length));
    if (redactions > 0) raw = DIGESTS.reduce((left, name) => withField(left, name, undefined), raw);
    this.#request = { ...this.#request, raw };
    this.#go?.();
  }

  stopped(answer: Answer, last: Last): void {
    this.#pair.requestStopped(answer, last);
  }

  wanted(): void {
    if (this.#pair.upstream?.writableNeedDrain !== true) this.#pair.agent.resume();
  }

  trailers(raw: readonly string[]): void {
    const { exchange, host } = this.#pair;
    this.#trailers = editedTrailers(raw, host.corridor.checkTrailers(exchange, 'request', raw));
  }

  end(): void {
    const { agent, upstream } = this.#pair;
    // A reset also ends the readable side: it must not look like END_STREAM upstream.
    if (!sawEnd(agent)) return;
    if (this.#hold !== undefined) {
      this.#hold.end();
      return;
    }
    if (upstream === undefined) return;
    if (!upstream.closed && !upstream.writableEnded) upstream.end();
    this.#tap?.end();
  }

  upstreamDrained(): void {
    if (this.#hold?.choked !== true) this.#pair.agent.resume();
  }

  upstreamWantsTrailers(): void {
    const { upstream } = this.#pair;
    if (upstream !== undefined) sendTrailers(upstream, this.#trailers);
  }

  /** The exchange is over. */
  abandon(): void {
    this.#hold?.abandon();
    this.#whole = undefined;
  }
}
