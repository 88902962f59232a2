/** A host as every rule, key and record spells it: lower-case A-label or canonical IP literal, no brackets, no trailing dot. */
export interface NormalHost {
  readonly host: string;
  readonly kind: 'name' | 'ipv4' | 'ipv6';
}
export interface NormalAuthority extends NormalHost {
  readonly port: number;
}
/** Why a host or authority has no single honest reading. The words are shown to people. */
export interface HostError {
  readonly error: string;
}

const EMPTY: HostError = { error: 'the host is empty' };
const TOO_LONG: HostError = { error: 'the host is longer than 253 characters' };
const LABEL: HostError = { error: 'the host has an empty or over-long label' };
const CHARACTER: HostError = { error: 'the host has a character no host name may have' };
const USERINFO: HostError = { error: 'the authority carries user information' };
const ZONE: HostError = { error: 'an IPv6 zone id has no meaning beyond this machine' };
const ADDRESS: HostError = { error: 'the host is neither a name nor an IP address' };
const PORT: HostError = { error: 'the port is not a number from 1 to 65535' };
const NO_PORT: HostError = { error: 'the authority has no port' };
const BRACKETS: HostError = { error: 'an IPv6 address goes in brackets' };

/** RFC 1035 §3.1: 255 octets on the wire are 253 characters of text. */
const MAX_HOST = 253;
const MAX_LABEL = 63;
/** Percent-encoded or Unicode input may be longer than what it means, but not without bound. */
const MAX_RAW = 2048;

/**
 * The one host normaliser (product.md §4 "What a name proves"). Accepts what the WHATWG URL host parser accepts, less what
 * DNS cannot carry (empty or over-long labels, characters outside letters, digits, `-`, `_`), and gives the same host with
 * the trailing dot removed and an IPv4-mapped IPv6 address unwrapped: both reach the same place, so both must meet the same
 * rules. Idempotent. Raw network input is latin1; UTF-8 in it is decoded.
 */
export function normaliseHost(raw: string): NormalHost | HostError {
  if (isPlainName(raw)) return { host: raw, kind: 'name' };
  return slow(raw);
}

/**
 * Reads `host`, `host:port`, `[ipv6]:port`. Without `defaultPort` the port must be there (CONNECT, RFC 9110 §9.3.6). An empty
 * port (`host:`) is the default one (RFC 3986 §3.2.3). User information is refused (RFC 9110 §4.2.4).
 */
export function parseAuthority(raw: string, defaultPort?: number): NormalAuthority | HostError {
  let hostEnd = raw.length;
  let port = defaultPort;
  if (raw.includes('@')) return USERINFO;
  const colon = raw.lastIndexOf(':');
  if (colon >= 0 && colon > raw.lastIndexOf(']')) {
    if (raw.charCodeAt(0) !== 0x5b && raw.indexOf(':') !== colon) return BRACKETS;
    hostEnd = colon;
    if (colon + 1 < raw.length) {
      port = portOf(raw, colon + 1);
      if (port === undefined) return PORT;
    }
  }
  if (port === undefined) return NO_PORT;
  const text = hostEnd === raw.length ? raw : raw.slice(0, hostEnd);
  if (isPlainName(text)) return { host: text, kind: 'name', port };
  const normal = slow(text);
  return 'error' in normal ? normal : { host: normal.host, kind: normal.kind, port };
}

/** `ipv4`, `ipv6` or `name` of an already normalised host. */
export function kindOf(host: string): NormalHost['kind'] {
  if (host.includes(':')) return 'ipv6';
  return endsInNumber(host, host.length) ? 'ipv4' : 'name';
}

function portOf(raw: string, start: number): number | undefined {
  if (raw.length - start > 5) return undefined;
  let port = 0;
  for (let i = start; i < raw.length; i++) {
    const digit = raw.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    port = port * 10 + digit;
  }
  return port >= 1 && port <= 65535 ? port : undefined;
}

/** Already normal: lower-case letters, digits, `-`, `_` in labels of 1–63, not ending in a number, no A-label. One pass. */
function isPlainName(text: string): boolean {
  const length = text.length;
  if (length === 0 || length > MAX_HOST) return false;
  let label = 0;
  for (let i = 0; i < length; i++) {
    const c = text.charCodeAt(i);
    if ((c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39) || c === 0x2d || c === 0x5f) label++;
    else if (c === 0x2e) {
      if (label === 0 || label > MAX_LABEL) return false;
      label = 0;
    } else return false;
    // A-labels are left to the URL parser, which knows which are valid.
    if (label === 4 && c === 0x2d && text.startsWith('xn--', i - 3)) return false;
  }
  return label > 0 && label <= MAX_LABEL && !endsInNumber(text, length);
}

