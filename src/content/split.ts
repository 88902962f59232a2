import { Pieces } from '../model/pieces.ts';
import type { BodyFound, ScanPort } from '../model/scan.ts';

/** Bodies that are read for secrets cut into several values: longer ones cost more than such a trick is worth. */
const MOST_BODY = 8192;
const LEAST_BODY = 24;
const DEEPEST = 16;
const QUOTE = 0x22;
const EQUALS = 0x3d;
const FORM = /^[\w.%+[\]~*-]{1,200}=/;

/** Filled anew for every body. */
const PIECES = new Pieces<string>();

/** Secrets cut into values of a JSON text or a form that follow one another. The whole body, when it is short. */
export function splitFinds(bytes: Uint8Array, scan: ScanPort): readonly BodyFound[] {
  if (bytes.length < LEAST_BODY || bytes.length > MOST_BODY) return [];
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  PIECES.clear();
  const first = body[0];
  const json = first === 0x7b || first === 0x5b;
  if (!mayHold(body, json ? QUOTE : EQUALS, scan)) return [];
  if (json) jsonPieces(body, scan);
  else if (FORM.test(body.toString('latin1', 0, 256))) formPieces(body, scan);
  return joined(PIECES, scan, (piece) => Math.max(0, body.indexOf(piece)));
}

/** Whether a value begins as a secret does: most bodies are read no further. */
function mayHold(body: Buffer, before: number, scan: ScanPort): boolean {
  if (scan.mayBegin === undefined) return true;
  for (let at = body.indexOf(before); at >= 0; at = body.indexOf(before, at + 1)) {
    if (scan.mayBegin(body[at + 1] ?? 0, body[at + 2] ?? 0, body[at + 3] ?? 0) && !isKey(body, at)) return true;
  }
  return false;
}

/** The string of a JSON text that begins at a quote is the name of a member. */
function isKey(body: Buffer, quote: number): boolean {
  let at = body.indexOf(QUOTE, quote + 1) + 1;
  while (at > 0 && (body[at] === 0x20 || body[at] === 0x0a)) at++;
  return at > 0 && body[at] === 0x3a;
}

function joined(pieces: Pieces<string>, scan: ScanPort, offsetOf: (piece: string) => number): readonly BodyFound[] {
  const { bytes } = pieces;
  if (bytes.length === 0) return [];
  return pieces.cutUp(scan.scan('request', bytes).found).map(({ found, places }) => ({
    found,
    offset: offsetOf(places[0] as string),
    count: 1,
    place: `in ${places.length} values (split)`,
    apart: true,
  }));
}

function jsonPieces(body: Buffer, scan: ScanPort): void {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return;
  }
  visit(value, scan, 0);
}

/** Strings of one array or object, and strings with the same key in the objects of one array. */
function visit(value: unknown, scan: ScanPort, depth: number): void {
  if (typeof value !== 'object' || value === null || depth > DEEPEST) return;
  const members: unknown[] = Object.values(value);
  for (const member of members) if (typeof member === 'string') PIECES.add(member, member);
  PIECES.close(scan);
  if (Array.isArray(value)) columns(members, scan);
  for (const member of members) visit(member, scan, depth + 1);
}

function columns(members: readonly unknown[], scan: ScanPort): void {
  const byKey = new Map<string, string[]>();
  for (const member of members) {
    if (typeof member !== 'object' || member === null || Array.isArray(member)) continue;
    for (const [key, text] of Object.entries(member)) {
      if (typeof text !== 'string') continue;
      const column = byKey.get(key);
      if (column === undefined) byKey.set(key, [text]);
      else column.push(text);
    }
  }
  for (const column of byKey.values()) {
    for (const text of column) PIECES.add(text, text);
    PIECES.close(scan);
  }
}

function formPieces(body: Buffer, scan: ScanPort): void {
  const text = body.toString('latin1');
  if (/[\s<>{]/.test(text)) return;
  for (const pair of text.split('&')) {
    const value = pair.slice(pair.indexOf('=') + 1);
    PIECES.add(value, value);
  }
  PIECES.close(scan);
}

/** The beginning of a body that goes on meanwhile. */
export class BodyStart {
  #parts: Uint8Array[] = [];
  #length = 0;

  /** Bytes are copied as long as the body is short. */
  add(payload: Uint8Array): void {
    if (this.#length > MOST_BODY) return;
    this.#length += payload.length;
    if (this.#length > MOST_BODY) this.#parts = [];
    else this.#parts.push(Uint8Array.from(payload));
  }

  /** As `splitFinds`, at the end of the body. */
  finds(scan: ScanPort): readonly BodyFound[] {
    return this.#parts.length === 0 ? [] : splitFinds(Buffer.concat(this.#parts), scan);
  }
}

/** A longer message is no part of a secret that was cut into messages. */
const MOST_MESSAGE = 512;
const MOST_KEYS = 8;
const MOST_FOUND = 16;

/** Messages of one direction of a WebSocket: a secret may have been cut into several that follow one another. */
export class SplitMessages {
  readonly #scan: ScanPort;
  /** By key of the JSON object a message is; '' = the message itself. */
  readonly #pieces: Map<string, Pieces<string>> = new Map();
  readonly #found: BodyFound[] = [];
  /** The message under way; one byte more than is looked at says that it is longer. */
  readonly #message: Buffer = Buffer.allocUnsafe(MOST_MESSAGE + 1);
  #length = 0;

  constructor(scan: ScanPort) {
    this.#scan = scan;
  }

  /** A piece of the message under way. */
  add(payload: Uint8Array): void {
    const more = Math.min(payload.length, this.#message.length - this.#length);
    this.#message.set(payload.subarray(0, more), this.#length);
    this.#length += more;
  }

  /** The message is whole: what it completes. */
  end(): readonly BodyFound[] {
    const length = this.#length;
    this.#length = 0;
    if (length === 0 || length > MOST_MESSAGE) return [];
    const text = this.#message.toString('utf8', 0, length);
    if (!text.startsWith('{')) return this.#piece('', text);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return [];
    }
    return Object.entries(value as object).flatMap(([key, member]) =>
      typeof member === 'string' ? this.#piece(key, member) : [],
    );
  }

  /** All that was found so far. */
  finish(): readonly BodyFound[] {
    return this.#found;
  }

  #piece(key: string, text: string): readonly BodyFound[] {
    let pieces = this.#pieces.get(key);
    if (pieces === undefined) {
      if (this.#pieces.size === MOST_KEYS) return [];
      pieces = new Pieces();
      this.#pieces.set(key, pieces);
    }
    if (!pieces.add(text, text)) return [];
    pieces.complete(this.#scan);
    const found = joined(pieces, this.#scan, () => 0).map((one) => ({
      ...one,
      place: `${one.place?.replace('values', 'messages')}`,
    }));
    if (this.#found.length < MOST_FOUND) this.#found.push(...found);
    return found;
  }
}
