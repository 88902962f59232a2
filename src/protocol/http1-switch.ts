import type { Duplex } from 'node:stream';
import type { ResponseHead } from '../codec/http1-head.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Upstream } from './http1-upstream.ts';
import { Join, type JoinEnd, type JoinTaps } from './splice.ts';

/** An exchange that stops being HTTP/1 with this response: 101, or 2xx to a CONNECT. */
export interface Switch {
  readonly agent: Duplex;
  readonly up: Upstream;
  readonly exchange: Exchange;
  readonly head: ResponseHead;
  /** Bytes that came behind the response head. */
  readonly rest: Buffer;
  /** Bytes of the agent that waited for this response. */
  readonly kept: Buffer | undefined;
  readonly idleMs: number;
}

/**
 * What a 101 leads to, as it is judged: what was asked for, or what the upstream says instead when only WebSocket was asked for.
 * Neither is believed to make the other harmless.
 */
export function switchedTo({ request }: Exchange, { upgrade }: ResponseHead): string {
  const asked = request.upgrade ?? '';
  return asked === 'websocket' ? (upgrade ?? asked) : asked;
}

/**
 * Names the protocol and joins both streams; the exchange goes on counting. The caller takes its own listeners off, then
 * starts the join.
 */
export function joinAfterSwitch(change: Switch, done: (end: JoinEnd) => void): Join {
  const { agent, up, exchange, head, rest, kept } = change;
  const protocol = head.upgrade ?? exchange.request.upgrade ?? 'connect';
  let taps: JoinTaps | undefined;
  if (protocol !== 'websocket') exchange.connection.tunnelProtocol = protocol;
  else {
    const { corridor } = up;
    taps = { agent: corridor.content(exchange, 'request'), upstream: corridor.content(exchange, 'response') };
  }
  if (kept !== undefined) {
    up.socket.write(kept);
    exchange.requestBytes += kept.length;
    taps?.agent?.push(kept);
  }
  if (rest.length > 0) {
    agent.write(rest);
    exchange.responseBytes += rest.length;
    taps?.upstream?.push(rest);
  }
  return new Join(agent, up.socket, exchange, change.idleMs, done, taps);
}