/** WHATWG URL "ends in a number checker": the last label is digits, or `0x` and hexadecimal digits. */
function endsInNumber(text: string, end: number): boolean {
  let start = text.lastIndexOf('.', end - 1) + 1;
  if (start === end) return false;
  const hex =
    end - start >= 2 && text.charCodeAt(start) === 0x30 && (text.charCodeAt(start + 1) | 0x20) === 0x78; /* 0x */
  if (hex) start += 2;
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x30 && c <= 0x39) continue;
    if (hex && (c | 0x20) >= 0x61 && (c | 0x20) <= 0x66) continue;
    return false;
  }
  return true;
}

function slow(raw: string): NormalHost | HostError {
  if (raw.length === 0) return EMPTY;
  if (raw.length > MAX_RAW) return TOO_LONG;
  let text = raw;
  if (text.charCodeAt(0) === 0x5b) {
    if (text.charCodeAt(text.length - 1) !== 0x5d) return ADDRESS;
    text = text.slice(1, -1);
    if (!text.includes(':')) return ADDRESS;
  }
  if (text.includes(':')) return ipv6(text);
  for (let i = 0; i < text.length; i++) {
    if (isForbidden(text.charCodeAt(i))) return CHARACTER;
  }
  return name(decoded(text));
}

/** C0, space, DEL and the delimiters that would end or split a URL host: an injected one must not be swallowed. */
function isForbidden(c: number): boolean {
  if (c <= 0x20 || c === 0x7f) return true;
  return FORBIDDEN.has(c);
}
const FORBIDDEN: ReadonlySet<number> = new Set([...'#/<>?@[\\]^|:'].map((c) => c.charCodeAt(0)));

function name(text: string): NormalHost | HostError {
  // `URL` is UTS 46, percent-decoding and the IPv4 forms in one place, the same one the agents' own clients have.
  const parsed = URL.parse(`http://${text}/`)?.hostname;
  if (parsed === undefined || parsed === '') return ADDRESS;
  const host = parsed.endsWith('.') ? parsed.slice(0, -1) : parsed;
  if (host.length === 0) return EMPTY;
  if (host.length > MAX_HOST) return TOO_LONG;
  let label = 0;
  for (let i = 0; i < host.length; i++) {
    const c = host.charCodeAt(i);
    if (c === 0x2e) {
      if (label === 0) return LABEL;
      label = 0;
    } else if ((c >= 0x61 && c <= 0x7a) || (c >= 0x30 && c <= 0x39) || c === 0x2d || c === 0x5f) {
      if (++label > MAX_LABEL) return LABEL;
    } else return CHARACTER;
  }
  if (label === 0) return LABEL;
  return { host, kind: endsInNumber(host, host.length) ? 'ipv4' : 'name' };
}

function ipv6(text: string): NormalHost | HostError {
  if (text.includes('%')) return ZONE;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    const digit = (c >= 0x30 && c <= 0x3a) || ((c | 0x20) >= 0x61 && (c | 0x20) <= 0x66) || c === 0x2e;
    if (!digit) return ADDRESS;
  }
  const host = URL.parse(`http://[${text}]/`)?.hostname.slice(1, -1);
  if (host === undefined) return ADDRESS;
  return unmapped(host) ?? { host, kind: 'ipv6' };
}

/** `::ffff:a.b.c.d` is dialled as IPv4: the same destination as the plain literal. `host` is in the form URL writes. */
function unmapped(host: string): NormalHost | undefined {
  if (!host.startsWith('::ffff:')) return undefined;
  const groups = host.slice(7).split(':');
  if (groups.length !== 2) return undefined;
  const high = Number.parseInt(groups[0] as string, 16);
  const low = Number.parseInt(groups[1] as string, 16);
  return { host: `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`, kind: 'ipv4' };
}

/** Latin1 text that is valid UTF-8 is what a client meant by UTF-8; anything else is taken as it is. */
function decoded(text: string): string {
  let high = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c > 0xff) return text;
    if (c > 0x7f) high = true;
  }
  if (!high) return text;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(text, (c) => c.charCodeAt(0)));
  } catch {
    return text;
  }
}
