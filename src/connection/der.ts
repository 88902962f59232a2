import { isIPv4 } from 'node:net';
import type { asn1 as types } from 'node-forge';
import asn1 from 'node-forge/lib/asn1.js';

/** A DER node as forge's encoder holds it (contents are binary strings). */
export type Node = types.Asn1;

// `asn1.Type` and `asn1.Class` are plain objects at run time; the numbers are X.690's universal tags.
const UNIVERSAL = 0x00 as types.Class;
const CONTEXT = 0x80 as types.Class;

function node(type: number, constructed: boolean, value: string | Node[], tagClass = UNIVERSAL): Node {
  return asn1.create(tagClass, type as types.Type, constructed, value);
}

export const sequence = (...items: Node[]): Node => node(0x10, true, items);
export const set = (...items: Node[]): Node => node(0x11, true, items);
export const oid = (dotted: string): Node => node(0x06, false, asn1.oidToDer(dotted).getBytes());
export const nil = (): Node => node(0x05, false, '');
export const bool = (value: boolean): Node => node(0x01, false, value ? '\xff' : '\x00');
/** A non-negative INTEGER from big-endian bytes that are already minimal. */
export const integer = (bytes: Buffer): Node => node(0x02, false, bytes.toString('latin1'));
export const utf8 = (text: string): Node => node(0x0c, false, Buffer.from(text, 'utf8').toString('latin1'));
export const octets = (bytes: Buffer): Node => node(0x04, false, bytes.toString('latin1'));
/** BIT STRING with `unused` unused bits in its last byte. */
export const bits = (bytes: Buffer, unused = 0): Node =>
  node(0x03, false, String.fromCharCode(unused) + bytes.toString('latin1'));
/** Context-specific [tag], primitive (implicit). */
export const tagged = (tag: number, bytes: Buffer): Node => node(tag, false, bytes.toString('latin1'), CONTEXT);
/** Context-specific [tag], constructed (explicit, or an implicit SEQUENCE). */
export const wrapped = (tag: number, ...items: Node[]): Node => node(tag, true, items, CONTEXT);

/** RFC 5280 §4.1.2.5: UTCTime until 2049, GeneralizedTime after; always UTC, no fractions. */
export function time(date: Date): Node {
  const digits = date.toISOString().replace(/[-:T]|\.\d+/g, '');
  return date.getUTCFullYear() < 2050 ? node(0x17, false, digits.slice(2)) : node(0x18, false, digits);
}

export function encode(tree: Node): Buffer {
  return Buffer.from(asn1.toDer(tree).getBytes(), 'latin1');
}

/** Throws on anything that is not DER. */
export function decode(der: Buffer): Node {
  return asn1.fromDer(der.toString('latin1'));
}

/** Children of a constructed node; throws when it is primitive. */
export function children(parent: Node | undefined): Node[] {
  if (parent === undefined || !Array.isArray(parent.value)) throw new Error('unexpected ASN.1 shape');
  return parent.value;
}

export function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** The 4 or 16 bytes of a canonical IP literal. */
export function ipBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const embedded = address.lastIndexOf('.') === -1 ? undefined : address.slice(address.lastIndexOf(':') + 1);
  const text =
    embedded === undefined
      ? address
      : address.slice(0, -embedded.length) +
        ipBytes(embedded)
          .toString('hex')
          .replace(/^(.{4})/, '$1:');
  const [head = '', tail] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = tail === undefined ? left : [...left, ...Array(8 - left.length - right.length).fill('0'), ...right];
  const bytes = Buffer.alloc(16);
  groups.forEach((group, index) => {
    bytes.writeUInt16BE(Number.parseInt(group as string, 16), index * 2);
  });
  return bytes;
}
