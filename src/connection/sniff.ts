import { createHash } from 'node:crypto';
import { type ClientHelloParser, createClientHelloParser } from '../codec/client-hello.ts';
import type { TlsFacts } from '../model/connection.ts';

/** What the first bytes inside a CONNECT are (product.md §4: decided by the bytes, never by the port). */
export type Sniffed =
  | { readonly kind: 'tls'; readonly facts: TlsFacts }
  | { readonly kind: 'http1' }
  | { readonly kind: 'http2' }
  | { readonly kind: 'opaque'; readonly protocol: string };

export interface Sniffer {
  /** `more` until it is decided. */
  push(chunk: Buffer): 'more' | Sniffed;
  /** Everything pushed so far, in order. */
  taken(): Buffer;
  /** The first bytes are those of a TLS handshake that is not whole yet. */
  readonly helloBegun: boolean;
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** RFC 9110, WebDAV and the few others seen in practice. Unknown ones are recognised by their `HTTP/1.x` at the line's end. */
const METHODS = new Set(
  (
    'GET POST PUT DELETE HEAD OPTIONS PATCH TRACE CONNECT PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK REPORT ' +
    'SEARCH MKCALENDAR ACL BIND LINK UNLINK PURGE QUERY MERGE CHECKOUT MKACTIVITY M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE'
  ).split(' '),
);
/** A request line of an unknown method is looked at up to here. */
const MAX_LINE = 8192;
const MAX_METHOD = 32;

export const sha256Hex = (text: string): string => createHash('sha256').update(text, 'latin1').digest('hex');

export function createSniffer(): Sniffer {
  return new FirstBytes();
}

class FirstBytes implements Sniffer {
  #bytes: Buffer = Buffer.alloc(0);
  #hello: ClientHelloParser | undefined;

  get helloBegun(): boolean {
    return this.#hello !== undefined;
  }

  taken(): Buffer {
    return this.#bytes;
  }

  push(chunk: Buffer): 'more' | Sniffed {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    if (this.#bytes[0] !== 0x16) return classify(this.#bytes);
    this.#hello ??= createClientHelloParser(sha256Hex);
    const result = this.#hello.push(chunk);
    if (result === 'more') return 'more';
    if (result === 'not-tls') return { kind: 'opaque', protocol: 'unknown' };
    return { kind: 'tls', facts: result.facts };
  }
}

function classify(bytes: Buffer): 'more' | Sniffed {
  if (bytes[0] === 0x50) {
    const known = Math.min(bytes.length, PREFACE.length);
    if (bytes.compare(PREFACE, 0, known, 0, known) === 0) {
      // `PRI` is reserved for this (RFC 9113 §11.6): four bytes are enough to wait for the rest.
      return known === PREFACE.length ? { kind: 'http2' } : 'more';
    }
  }
  const named = binaryProtocol(bytes);
  if (named !== undefined) return named;
  return textProtocol(bytes);
}

/** Token, space, … : HTTP/1, or a line protocol that looks like it. */
function textProtocol(bytes: Buffer): 'more' | Sniffed {
  let end = 0;
  while (end < bytes.length && end <= MAX_METHOD && tokenByte(bytes[end] as number)) end++;
  if (end === bytes.length && end <= MAX_METHOD) return 'more';
  if (end === 0 || end > MAX_METHOD || bytes[end] !== 0x20) return { kind: 'opaque', protocol: lineProtocol(bytes) };
  if (METHODS.has(bytes.toString('latin1', 0, end))) return { kind: 'http1' };
  const protocol = lineProtocol(bytes);
  if (protocol !== 'unknown') return { kind: 'opaque', protocol };
  const newline = bytes.indexOf(0x0a);
  if (newline === -1) return bytes.length < MAX_LINE ? 'more' : { kind: 'opaque', protocol: 'unknown' };
  const line = bytes.toString('latin1', Math.max(0, newline - 12), newline).trimEnd();
  return line.slice(-8, -1) === 'HTTP/1.' ? { kind: 'http1' } : { kind: 'opaque', protocol: 'unknown' };
}

/** Protocols known by a binary start; a proper prefix of one waits for more. */
const BINARY: readonly (readonly [string, Buffer])[] = [
  ['postgres', Buffer.from([0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f])],
  ['bittorrent', Buffer.from('\x13BitTorrent protocol', 'latin1')],
];

function binaryProtocol(bytes: Buffer): 'more' | Sniffed | undefined {
  for (const [protocol, start] of BINARY) {
    const known = Math.min(bytes.length, start.length);
    if (bytes.compare(start, 0, known, 0, known) !== 0) continue;
    return known === start.length ? { kind: 'opaque', protocol } : 'more';
  }
  return undefined;
}

const LINES: readonly (readonly [string, string])[] = [
  ['SSH-', 'ssh'],
  ['EHLO ', 'smtp'],
  ['HELO ', 'smtp'],
  ['NICK ', 'irc'],
];

/** What a server says first names the protocol too. */
const BANNERS: readonly (readonly [string, string])[] = [
  ['SSH-', 'ssh'],
  ['* OK', 'imap'],
  ['+OK ', 'pop3'],
  ['RFB ', 'vnc'],
];

function lineProtocol(bytes: Buffer): string {
  return startName(LINES, bytes) ?? (bytes[0] === 0x2a && digit(bytes[1]) ? 'redis' : 'unknown');
}

/** Protocol of a server that speaks first; `server-first` when its banner is unknown. */
export function bannerProtocol(bytes: Buffer): string {
  const name = startName(BANNERS, bytes);
  if (name !== undefined) return name;
  if (bytes.length >= 4 && bytes.toString('latin1', 0, 3) === '220') {
    return /smtp/i.test(bytes.toString('latin1', 0, 512)) ? 'smtp' : 'server-first';
  }
  return 'server-first';
}

/** The start of an HTTP/2 SETTINGS frame on stream 0 that is no acknowledgement (RFC 9113 §6.5). */
export function isSettings(bytes: Buffer): boolean {
  if (bytes.length < 9 || bytes[3] !== 4 || bytes[4] !== 0 || bytes.readUInt32BE(5) !== 0) return false;
  return bytes.readUIntBE(0, 3) % 6 === 0;
}

function startName(table: readonly (readonly [string, string])[], bytes: Buffer): string | undefined {
  const start = bytes.toString('latin1', 0, 5);
  return table.find(([text]) => start.startsWith(text))?.[1];
}

function digit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** tchar (RFC 9110 §5.6.2). */
function tokenByte(byte: number): boolean {
  if ((byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a) || digit(byte)) return true;
  return byte > 0x20 && byte < 0x7f && "!#$%&'*+-.^_`|~".includes(String.fromCharCode(byte));
}
