import { createHash, generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { addressBytes, bits, decimal, fields, octets, oid, pem, sequence, set, tlv, utcTime } from './ca-der.ts';

const HOUR = 3_600_000;

/** What `weir ca trust --only` makes. */
export interface ConstrainedCa {
  /** The root to install: vouches for the named hosts only, and its key is gone. */
  readonly rootPem: string;
  /** Weir's own CA, certified by that root under the same limits; sent along with every leaf. */
  readonly crossPem: string;
}

/**
 * A root that is limited to `hosts` (and the names below them) and vouches for Weir's CA. It needs only the public half of
 * that CA. Two certificates rather than one limited copy of Weir's CA with the same key and name, because
 * - RFC 5280 §6.1 asks nobody to look at the constraints of a trust anchor, and some (Java) do not; those of the certificate
 *   below it everybody must apply. The root's key is thrown away here, so there will be no other certificate below it;
 * - a program that knows Weir's unlimited CA too (the bundle of `weir env` holds both) would find two anchors of one name,
 *   and OpenSSL takes one of them without trying the other.
 * Throws Error when the CA is no root: its issuer has to limit it.
 */
export function constrainedCa(caPem: string, hosts: readonly string[], now: number = Date.now()): ConstrainedCa {
  const ca = new X509Certificate(caPem);
  if (!ca.checkIssued(ca)) throw new Error('this CA was issued by another one, which has to make the limited one');
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const root = publicHalf(publicKey.export({ type: 'spki', format: 'der' }));
  // The key's id in the name: two CAs of one name and different keys confuse path building in every library.
  const name = sequence(
    named('2.5.4.10', 'Weir'),
    named('2.5.4.3', `Weir limited CA ${root.id.toString('hex', 0, 4)}`),
  );
  const limits = extension('2.5.29.30', true, nameConstraints(hosts));
  const notAfter = Date.parse(ca.validTo);
  const certify = (subject: Buffer, key: PublicHalf, below: number): string => {
    const algorithm = sequence(oid('1.2.840.10045.4.3.2'));
    const body = sequence(
      tlv(0xa0, decimal(Buffer.from([2]))),
      decimal(serial()),
      algorithm,
      name,
      sequence(utcTime(now - HOUR), utcTime(notAfter)),
      subject,
      key.info,
      tlv(0xa3, sequence(...authorityExtensions(key.id, root.id, below), limits)),
    );
    return pem(sequence(body, algorithm, bits(sign('sha256', body, privateKey))));
  };
  const [, , , , , subject = Buffer.alloc(0)] = toBeSigned(ca.raw);
  const info = ca.publicKey.export({ type: 'spki', format: 'der' });
  const own: PublicHalf = { info, id: subjectKeyId(ca.raw) ?? publicHalf(info).id };
  return { rootPem: certify(name, root, 1), crossPem: certify(subject, own, 0) };
}

interface PublicHalf {
  readonly info: Buffer;
  readonly id: Buffer;
}

/** RFC 5280 §4.2.1.2 (1): the SHA-1 of the key's bits names it. */
function publicHalf(info: Buffer): PublicHalf {
  const [, key = Buffer.alloc(0)] = fields(info);
  // Behind tag, length and the count of unused bits.
  const content = key.subarray(key.length - contentLength(key) + 1);
  return { info, id: createHash('sha1').update(content).digest() };
}

function contentLength(element: Buffer): number {
  const first = element[1] ?? 0;
  return first < 0x80 ? first : element.readUIntBE(2, first & 0x7f);
}

/** Version, serial, algorithm, issuer, validity, subject, key … of a version 3 certificate (RFC 5280 §4.1). */
function toBeSigned(raw: Buffer): Buffer[] {
  const [body = Buffer.alloc(0)] = fields(raw);
  return fields(body);
}

/** The name the CA gives its key: its leaves repeat it, so the cross certificate must too. */
function subjectKeyId(raw: Buffer): Buffer | undefined {
  const id = oid('2.5.29.14');
  for (const block of toBeSigned(raw).filter((field) => field[0] === 0xa3)) {
    const [list = Buffer.alloc(0)] = fields(block);
    for (const item of fields(list)) {
      const parts = fields(item);
      if (parts[0]?.equals(id) !== true) continue;
      const wrapped = parts.at(-1) ?? Buffer.alloc(0);
      const inner = wrapped.subarray(wrapped.length - contentLength(wrapped));
      return inner.subarray(inner.length - contentLength(inner));
    }
  }
  return undefined;
}

/** Positive and minimal: the top bit is clear, the next one set. */
function serial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes;
}

const named = (type: string, text: string): Buffer => set(sequence(oid(type), tlv(0x0c, Buffer.from(text))));

function extension(type: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(type), ...(critical ? [tlv(0x01, Buffer.from([0xff]))] : []), octets(value));
}

/** X509_STRICT-clean, like Weir's CA; `below` is the number of CAs that may stand under it. */
function authorityExtensions(subject: Buffer, issuer: Buffer, below: number): Buffer[] {
  return [
    extension('2.5.29.19', true, sequence(tlv(0x01, Buffer.from([0xff])), decimal(Buffer.from([below])))),
    // keyCertSign, cRLSign.
    extension('2.5.29.15', true, bits(Buffer.from([0x06]), 1)),
    extension('2.5.29.14', false, octets(subject)),
    extension('2.5.29.35', false, sequence(tlv(0x80, issuer))),
  ];
}

/**
 * Permits the given names, and excludes every name of a kind that is not among them: a kind without a permitted subtree
 * is otherwise unconstrained (RFC 5280 §4.2.1.10).
 */
function nameConstraints(hosts: readonly string[]): Buffer {
  const kinds = new Set(hosts.map((host) => isIP(host)));
  const permitted = hosts.map((host) => {
    if (isIP(host) === 0) return sequence(tlv(0x82, Buffer.from(host, 'latin1')));
    const address = addressBytes(host);
    return sequence(tlv(0x87, Buffer.concat([address, Buffer.alloc(address.length, 0xff)])));
  });
  const excluded = [
    ...(kinds.has(0) ? [] : [sequence(tlv(0x82))]),
    ...(kinds.has(4) ? [] : [sequence(tlv(0x87, Buffer.alloc(8)))]),
    ...(kinds.has(6) ? [] : [sequence(tlv(0x87, Buffer.alloc(32)))]),
  ];
  return sequence(tlv(0xa0, ...permitted), ...(excluded.length === 0 ? [] : [tlv(0xa1, ...excluded)]));
}
