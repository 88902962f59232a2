import { fault, type HeadFault } from '../codec/http1-fields.ts';
import type { RequestHead } from '../codec/http1-head.ts';
import type { RewritePlan } from '../codec/http1-rewrite.ts';
import { originForm, type RequestTarget, splitTarget } from '../codec/http1-target.ts';
import type { Connection } from '../model/connection.ts';
import { hostPort } from '../model/destination.ts';
import type { RequestFacts } from '../model/exchange.ts';

/** Where a request goes and how its head must change on the way. */
export interface Route {
  readonly ok: true;
  readonly facts: RequestFacts;
  readonly plan: RewritePlan;
  /** `scheme://authority` a parent proxy needs before the target; '' when the target has it. */
  readonly parentPrefix: string;
}

const AS_IS: RewritePlan = { keepProxyLines: false };
/** A request to a proxy behind the tunnel: Proxy-Authorization and the like are for that one. */
const TO_NEXT_PROXY: RewritePlan = { keepProxyLines: true };

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function facts(head: RequestHead, scheme: 'http' | 'https', authority: string, target: string): Mutable<RequestFacts> {
  const made: Mutable<RequestFacts> = {
    method: head.method,
    scheme,
    authority,
    target,
    protocol: head.version,
    fields: head.fields,
  };
  if (head.host !== undefined) made.hostField = head.host;
  if (head.upgrade !== undefined) made.upgrade = head.upgrade;
  return made;
}

/** Inside a CONNECT nothing is rewritten; the rules match the CONNECT's authority, other names are only looked at. */
function insideTunnel(head: RequestHead, target: RequestTarget, scheme: 'http' | 'https', authority: string): Route {
  if (target.form !== 'absolute') {
    const made = facts(head, scheme, authority, target.form === 'authority' ? '' : head.target);
    const plan = target.form === 'authority' ? TO_NEXT_PROXY : AS_IS;
    return { ok: true, facts: made, plan, parentPrefix: '' };
  }
  const made = facts(head, scheme, authority, originForm(head.method, head.target, target.pathAt));
  // A server takes the target's name over Host (RFC 9112 §3.2.2), so the name that differs is the one to look at.
  if (target.authority !== authority) made.hostField = target.authority;
  return { ok: true, facts: made, plan: TO_NEXT_PROXY, parentPrefix: '' };
}

function onProxyPort(head: RequestHead, target: RequestTarget): Route | HeadFault {
  if (target.form === 'absolute') {
    const origin = originForm(head.method, head.target, target.pathAt);
    const made = facts(head, target.scheme, target.authority, origin);
    return { ok: true, facts: made, plan: { pathAt: target.pathAt, keepProxyLines: false }, parentPrefix: '' };
  }
  if (target.form === 'authority') return fault('bad-request', 'CONNECT on a connection that carries other requests');
  if (head.host === undefined || head.host === '')
    return fault('bad-request', 'neither the target nor Host names a host');
  return {
    ok: true,
    facts: facts(head, 'http', head.host, head.target),
    plan: AS_IS,
    parentPrefix: `http://${head.host}`,
  };
}

/**
 * Reads the destination out of a request head. `tunnelled`: the stream lies inside a CONNECT (or a transport already
 * leads somewhere), so the connection's authority decides.
 */
export function routeRequest(
  head: RequestHead,
  connection: Connection,
  scheme: 'http' | 'https',
  tunnelled: boolean,
): Route | HeadFault {
  const target = splitTarget(head.method, head.target);
  if (target === undefined) return fault('bad-request', 'the request target has no known form');
  if (!tunnelled) return onProxyPort(head, target);
  const authority = connection.authority;
  return insideTunnel(
    head,
    target,
    scheme,
    authority === undefined ? (head.host ?? '') : hostPort(authority.host, authority.port),
  );
}
