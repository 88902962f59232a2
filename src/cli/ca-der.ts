import { isIPv4 } from 'node:net';

/**
 * The little DER (X.690) that two certificates need. The interception CA's own writer is in another room, which holds
 * private keys; a command that certifies a public key has no business there.
 */
export function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const size: number[] = [];
  for (let n = body.length; n > 0; n >>= 8) size.unshift(n & 0xff);
  return Buffer.concat([Buffer.from([tag, 0x80 | size.length, ...size]), body]);
}

export const sequence = (...parts: readonly Buffer[]): Buffer => tlv(0x30, ...parts);
export const set = (...parts: readonly Buffer[]): Buffer => tlv(0x31, ...parts);
export const octets = (body: Buffer): Buffer => tlv(0x04, body);
/** A non-negative INTEGER from big-endian bytes that are already minimal. */
export const decimal = (body: Buffer): Buffer => tlv(0x02, body);
/** BIT STRING with `unused` unused bits in its last byte. */
export const bits = (body: Buffer, unused = 0): Buffer => tlv(0x03, Buffer.from([unused]), body);

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const group = [arc & 0x7f];
    for (let n = arc >> 7; n > 0; n >>= 7) group.unshift((n & 0x7f) | 0x80);
    bytes.push(...group);
  }
  return tlv(0x06, Buffer.from(bytes));
}

/** RFC 5280 §4.1.2.5: UTCTime until 2049, GeneralizedTime after; always UTC, no fractions. */
export function utcTime(at: number): Buffer {
  const text = new Date(at).toISOString().replace(/[-:T]|\.\d+/g, '');
  return Number(text.slice(0, 4)) < 2050 ? tlv(0x17, Buffer.from(text.slice(2))) : tlv(0x18, Buffer.from(text));
}

/** The elements inside a constructed one, each with its tag and length. Throws on lengths that lead outside. */
export function fields(element: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  const { start: first, end } = span(element, 0);
  for (let at = first; at < end; ) {
    const next = span(element, at).end;
    parts.push(element.subarray(at, next));
    at = next;
  }
  return parts;
}

function span(data: Buffer, at: number): { readonly start: number; readonly end: number } {
  const first = data[at + 1] ?? 0;
  const bytes = first < 0x80 ? 0 : first & 0x7f;
  const length = bytes === 0 ? first : data.readUIntBE(at + 2, bytes);
  const start = at + 2 + bytes;
  if (start + length > data.length) throw new Error('the certificate is not DER');
  return { start, end: start + length };
}

export function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** The 4 or 16 bytes of a canonical IP literal (no embedded IPv4). */
export function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text: string | undefined): string[] => (text ? text.split(':') : []);
  const [left, right] = [groups(head), groups(tail)];
  const zeros = Array<string>(8 - left.length - right.length).fill('0');
  const all = tail === undefined ? left : [...left, ...zeros, ...right];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}
