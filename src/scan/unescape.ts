import { entityAt } from './entities.ts';
import type { Decoded, Encoding } from './offsets.ts';
import { PlainWriter } from './plain-writer.ts';
import { NOTHING_ASKED, type Wasm, wasmOf } from './wasm-memory.ts';

/**
 * Undoes, in one pass, what hides text without changing its alphabet: percent-encoding, backslash escapes of JSON and of programs, HTML
 * entities, and the tricks of Unicode: invisible characters, direction marks, compatibility forms, look-alike letters.
 */

/** What stands at a place: how many bytes it takes and what it means; undefined = nothing. */
interface Piece {
  readonly length: number;
  readonly bytes: readonly number[];
  readonly encoding: Encoding;
}

const PERCENT = 0x25;
const AMPERSAND = 0x26;
const BACKSLASH = 0x5c;

function hexValue(bytes: Uint8Array, at: number, digits: number): number {
  let value = 0;
  for (let i = 0; i < digits; i++) {
    const byte = bytes[at + i] ?? 0;
    const lower = byte | 32;
    if (byte >= 48 && byte <= 57) value = value * 16 + byte - 48;
    else if (lower >= 97 && lower <= 102) value = value * 16 + lower - 87;
    else return -1;
  }
  return value;
}

function percent(bytes: Uint8Array, at: number): Piece | undefined {
  const value = hexValue(bytes, at + 1, 2);
  return value < 0 ? undefined : { length: 3, bytes: [value], encoding: 'percent' };
}

/** What a letter behind a backslash stands for; 0 = nothing. */
const ESCAPES = new Uint8Array(256);
[...'nrt"\'/\\'].forEach((letter, i) => {
  ESCAPES[letter.charCodeAt(0)] = '\n\r\t"\'/\\'.charCodeAt(i);
});

/** RFC 8259 §7, and `\xHH`, `\u{…}` of programs. Surrogate pairs are put together. */
function backslash(bytes: Uint8Array, at: number): Piece | undefined {
  const letter = bytes[at + 1] ?? 0;
  const simple = ESCAPES[letter] as number;
  if (simple !== 0) return { length: 2, bytes: [simple], encoding: 'escape' };
  if (letter === 0x78) {
    const value = hexValue(bytes, at + 2, 2);
    return value < 0 ? undefined : { length: 4, bytes: [value], encoding: 'escape' };
  }
  if (letter !== 0x75) return undefined;
  if (bytes[at + 2] === 0x7b) return braced(bytes, at);
  const high = hexValue(bytes, at + 2, 4);
  if (high < 0) return undefined;
  if (high >= 0xd800 && high < 0xdc00 && bytes[at + 6] === BACKSLASH && bytes[at + 7] === 0x75) {
    const low = hexValue(bytes, at + 8, 4);
    if (low >= 0xdc00 && low < 0xe000) {
      return { length: 12, bytes: formOf((high - 0xd800) * 1024 + low - 0xdc00 + 0x10000), encoding: 'escape' };
    }
  }
  return { length: 6, bytes: formOf(high), encoding: 'escape' };
}

function braced(bytes: Uint8Array, at: number): Piece | undefined {
  const close = bytes.subarray(at + 3, at + 10).indexOf(0x7d);
  const value = close > 0 ? hexValue(bytes, at + 3, close) : -1;
  return value < 0 || value > 0x10ffff ? undefined : { length: close + 4, bytes: formOf(value), encoding: 'escape' };
}

/** HTML §13.5: numeric references, and the names that stand for ASCII. */
function entity(bytes: Uint8Array, at: number): Piece | undefined {
  const found = entityAt(bytes, at);
  return found && { length: found.length, bytes: formOf(found.codePoint), encoding: 'entity' };
}

/** Latin letters drawn the same in Cyrillic and Greek; from Unicode's confusables, one letter to one letter. */
const ALIKE = new Map<string, string>();
for (const [letters, latin] of [
  ['аеорсухіѕјһԁԛԝѵ', 'aeopcyxisjhdqwv'],
  ['АВЕКМНОРСТХІЅЈԌ', 'ABEKMHOPCTXISJG'],
  ['ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ', 'ABEZHIKMNOPTYX'],
  ['ονіϲ', 'ovic'],
] as const) {
  [...letters].forEach((letter, i) => {
    ALIKE.set(letter, latin[i] as string);
  });
}

