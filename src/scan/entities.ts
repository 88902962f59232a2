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
const ENTITY = /^&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([A-Za-z]{2,8}));?/;

function isLetter(byte: number | undefined): boolean {
  return byte !== undefined && (byte | 32) >= 97 && (byte | 32) <= 122;
}

/** Most ampersands stand between parameters. */
function mayBegin(bytes: Uint8Array, at: number): boolean {
  if (bytes[at + 1] === 0x23) return true;
  let letters = 0;
  while (letters < 8 && isLetter(bytes[at + 1 + letters])) letters++;
  return letters >= 2 && bytes[at + 1 + letters] === 0x3b;
}

/** The HTML character reference (HTML §13.5) at a place; undefined when there is none, or one that stands for no ASCII. */
export function entityAt(
  bytes: Uint8Array,
  at: number,
): { readonly length: number; readonly codePoint: number } | undefined {
  if (!mayBegin(bytes, at)) return undefined;
  const found = ENTITY.exec(String.fromCharCode(...bytes.subarray(at, at + 12)));
  if (!found) return undefined;
  const [all, decimal, hex, name] = found;
  let codePoint = ENTITIES.get((name ?? '').toLowerCase());
  if (decimal) codePoint = Number(decimal);
  if (hex) codePoint = Number.parseInt(hex, 16);
  if (codePoint === undefined || codePoint > 0x10ffff || (name && !all.endsWith(';'))) return undefined;
  return { length: all.length, codePoint };
}
