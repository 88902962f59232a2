import { timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

/** A reason to refuse a request before it is routed. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
}

/**
 * Is this Host one that a page in a browser cannot have made up (threat W2, DNS rebinding)? A rebound name is a name, so
 * only `localhost` and address literals pass, with the port really listened on.
 */
export function hostAllowed(host: string | undefined, port: number): boolean {
  if (host === undefined) return false;
  const match = /^(localhost|\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])(?::(\d{1,5}))?$/i.exec(host);
  return match !== null && Number(match[2] ?? 80) === port;
}

/** Refuses what only a browser sends on behalf of some page: there is no page of ours to allow (threat W2, CSRF). */
export function browserRefusal(headers: IncomingHttpHeaders): Refusal | undefined {
  if (headers.origin !== undefined) return { status: 403, message: 'requests from web pages are refused (Origin)' };
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'none')
    return { status: 403, message: 'requests from web pages are refused (Sec-Fetch-Site)' };
  return undefined;
}

/** A state-changing request must be JSON: a form or `text/plain` can be sent across origins without a preflight. */
export function bodyRefusal(method: string | undefined, headers: IncomingHttpHeaders): Refusal | undefined {
  if (method !== 'POST') return undefined;
  const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  return type === 'application/json' ? undefined : { status: 415, message: 'send content-type: application/json' };
}

/** `Authorization: Bearer <token>`, compared in constant time. */
export function tokenMatches(authorization: string | undefined, token: string): boolean {
  const given = /^Bearer (.+)$/i.exec(authorization ?? '')?.[1];
  if (given === undefined) return false;
  const a = Buffer.from(given);
  const b = Buffer.from(token);
  return a.length === b.length && timingSafeEqual(a, b);
}
