/** The four forms of a request target (RFC 9112 §3.2), split but not normalised. */
export type RequestTarget =
  | { readonly form: 'origin' | 'asterisk' | 'authority' }
  | {
      readonly form: 'absolute';
      readonly scheme: 'http' | 'https';
      /** Between `//` and the path, userinfo and all. */
      readonly authority: string;
      /** Index in the target where path or query begin; its length when there is neither. */
      readonly pathAt: number;
    };

const ORIGIN: RequestTarget = { form: 'origin' };
const ASTERISK: RequestTarget = { form: 'asterisk' };
const AUTHORITY: RequestTarget = { form: 'authority' };

/** WebSocket clients that proxy plain requests keep their own scheme names (RFC 6455 §3); on the wire they are HTTP. */
const SCHEMES = new Map<string, 'http' | 'https'>([
  ['http', 'http'],
  ['https', 'https'],
  ['ws', 'http'],
  ['wss', 'https'],
]);

/**
 * A `#` does not end it: no request target has a fragment (RFC 9112 §3.2), and readers disagree where the host of
 * `http://a#@b/` ends. As part of the authority it is refused with it.
 */
function endOfAuthority(target: string, from: number): number {
  for (let i = from; i < target.length; i++) {
    const byte = target.charCodeAt(i);
    if (byte === 0x2f || byte === 0x3f) return i;
  }
  return target.length;
}

/** Splits a request target; undefined when it has none of the four forms or a scheme that is not HTTP. */
export function splitTarget(method: string, target: string): RequestTarget | undefined {
  if (method === 'CONNECT') return AUTHORITY;
  const first = target.charCodeAt(0);
  if (first === 0x2f) return ORIGIN;
  if (target === '*') return ASTERISK;
  const colon = target.indexOf('://');
  if (colon < 0) return undefined;
  const scheme = SCHEMES.get(target.slice(0, colon).toLowerCase());
  if (scheme === undefined) return undefined;
  const pathAt = endOfAuthority(target, colon + 3);
  const authority = target.slice(colon + 3, pathAt);
  return authority === '' ? undefined : { form: 'absolute', scheme, authority, pathAt };
}

/** The origin-form an absolute target stands for (RFC 9112 §3.2.1, §3.2.4). */
export function originForm(method: string, target: string, pathAt: number): string {
  if (target.charCodeAt(pathAt) === 0x2f) return target.slice(pathAt);
  if (pathAt === target.length && method === 'OPTIONS') return '*';
  return `/${target.slice(pathAt)}`;
}
