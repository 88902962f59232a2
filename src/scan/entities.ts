const ENTITIES = new Map([
  ['amp', 38],
  ['lt', 60],
  ['gt', 62],
  ['quot', 34],
  ['apos', 39],
  ['nbsp', 32],
  ['colon', 58],
  ['equals', 61],
  ['lowbar', 95],
  ['sol', 47],
  ['period', 46],
  ['hyphen', 45],
  ['dash', 45],
  ['commat', 64],
  ['newline', 10],
  ['tab', 9],
  ['shy', 0xad],
  ['zwnj', 0x200c],
  ['zwj', 0x200d],
]);
/** Letters as a number, without case: five bits each. */
function keyOf(name: string): number {
  return [...name].reduce((key, letter) => key * 32 + (letter.charCodeAt(0) & 31), 0);
}
const BY_KEY = new Map([...ENTITIES].map(([name, codePoint]) => [keyOf(name), codePoint]));

interface Found {
  readonly length: number;
  readonly codePoint: number;
}

function isLetter(byte: number | undefined): boolean {
  return byte !== undefined && (byte | 32) >= 97 && (byte | 32) <= 122;
}

/** Most ampersands stand between parameters: two to eight letters and a semicolon, else it is none. */
function named(bytes: Uint8Array, at: number): Found | undefined {
  let key = 0;
  let letters = 0;
  for (; letters < 8 && isLetter(bytes[at + 1 + letters]); letters++) {
    key = key * 32 + ((bytes[at + 1 + letters] as number) & 31);
  }
  if (letters < 2 || bytes[at + 1 + letters] !== SEMICOLON) return undefined;
  const codePoint = BY_KEY.get(key);
  return codePoint === undefined ? undefined : { length: letters + 2, codePoint };
}

function digitOf(byte: number, base: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return base === 16 && lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

/** One to `most` digits; the semicolon may be missing. */
function numbered(bytes: Uint8Array, at: number, from: number, base: number, most: number): Found | undefined {
  let codePoint = 0;
  let end = from;
  for (; end < from + most; end++) {
    const digit = digitOf(bytes[end] ?? 0, base);
    if (digit < 0) break;
    codePoint = codePoint * base + digit;
  }
  if (end === from || codePoint > 0x10ffff) return undefined;
  return { length: end - at + (bytes[end] === SEMICOLON ? 1 : 0), codePoint };
}

const SEMICOLON = 0x3b;
const NUMBER_SIGN = 0x23;

/** The HTML character reference (HTML §13.5) at a place; undefined when there is none, or one that stands for no ASCII. */
export function entityAt(bytes: Uint8Array, at: number): Found | undefined {
  if (bytes[at + 1] !== NUMBER_SIGN) return named(bytes, at);
  const isHex = ((bytes[at + 2] ?? 0) | 32) === 0x78;
  return isHex ? numbered(bytes, at, at + 3, 16, 6) : numbered(bytes, at, at + 2, 10, 7);
}