function isInvisible(codePoint: number): boolean {
  return (
    codePoint === 0xad ||
    codePoint === 0x34f ||
    codePoint === 0x61c ||
    codePoint === 0x180e ||
    (codePoint >= 0x200b && codePoint <= 0x200f) ||
    (codePoint >= 0x202a && codePoint <= 0x202e) ||
    (codePoint >= 0x2060 && codePoint <= 0x206f) ||
    (codePoint >= 0xfe00 && codePoint <= 0xfe0f) ||
    codePoint === 0xfeff ||
    (codePoint >= 0xe0000 && codePoint <= 0xe01ef)
  );
}

/** A code point as a reader sees it. Tag characters (U+E0020…) are ASCII in disguise and are read, not dropped. */
function plainly(codePoint: number): number[] {
  if (codePoint < 0x80) return [codePoint];
  if (codePoint >= 0xe0020 && codePoint <= 0xe007e) return [codePoint - 0xe0000];
  if (isInvisible(codePoint)) return [];
  const normal = String.fromCodePoint(codePoint).normalize('NFKC');
  return [...new TextEncoder().encode(ALIKE.get(normal) ?? normal)];
}

/** Plain forms of characters that were met; a text uses few different ones. */
const forms = new Map<number, readonly number[]>();
const MOST_FORMS = 4096;

function formOf(codePoint: number): readonly number[] {
  const known = forms.get(codePoint);
  if (known !== undefined) return known;
  const form = plainly(codePoint);
  if (forms.size >= MOST_FORMS) forms.clear();
  forms.set(codePoint, form);
  return form;
}

const UNKNOWN = 0;
const PLAIN = 1;
const OTHER = 2;
const LOOKS_LATIN = 3;
/** As OTHER, but what it reads as is no letter, no digit and not nothing: typographic marks. */
const MARK = 4;
/** What a code point is, remembered: normalising each letter of a text in another script would cost more than scanning it. */
let known: Uint8Array | undefined;

function classify(codePoint: number, length: number): number {
  known ??= wasmOf()?.kinds ?? new Uint8Array(0x110000);
  if (known[codePoint] === UNKNOWN) known[codePoint] = kindOf(codePoint, length);
  return known[codePoint] as number;
}

function isAlphanumeric(byte: number): boolean {
  return isLetter(byte) || (byte >= 48 && byte <= 57);
}

function kindOf(codePoint: number, length: number): number {
  const text = String.fromCodePoint(codePoint);
  if (ALIKE.has(text)) return LOOKS_LATIN;
  const plain = plainly(codePoint);
  if (plain.length === length && new TextDecoder().decode(Uint8Array.from(plain)) === text) return PLAIN;
  return plain.length > 0 && !plain.some(isAlphanumeric) ? MARK : OTHER;
}

function isLetter(byte: number | undefined): boolean {
  return byte !== undefined && (byte | 32) >= 97 && (byte | 32) <= 122;
}

/**
 * A UTF-8 sequence whose plain form differs from what stands there; malformed bytes stay as they are. Look-alike letters are read as
 * Latin only beside Latin ones: in a word of their own script they are what they are.
 * @param before - the plain byte before.
 * @param marks - whether typographic marks count.
 */
function character(bytes: Uint8Array, at: number, before: number | undefined, marks: boolean): Piece | undefined {
  const lead = bytes[at] as number;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > bytes.length) return undefined;
  let codePoint = lead & (0x7f >> length);
  for (let i = 1; i < length; i++) {
    const next = bytes[at + i] as number;
    if ((next & 0xc0) !== 0x80) return undefined;
    codePoint = codePoint * 64 + (next & 0x3f);
  }
  if (codePoint > 0x10ffff || (codePoint >= 0xd800 && codePoint < 0xe000)) return undefined;
  const kind = classify(codePoint, length);
  if (kind === PLAIN || (kind === MARK && !marks)) return undefined;
  if (kind === LOOKS_LATIN && !isLetter(before) && !isLetter(bytes[at + length])) return undefined;
  return { length, bytes: formOf(codePoint), encoding: 'unicode' };
}

