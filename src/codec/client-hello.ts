import type { TlsFacts } from '../model/connection.ts';
import { type HelloFields, ja4 } from './ja4.ts';

/** A ClientHello larger than this is refused: real ones are below 4 KiB, post-quantum shares and padding included. */
export const MAX_CLIENT_HELLO = 65_536;
/** RFC 8446 §5.1: a plaintext record carries at most 2^14 bytes. */
const MAX_RECORD = 16_384;
const HANDSHAKE = 22;
const CLIENT_HELLO = 1;

/** SHA-256 of an ASCII string as lower-case hex; passed in because codec/ knows no `node:` module. */
export type Sha256Hex = (text: string) => string;

export interface ClientHello {
  readonly facts: TlsFacts;
  /** Bytes of the stream up to the end of the last record the ClientHello uses. */
  readonly length: number;
}

/** Sans-io reader of the first TLS flight. */
export interface ClientHelloParser {
  /** Takes the next bytes of the stream. After `not-tls` or a result it must not be called again. */
  push(bytes: Uint8Array): 'more' | 'not-tls' | ClientHello;
}

/**
 * Reads one ClientHello, however it is cut into TCP segments and TLS records (RFC 8446 §5.1 allows a handshake message
 * to span records). Anything that cannot become a ClientHello is `not-tls` at the first byte that shows it.
 */
export function createClientHelloParser(sha256: Sha256Hex): ClientHelloParser {
  return new Parser(sha256);
}

class Parser implements ClientHelloParser {
  readonly #sha256: Sha256Hex;
  /** Record header bytes seen so far (type, version, length). */
  readonly #header = new Uint8Array(5);
  #headerFill = 0;
  /** Bytes of the current record still to come. */
  #recordLeft = 0;
  #message = new Uint8Array(2048);
  #messageFill = 0;
  #consumed = 0;

  constructor(sha256: Sha256Hex) {
    this.#sha256 = sha256;
  }

