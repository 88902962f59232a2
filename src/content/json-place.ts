import type { Place } from './label.ts';

/** A part of a JSON text that a label may stand for: the inside of a string, or a bare number. */
export interface JsonPart {
  readonly start: number;
  readonly end: number;
  /** Not in a string: quotes are needed. */
  readonly bare: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const U = 0x75;
const COLON = 0x3a;

/** What may stand outside of strings (RFC 8259 §2), and the words of the lines of an event stream. */
const OUTSIDE = new Uint8Array(256);
for (const letter of ' \t\r\n{}[]:,0123456789+-.eEtrufalsn') OUTSIDE[letter.charCodeAt(0)] = 1;
/** A key's block that ends with its string goes on in strings that hold its lines, and in no others. */
const BLOCK = /^-----BEGIN /;
const KEY_LINE = /^(?:(?:\\[nr]|[A-Za-z0-9+/=]){16,}|-----END.*)$/;

interface Token {
  /** Inside of a string, without its quotes; else what stands between two strings. */
  readonly string: boolean;
  readonly start: number;
  readonly end: number;
}

/**
 * The parts of a place that can be replaced so that JSON stays JSON: strings keep their quotes, escapes stay whole, keys behind the
 * first part stay. The place itself when it lies in no JSON.
 */
export function jsonParts(place: Place): readonly JsonPart[] {
  const { bytes, start, end } = place;
  const tokens = tokensOf(place);
  if (tokens === undefined) return [{ start, end, bare: false }];
  const strings = tokens.filter((token) => token.string && token.start < end && token.end > start);
  if (strings.length === 0) {
    const between = tokens.find((token) => token.start <= start && end <= token.end);
    const number = between && numberIn(bytes, start, end, between);
    return [number ?? { start, end, bare: false }];
  }
  const [first, ...more] = strings.filter(({ end: to }, i) => strings.length === 1 || i === 0 || !isKey(bytes, to));
  const skipKey = more.length > 0 && first !== undefined && first.start > start && isKey(bytes, first.end);
  const block = first !== undefined && BLOCK.test(text(bytes, Math.max(first.start, start), first.end));
  const taken = more.filter((token) => !block || KEY_LINE.test(text(bytes, token.start, token.end)));
  return [...(first === undefined || skipKey ? [] : [first]), ...taken]
    .map((token) => unbroken(place, token, Math.max(token.start, start), Math.min(token.end, end)))
    .filter((part) => part.start < part.end);
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.subarray(from, to)).toString('latin1');
}

function isKey(bytes: Uint8Array, to: number): boolean {
  let at = to + 1;
  while (at < bytes.length && (bytes[at] === 0x20 || bytes[at] === 0x0a)) at++;
  return bytes[to] === QUOTE && bytes[at] === COLON;
}

/** Strings and what is between them, from the first byte at hand; undefined = no JSON. */
function tokensOf(place: Place): readonly Token[] | undefined {
  const first = read(place, false);
  return first ?? (place.whole ? undefined : read(place, true));
}

/** A line end ends a string whatever it says: lines of events, and lines of JSON, begin anew. */
function read({ bytes, end: last }: Place, inside: boolean): readonly Token[] | undefined {
  const tokens: Token[] = [];
  let string = inside;
  let start = 0;
  for (let at = 0; ; at++) {
    const byte = bytes[at];
    if (byte === undefined || (!string && at >= last)) {
      tokens.push({ string, start, end: at });
      return tokens;
    }
    if (byte === QUOTE) {
      tokens.push({ string, start, end: at });
      if (string && at >= last) return tokens;
      string = !string;
      start = at + 1;
    } else if (string) {
      if (byte === BACKSLASH) at++;
      else if (byte === 0x0a && tokens.length > 0) return undefined;
    } else if (OUTSIDE[byte] !== 1) {
      const line = fieldOf(bytes, at);
      if (line < 0) return undefined;
      at = line - 1;
    }
  }
}

const FIELD = /^(?:data|event|id|retry)?:[^\n{["]*/;

/** End of the name of a field of an event stream that stands at a place, or -1. */
function fieldOf(bytes: Uint8Array, at: number): number {
  if (at > 0 && bytes[at - 1] !== 0x0a) return -1;
  const found = FIELD.exec(Buffer.from(bytes.subarray(at, at + 256)).toString('latin1'));
  return found === null ? -1 : at + found[0].length;
}

function numberIn(bytes: Uint8Array, from: number, to: number, token: Token): JsonPart | undefined {
  let [start, end] = [from, to];
  while (start > token.start && isNumber(bytes[start - 1])) start--;
  while (end < bytes.length && isNumber(bytes[end])) end++;
  for (let at = start; at < end; at++) if (!isNumber(bytes[at])) return undefined;
  return { start, end, bare: true };
}

function isNumber(byte: number | undefined): boolean {
  return byte !== undefined && '0123456789+-.eE'.includes(String.fromCharCode(byte));
}

/** Escapes at both ends are taken whole, or left whole where they have gone on already. */
function unbroken({ bytes, floor }: Place, token: Token, from: number, to: number): JsonPart {
  let [start, end] = [from, to];
  for (let at = token.start; at < end; ) {
    let next = at + 1;
    if (bytes[at] === BACKSLASH) next = at + (bytes[at + 1] === U ? 6 : 2);
    if (at < start && start < next) start = at >= floor ? at : next;
    if (at < end && end < next) end = next <= token.end && next <= bytes.length ? next : at;
    at = next;
  }
  return { start, end: Math.max(start, end), bare: false };
}
