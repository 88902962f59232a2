/** Byte classes of HTTP/1 (RFC 9110 §5.6.2, RFC 9112 §2.2) as 256-entry tables: one load per byte, no regular expressions. */

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SP = 0x20;
export const COLON = 0x3a;

function table(accepts: (byte: number) => boolean): Uint8Array {
  const bytes = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) bytes[byte] = accepts(byte) ? 1 : 0;
  return bytes;
}

const TOKEN_SYMBOLS = "!#$%&'*+-.^_`|~";

function isAlphanumeric(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}

/** `tchar`, the bytes of a method or a field name. */
export const TOKEN = table((byte) => isAlphanumeric(byte) || TOKEN_SYMBOLS.includes(String.fromCharCode(byte)));

/** Bytes of a request target: anything visible, and obs-text because servers and clients exchange raw UTF-8 paths. */
export const TARGET = table((byte) => byte > SP && byte !== 0x7f);

/** Field value bytes of a request: HTAB, SP, VCHAR, obs-text. */
export const VALUE = table((byte) => byte === HTAB || (byte >= SP && byte !== 0x7f));

/** What a response may carry in values and reason phrases: all but the bytes that could end a line for some reader. */
export const LOOSE_VALUE = table((byte) => byte !== 0 && byte !== LF && byte !== CR);

/** Value of a hexadecimal digit, 255 when it is none. */
export const HEX = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  if (byte >= 0x41 && byte <= 0x46) return byte - 0x37;
  if (byte >= 0x61 && byte <= 0x66) return byte - 0x57;
  return 255;
});
