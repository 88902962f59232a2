import type { Duplex } from 'node:stream';
import type { ResponseHead } from '../codec/http1-head.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Corridor } from '../model/ports.ts';
import type { Upstream } from './http1-upstream.ts';
import { Join, type JoinEnd, type JoinLooks } from './splice.ts';

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
  const { agent, up, exchange, head, rest, kept, idleMs } = change;
  const protocol = head.upgrade ?? exchange.request.upgrade ?? 'connect';
  const looks = protocol === 'websocket' ? looksOf(up.corridor, exchange) : undefined;
  if (looks === undefined) exchange.connection.tunnelProtocol = protocol;
  const first = { agent: kept, upstream: rest };
  return new Join({ agent, upstream: up.socket, counts: exchange, idleMs, looks, first }, done);
}

function looksOf(corridor: Corridor, exchange: Exchange): JoinLooks {
  const directions = { agent: 'request', upstream: 'response' } as const;
  return {
    filter: (side, sink) => corridor.filter(exchange, directions[side], undefined, sink),
    tap: (side) => corridor.content(exchange, directions[side]),
  };
}
