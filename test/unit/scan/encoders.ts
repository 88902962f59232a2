import { bytes } from './library.ts';

function base32(text: string): string {
  const bits = [...bytes(text)].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{1,5}/g) ?? [])
    .map((five) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(five.padEnd(5, '0'), 2)])
    .join('');
}
const each = (text: string, form: (byte: string) => string, joint = ''): string =>
  [...bytes(text)].map((byte) => form(byte.toString(16).padStart(2, '0'))).join(joint);

export function escapes(text: string): string {
  return text.replace(/[\s\S]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A text as it may be hidden, by the name of the trick. */
export const ENCODERS: Record<string, (text: string) => string> = {
  base64: (text) => Buffer.from(text).toString('base64'),
  base64url: (text) => Buffer.from(text).toString('base64url'),
  'base64 one byte on': (text) => Buffer.from(`{${text}`).toString('base64'),
  'base64 two bytes on': (text) => Buffer.from(`{"${text}`).toString('base64'),
  'base64 in lines': (text) =>
    (
      Buffer.from(`${'.'.repeat(40)} ${text}`)
        .toString('base64')
        .match(/.{1,64}/g) ?? []
    ).join('\r\n'),
  hex: (text) => each(text, (byte) => byte),
  HEX: (text) => each(text, (byte) => byte.toUpperCase()),
  '0x': (text) => `0x${each(text, (byte) => byte)}`,
  'hex with colons': (text) => each(text, (byte) => byte, ':'),
  'hex with spaces': (text) => each(text, (byte) => byte, ' '),
  'hex as bytes of a program': (text) => each(text, (byte) => `0x${byte}`, ', '),
  '\\x': (text) => each(text, (byte) => `\\x${byte}`),
  percent: (text) => each(text, (byte) => `%${byte.toUpperCase()}`),
  'percent twice': (text) => encodeURIComponent(each(text, (byte) => `%${byte}`)),
  '\\u': escapes,
  'JSON in JSON': (text) => JSON.stringify(JSON.stringify({ a: escapes(text) })),
  'decimal entities': (text) => [...text].map((letter) => `&#${letter.codePointAt(0)};`).join(''),
  'hexadecimal entities': (text) => [...text].map((letter) => `&#x${letter.codePointAt(0)?.toString(16)};`).join(''),
  base32,
  'zero-width': (text) => [...text].join('\u200b'),
  'soft hyphens and joiners': (text) => [...text].join('\u00ad\u2060'),
  'direction marks': (text) => `\u202e${[...text].join('\u2066')}\u202c`,
  'full width': (text) => text.replace(/[!-~]/g, (letter) => String.fromCodePoint(letter.charCodeAt(0) + 0xfee0)),
  tags: (text) => [...text].map((letter) => String.fromCodePoint(letter.charCodeAt(0) + 0xe0000)).join(''),
};

/** MIME lines (RFC 2045 §6.8). */
export function lines(text: string): string {
  return (text.match(/.{1,76}/g) ?? []).join('\r\n');
}

/** RFC 2045 §6.7: `=XX` for what is not plain, soft line breaks after 75 characters. */
export function quotedPrintable(text: string): string {
  const units = [...Buffer.from(text)].map((byte) => {
    const plain = byte >= 32 && byte < 127 && byte !== 61;
    return plain ? String.fromCharCode(byte) : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  });
  let line = '';
  let out = '';
  for (const unit of units) {
    if (line.length + unit.length > 75) {
      out += `${line}=\r\n`;
      line = '';
    }
    line += unit;
  }
  return out + line;
}
