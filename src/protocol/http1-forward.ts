import type { RequestHead } from '../codec/http1-head.ts';
import { headForParent, rewriteInPlace } from '../codec/http1-rewrite.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Route } from './http1-route.ts';
import type { Upstream } from './http1-upstream.ts';

/** A request whose head is read and whose upstream is to be chosen. */
export interface PendingRequest {
  readonly exchange: Exchange;
  readonly route: Route;
  readonly head: RequestHead;
  /** Head and the body bytes that came with it; ours, and rewritten in place. */
  readonly bytes: Buffer;
  /** Bytes of the body as the agent sent them, when they are not what follows the head in `bytes`. */
  readonly received?: number;
}

/** Writes the head and what is there of the body in one write. False when the upstream must drain first. */
export function forwardRequest(up: Upstream, pending: PendingRequest): boolean {
  const { exchange, route, head, bytes } = pending;
  up.begin(exchange);
  const parent = up.link.absoluteForm;
  let out = bytes;
  if (parent === undefined) {
    const start = rewriteInPlace(bytes, head, route.plan);
    if (start > 0) out = bytes.subarray(start);
  } else {
    const rewritten = headForParent(bytes, head, route.parentPrefix, parent.proxyAuthorization);
    out = Buffer.concat([rewritten, bytes.subarray(head.end)]);
  }
  const roomy = up.socket.write(out);
  exchange.sentMono = performance.now();
  exchange.requestBytes += pending.received ?? bytes.length - head.end;
  return roomy;
}