function pieceAt(bytes: Uint8Array, at: number, before: number | undefined, marks = true): Piece | undefined {
  const byte = bytes[at] as number;
  if (byte === PERCENT) return percent(bytes, at);
  if (byte === BACKSLASH) return backslash(bytes, at);
  if (byte === AMPERSAND) return entity(bytes, at);
  return character(bytes, at, before, marks);
}

const SPECIAL = new Uint8Array(256).fill(1, 0xc2, 0xf5);
for (const byte of [PERCENT, AMPERSAND, BACKSLASH]) SPECIAL[byte] = 1;

/** Text around a change that is read again: as much as a secret with a change in it needs. */
export const AROUND = 256;

/**
 * Whether undoing a piece can bring something to light. Line ends and quotes of JSON, and typographic marks, cannot: they stand in
 * every text, and patterns and boundaries know them as they are written.
 */
function tells(bytes: Uint8Array, at: number, piece: Piece): boolean {
  if (piece.encoding !== 'escape' || piece.length > 2) return true;
  const plain = piece.bytes[0];
  // `\/` splits base64; a doubled backslash matters when what follows is an escape itself.
  return plain === 47 || (plain === BACKSLASH && /[ux/\\]/.test(String.fromCharCode(bytes[at + 2] ?? 0)));
}

/** Parts of the text that are worth reading plainly, as pairs of offsets. */
function windowsOf(bytes: Uint8Array): number[] {
  const windows: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    while (at < bytes.length && SPECIAL[bytes[at] as number] === 0) at++;
    const piece = at < bytes.length ? pieceAt(bytes, at, bytes[at - 1], false) : undefined;
    if (piece === undefined) {
      // The rest of a character that stays as it is.
      do at++;
      while (at < bytes.length && ((bytes[at] as number) & 0xc0) === 0x80);
      continue;
    }
    const end = at + piece.length;
    if (tells(bytes, at, piece)) {
      const from = Math.max(0, at - AROUND);
      if (windows.length > 0 && from <= (windows.at(-1) as number)) windows.pop();
      else windows.push(from);
      windows.push(Math.min(bytes.length, end + AROUND));
    }
    at = end;
  }
  return windows;
}

function reachEnd(windows: number[], end: number): void {
  const from = Math.max(0, end - AROUND);
  if (from > (windows.at(-1) ?? -1)) windows.push(from);
  else windows.pop();
  windows.push(end);
}

function write(writer: PlainWriter, bytes: Uint8Array, from: number, to: number): void {
  let done = from;
  for (let at = from; at < to; ) {
    const byte = bytes[at] as number;
    if (SPECIAL[byte] === 0) {
      at++;
      continue;
    }
    const piece = pieceAt(bytes, at, at > done ? bytes[at - 1] : writer.last);
    if (piece === undefined) {
      at++;
      continue;
    }
    writer.copy(bytes, done, at);
    writer.put(at, piece.length, piece.bytes, piece.encoding);
    at += piece.length;
    done = at;
  }
  writer.copy(bytes, done, to);
  writer.close(to);
}

/** The same by the module, which asks for what needs tables of words and of characters. */
function windowsBy(wasm: Wasm, bytes: Uint8Array): number[] {
  wasm.read(bytes);
  wasm.asked = { entity: (at) => entity(bytes, at)?.length ?? 0, classify };
  const count = wasm.call.windows(bytes.length);
  wasm.asked = NOTHING_ASKED;
  return count === 0 ? [] : Array.from(wasm.list.subarray(0, count));
}

/**
 * @param open - the text goes on: its last bytes are read too, and no line end stands behind them.
 * @param plain - in TypeScript alone.
 * @returns the parts of the text that read differently when plain, each with a line end behind it; undefined when there are none.
 */
export function unescaped(bytes: Uint8Array, open = false, plain = false): Decoded | undefined {
  const wasm = plain ? undefined : wasmOf();
  const windows = wasm?.takes(bytes) ? windowsBy(wasm, bytes) : windowsOf(bytes);
  if (open) reachEnd(windows, bytes.length);
  if (windows.length === 0) return undefined;
  const writer = new PlainWriter();
  for (let i = 0; i < windows.length; i += 2) write(writer, bytes, windows[i] as number, windows[i + 1] as number);
  return writer.done(open);
}
