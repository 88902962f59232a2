import type { BodyFormat } from './body-format.ts';
import type { JsonPart, JsonText } from './json-place.ts';

/** Bytes of a text that something else stands in for. */
export interface Cut {
  readonly start: number;
  readonly end: number;
  readonly text: Buffer;
}

/** Where a secret stands in the bytes at hand. */
export interface Place {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** Bytes before it have gone on already. */
  readonly floor: number;
  /** The bytes at hand, as far as they are JSON. */
  readonly json: JsonText;
}

/**
 * What is written for a secret, so that the body stays what it is (product.md §7 "Redaction"): `[<LABEL>_REDACTED]`, in JSON inside
 * its string, in a form percent-encoded.
 * @param fixed - as many bytes as it stands for.
 */
export function cutsFor(place: Place, label: string, format: BodyFormat, fixed: boolean): readonly Cut[] {
  const { start, end, floor, json } = place;
  const word = `[${label}_REDACTED]`;
  const cut = (from: number, to: number, text: string): Cut => ({
    start: from,
    end: to,
    text: fixed ? fitted(text, to - from) : Buffer.from(text),
  });
  switch (format) {
    case 'json': {
      const quoted = JSON.stringify(word);
      return json.parts(start, end, floor).map((part) => inJson(part, quoted, fixed, cut));
    }
    case 'form':
      return [cut(start, end, encodeURIComponent(word).replaceAll('%20', '+'))];
    case 'markup':
      return [cut(start, end, word.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;'))];
    case 'yaml':
      return [cut(start, end, beginsScalar(place) ? word.slice(1, -1).replaceAll(':', '_') : word)];
    default:
      return [cut(start, end, word)];
  }
}

function inJson(
  { start, end, bare }: JsonPart,
  quoted: string,
  fixed: boolean,
  cut: (start: number, end: number, text: string) => Cut,
): Cut {
  if (!bare) return cut(start, end, quoted.slice(1, -1));
  if (!fixed) return cut(start, end, quoted);
  return { start, end, text: Buffer.concat([QUOTE, fitted(quoted.slice(1, -1), end - start - 2), QUOTE]) };
}

const QUOTE = Buffer.from('"');

/** Cut, or filled up with `*`. An escape is not cut in two: labels that have one are left out. */
function fitted(text: string, bytes: number): Buffer {
  const plain = text.includes('\\') ? '' : text;
  return Buffer.from(plain).subarray(0, bytes).length === bytes
    ? Buffer.from(plain).subarray(0, bytes)
    : Buffer.from(plain.padEnd(bytes, '*')).subarray(0, bytes);
}

/** A plain scalar of YAML that began with `[` would be a list. */
function beginsScalar({ bytes, start }: Place): boolean {
  let at = start;
  while (at > 0 && bytes[at - 1] === 0x20) at--;
  const before = bytes[at - 1];
  return before === undefined || before === 0x0a || (at < start && (before === 0x3a || before === 0x2d));
}