  push(bytes: Uint8Array): 'more' | 'not-tls' | ClientHello {
    let at = 0;
    while (at < bytes.length) {
      if (this.#recordLeft === 0) {
        this.#header[this.#headerFill++] = bytes[at++] as number;
        this.#consumed++;
        if (!this.#headerPlausible()) return 'not-tls';
        if (this.#headerFill < 5) continue;
        this.#headerFill = 0;
        this.#recordLeft = ((this.#header[3] as number) << 8) | (this.#header[4] as number);
        // Zero-length handshake fragments are forbidden (RFC 8446 §5.1).
        if (this.#recordLeft === 0 || this.#recordLeft > MAX_RECORD) return 'not-tls';
        continue;
      }
      const take = Math.min(this.#recordLeft, bytes.length - at);
      if (this.#messageFill + take > MAX_CLIENT_HELLO + 4) return 'not-tls';
      this.#append(bytes.subarray(at, at + take));
      at += take;
      this.#consumed += take;
      this.#recordLeft -= take;
      const result = this.#tryFinish();
      if (result !== 'more') return result;
    }
    return 'more';
  }

  #headerPlausible(): boolean {
    const fill = this.#headerFill;
    if (fill === 1) return this.#header[0] === HANDSHAKE;
    return fill !== 2 || this.#header[1] === 3;
  }

  #append(piece: Uint8Array): void {
    const needed = this.#messageFill + piece.length;
    if (needed > this.#message.length) {
      const grown = new Uint8Array(Math.max(needed, this.#message.length * 2));
      grown.set(this.#message.subarray(0, this.#messageFill));
      this.#message = grown;
    }
    this.#message.set(piece, this.#messageFill);
    this.#messageFill = needed;
  }

  #tryFinish(): 'more' | 'not-tls' | ClientHello {
    const message = this.#message;
    if (message[0] !== CLIENT_HELLO) return 'not-tls';
    if (this.#messageFill < 4) return 'more';
    const length = ((message[1] as number) << 16) | ((message[2] as number) << 8) | (message[3] as number);
    if (length > MAX_CLIENT_HELLO) return 'not-tls';
    if (this.#messageFill < 4 + length) return 'more';
    const fields = readFields(message.subarray(4, 4 + length));
    if (fields === undefined) return 'not-tls';
    return { facts: factsOf(fields, this.#sha256), length: this.#consumed + this.#recordLeft };
  }
}

/** A cursor that never reads past its end: the first short read makes everything after it undefined. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;
  ok = true;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  number(size: 1 | 2): number {
    if (this.left < size) {
      this.ok = false;
      this.#at = this.#bytes.length;
      return 0;
    }
    const high = this.#bytes[this.#at++] as number;
    return size === 1 ? high : (high << 8) | (this.#bytes[this.#at++] as number);
  }

  /** A vector with a length prefix of `size` bytes (RFC 8446 §3.4). */
  vector(size: 1 | 2): Uint8Array {
    return this.take(this.number(size));
  }

  take(length: number): Uint8Array {
    if (this.left < length) {
      this.ok = false;
      this.#at = this.#bytes.length;
      return new Uint8Array(0);
    }
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/** Body of a ClientHello (RFC 8446 §4.1.2), or undefined when its lengths do not add up. */
function readFields(body: Uint8Array): HelloFields | undefined {
  const reader = new Reader(body);
  const legacyVersion = reader.number(2);
  reader.take(32);
  reader.vector(1);
  const ciphers = numbers(reader.vector(2));
  reader.vector(1);
  const fields: HelloFields = {
    legacyVersion,
    ciphers,
    extensions: [],
    versions: [],
    signatures: [],
    alpn: [],
    sni: undefined,
    hasSni: false,
    ech: false,
  };
  if (!reader.ok) return undefined;
  // TLS 1.2 and older may end here, without an extensions block (RFC 5246 §7.4.1.2).
  if (reader.left === 0) return fields;
  const block = new Reader(reader.vector(2));
  if (!reader.ok || reader.left !== 0) return undefined;
  while (block.left > 0) {
    const type = block.number(2);
    const data = block.vector(2);
    if (!block.ok) return undefined;
    fields.extensions.push(type);
    readExtension(fields, type, data);
  }
  return fields;
}

function readExtension(fields: HelloFields, type: number, data: Uint8Array): void {
  const reader = new Reader(data);
  if (type === 0x0000) {
    fields.hasSni = true;
    const list = new Reader(reader.vector(2));
    while (list.left > 0) {
      const kind = list.number(1);
      const name = list.vector(2);
      if (!list.ok) return;
      // host_name(0) is the only kind ever defined (RFC 6066 §3).
      if (kind === 0 && fields.sni === undefined) fields.sni = latin1(name);
    }
  } else if (type === 0x000d) {
    fields.signatures = numbers(reader.vector(2));
  } else if (type === 0x0010) {
    const list = new Reader(reader.vector(2));
    while (list.left > 0) {
      const name = list.vector(1);
      if (!list.ok) return;
      fields.alpn.push(latin1(name));
    }
  } else if (type === 0x002b) {
    fields.versions = numbers(reader.vector(1));
  } else if (type === 0xfe0d) {
    fields.ech = true;
  }
}

function factsOf(fields: HelloFields, sha256: Sha256Hex): TlsFacts {
  return {
    ...(fields.sni === undefined ? {} : { sni: fields.sni }),
    alpn: fields.alpn.filter((name) => !greaseName(name)),
    ja4: ja4(fields, sha256),
    version: versionName(fields),
    ech: fields.ech,
  };
}

const VERSION_NAMES = new Map([
  [0x0304, '1.3'],
  [0x0303, '1.2'],
  [0x0302, '1.1'],
  [0x0301, '1.0'],
  [0x0300, 'ssl3'],
]);

function versionName(fields: HelloFields): string {
  let highest = 0;
  for (const version of fields.versions) if (VERSION_NAMES.has(version) && version > highest) highest = version;
  return VERSION_NAMES.get(highest === 0 ? fields.legacyVersion : highest) ?? 'unknown';
}

/** GREASE protocol names are two equal bytes of the form 0x?A (RFC 8701 §3). */
function greaseName(name: string): boolean {
  return name.length === 2 && name[0] === name[1] && (name.charCodeAt(0) & 0x0f) === 0x0a;
}

function numbers(bytes: Uint8Array): number[] {
  const list: number[] = [];
  for (let i = 0; i + 1 < bytes.length; i += 2) list.push(((bytes[i] as number) << 8) | (bytes[i + 1] as number));
  return list;
}

function latin1(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
