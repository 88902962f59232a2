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

/** Bytes that may be JSON, read once for all places in them, which are asked for in order. */
export class JsonText {
  readonly #bytes: Uint8Array;
  /** The bytes begin with the text. */
  readonly #whole: boolean;
  readonly #outside: Tokens;
  #inside: Tokens | undefined;
  /** Between two characters of a string, at or before all places to come. */
  #aligned = 0;

  constructor(bytes: Uint8Array, whole: boolean) {
    this.#bytes = bytes;
    this.#whole = whole;
    this.#outside = new Tokens(bytes, false);
  }

  /**
   * The parts of a place that can be replaced so that JSON stays JSON: strings keep their quotes, escapes stay whole, keys behind
   * the first part stay. The place itself when it lies in no JSON.
   * @param floor - bytes before it have gone on already.
   */
  parts(start: number, end: number, floor: number): readonly JsonPart[] {
    const bytes = this.#bytes;
    const inside = this.#tokens(end)?.around(start, end);
    if (inside === undefined) return [{ start, end, bare: false }];
    const first = inside.find(({ string }) => string);
    const block = first !== undefined && BLOCK.test(text(bytes, Math.max(first.start, start), first.end, 16));
    const only = inside.filter(({ string }) => string).length === 1;
    const parts = inside.flatMap((token): readonly JsonPart[] => {
      const from = Math.max(token.start, start);
      const to = Math.min(token.end, end);
      if (!token.string) return numbersIn(bytes, token, from, to);
      const said = text(bytes, from, to);
      const kept = only
        ? false
        : (NAME.test(said) && isKey(bytes, to)) || (block && token !== first && !KEY_LINE.test(said));
      return kept ? [] : [this.#unbroken(token, from, to, floor)];
    });
    const some = parts.filter((part) => part.start < part.end);
    return some.length > 0 ? some : [{ start, end, bare: false }];
  }

  /** Strings and what is between them, from the first byte at hand; undefined = no JSON. */
  #tokens(end: number): Tokens | undefined {
    if (this.#outside.read(end)) return this.#outside;
    if (this.#whole) return undefined;
    this.#inside ??= new Tokens(this.#bytes, true);
    return this.#inside.read(end) ? this.#inside : undefined;
  }

  /** Escapes at both ends are taken whole, or left whole where they have gone on already. */
  #unbroken(token: Token, from: number, to: number, floor: number): JsonPart {
    const bytes = this.#bytes;
    let [start, end] = [from, to];
    for (let at = this.#aligned <= from ? Math.max(token.start, this.#aligned) : token.start; at < end; ) {
      this.#aligned = at;
      let next = at + 1;
      if (bytes[at] === BACKSLASH) next = at + (bytes[at + 1] === U ? 6 : 2);
      if (at < start && start < next) start = at >= floor ? at : next;
      if (at < end && end < next) end = next <= token.end && next <= bytes.length ? next : at;
      at = next;
    }
    return { start, end: Math.max(start, end), bare: false };
  }
}

function text(bytes: Uint8Array, from: number, to: number, most = Number.POSITIVE_INFINITY): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(
    'latin1',
    from,
    Math.min(to, from + most),
  );
}

function isKey(bytes: Uint8Array, to: number): boolean {
  let at = to + 1;
  while (at < bytes.length && (bytes[at] === 0x20 || bytes[at] === 0x0a)) at++;
  return bytes[to] === QUOTE && bytes[at] === COLON;
}

/** Reads strings and what is between them, once. A line end ends a string whatever it says: lines of events, and lines of JSON, begin anew. */
class Tokens {
  readonly #bytes: Uint8Array;
  readonly #done: Token[] = [];
  /** The one under way. */
  #string: boolean;
  #start = 0;
  #at = 0;
  #broken = false;

  /** @param inside - the bytes begin in the middle of a string. */
  constructor(bytes: Uint8Array, inside: boolean) {
    this.#bytes = bytes;
    this.#string = inside;
  }

  /** Up to `last`, or the end of the string it lies in. False = this is no JSON. */
  read(last: number): boolean {
    const bytes = this.#bytes;
    for (; !this.#broken; this.#at++) {
      const at = this.#at;
      const byte = bytes[at];
      if (byte === undefined || (!this.#string && at >= last)) return true;
      if (byte === QUOTE) {
        this.#done.push({ string: this.#string, start: this.#start, end: at });
        this.#string = !this.#string;
        this.#start = at + 1;
      } else if (this.#string) {
        if (byte === BACKSLASH) this.#at++;
        else if (byte === 0x0a && this.#done.length > 0) this.#broken = true;
      } else if (OUTSIDE[byte] !== 1) {
        const line = fieldOf(bytes, at);
        if (line < 0) this.#broken = true;
        else this.#at = line - 1;
      }
    }
    return false;
  }

  /** Those a place lies in. */
  around(start: number, end: number): readonly Token[] {
    const found: Token[] = [];
    const add = (token: Token): void => {
      if (token.start < end && token.end > start) found.push(token);
    };
    add({ string: this.#string, start: this.#start, end: this.#at });
    for (let i = this.#done.length - 1; i >= 0; i--) {
      const token = this.#done[i] as Token;
      if (token.end <= start) break;
      add(token);
    }
    return found.reverse();
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
