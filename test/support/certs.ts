import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

/** Key and certificate (PEM) of one leaf; `cert` is the leaf alone. */
export interface Leaf {
  readonly key: string;
  readonly cert: string;
}

/** A throw-away certificate authority for tests: EC P-256, written with its own DER so that it shares nothing with the product. */
export interface Authority {
  readonly cert: string;
  /** A server leaf for these names (DNS or IP); `days` < 0 makes an expired one. */
  issue(names: readonly string[], days?: number): Leaf;
}

const DAY = 86_400_000;
const OID = {
  commonName: '2.5.4.3',
  ecdsaSha256: '1.2.840.10045.4.3.2',
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyId: '2.5.29.35',
  extKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
};

function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 128) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const size: number[] = [];
  for (let n = body.length; n > 0; n >>= 8) size.unshift(n & 0xff);
  return Buffer.concat([Buffer.from([tag, 0x80 | size.length, ...size]), body]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => tlv(0x30, ...parts);
const octets = (body: Buffer): Buffer => tlv(0x04, body);
const bits = (body: Buffer, unused = 0): Buffer => tlv(0x03, Buffer.from([unused]), body);

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const value of rest) {
    const group = [value & 0x7f];
    for (let n = value >> 7; n > 0; n >>= 7) group.unshift((n & 0x7f) | 0x80);
    bytes.push(...group);
  }
  return tlv(0x06, Buffer.from(bytes));
}

function time(at: number): Buffer {
  return tlv(0x18, Buffer.from(`${new Date(at).toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`));
}

const name = (common: string): Buffer =>
  sequence(tlv(0x31, sequence(oid(OID.commonName), tlv(0x0c, Buffer.from(common)))));

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [tlv(0x01, Buffer.from([0xff]))] : []), octets(value));
}

function ipBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === '' ? [] : tail.split(':');
  const groups = [...left, ...new Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Buffer.from(groups.flatMap((g) => [Number.parseInt(g, 16) >> 8, Number.parseInt(g, 16) & 0xff]));
}

const altName = (host: string): Buffer => (isIP(host) === 0 ? tlv(0x82, Buffer.from(host)) : tlv(0x87, ipBytes(host)));

const keyId = (spki: Buffer): Buffer => createHash('sha1').update(spki).digest();

interface Parties {
  readonly subject: string;
  readonly spki: Buffer;
  readonly issuer: string;
  readonly issuerSpki: Buffer;
  readonly issuerKey: KeyObject;
}

function certificate(parties: Parties, notAfter: number, extensions: readonly Buffer[]): string {
  const algorithm = sequence(oid(OID.ecdsaSha256));
  const serial = Buffer.concat([Buffer.from([0x01]), randomBytes(15)]);
  const tbs = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, serial),
    algorithm,
    name(parties.issuer),
    sequence(time(Math.min(Date.now(), notAfter) - 30 * DAY), time(notAfter)),
    name(parties.subject),
    parties.spki,
    tlv(
      0xa3,
      sequence(
        ...extensions,
        extension(OID.subjectKeyId, false, octets(keyId(parties.spki))),
        extension(OID.authorityKeyId, false, sequence(tlv(0x80, keyId(parties.issuerSpki)))),
      ),
    ),
  );
  const der = sequence(tbs, algorithm, bits(sign('sha256', tbs, parties.issuerKey)));
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** A fresh authority (a few milliseconds). */
export function createAuthority(common = 'Weir test authority'): Authority {
  const ca = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const caSpki = ca.publicKey.export({ type: 'spki', format: 'der' });
  const issuer = { issuer: common, issuerSpki: caSpki, issuerKey: ca.privateKey };
  const cert = certificate({ ...issuer, subject: common, spki: caSpki }, Date.now() + 30 * DAY, [
    extension(OID.basicConstraints, true, sequence(tlv(0x01, Buffer.from([0xff])))),
    extension(OID.keyUsage, true, bits(Buffer.from([0x06]), 1)),
  ]);
  const issue = (names: readonly string[], days = 30): Leaf => {
    const leaf = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const spki = leaf.publicKey.export({ type: 'spki', format: 'der' });
    const subject = names[0] ?? 'localhost';
    const text = certificate({ ...issuer, subject, spki }, Date.now() + days * DAY, [
      extension(OID.basicConstraints, true, sequence()),
      extension(OID.keyUsage, true, bits(Buffer.from([0x80]), 7)),
      extension(OID.extKeyUsage, false, sequence(oid(OID.serverAuth), oid(OID.clientAuth))),
      extension(OID.subjectAltName, false, sequence(...names.map(altName))),
    ]);
    return { key: leaf.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), cert: text };
  };
  return { cert, issue };
}
