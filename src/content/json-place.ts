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

/** Names of values that say nothing themselves. */
const NAME = /^[A-Za-z_ .$-]{0,40}$/;
const NUMBER = /[-+.0-9eE]{6,}/g;

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
  const inside = tokens.filter((token) => token.start < end && token.end > start);
  const first = inside.find(({ string }) => string);
  const block = first !== undefined && BLOCK.test(text(bytes, Math.max(first.start, start), first.end));
  const only = inside.filter(({ string }) => string).length === 1;
  const parts = inside.flatMap((token): readonly JsonPart[] => {
    const from = Math.max(token.start, start);
    const to = Math.min(token.end, end);
    if (!token.string) return numbersIn(bytes, token, from, to);
    const said = text(bytes, from, to);
    const kept = only
      ? false
      : (NAME.test(said) && isKey(bytes, to)) || (block && token !== first && !KEY_LINE.test(said));
    return kept ? [] : [unbroken(place, token, from, to)];
  });
  const some = parts.filter((part) => part.start < part.end);
  return some.length > 0 ? some : [{ start, end, bare: false }];
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

/** Numbers between two strings that are long enough to say something. */
function numbersIn(bytes: Uint8Array, token: Token, from: number, to: number): readonly JsonPart[] {
  let [first, last] = [from, to];
  while (first > token.start && isNumber(bytes[first - 1])) first--;
  while (last < bytes.length && isNumber(bytes[last])) last++;
  return [...text(bytes, first, last).matchAll(NUMBER)].map(({ index, 0: number }) => ({
    start: first + index,
    end: first + index + number.length,
    bare: true,
  }));
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
