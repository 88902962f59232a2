import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto';
import { isIP } from 'node:net';
import {
  bits,
  bool,
  children,
  decode,
  encode,
  integer,
  ipBytes,
  type Node,
  nil,
  octets,
  oid,
  pem,
  sequence,
  set,
  tagged,
  time,
  utf8,
  wrapped,
} from './der.ts';

const DAY = 86_400_000;
const HOUR = 3_600_000;
/** product.md §4: the CA lives one year, a leaf seven days; clocks behind ours by up to an hour still accept both. */
const CA_LIFE = 365 * DAY;
const LEAF_LIFE = 7 * DAY;
const BACK_DATE = HOUR;
/** upper bound of a commonName (RFC 5280 A.1, ub-common-name). */
const MAX_CN = 64;

/** A certificate authority ready to sign. */
export interface Signer {
  readonly certPem: string;
  readonly key: KeyObject;
  /** DER of the certificate's subject: a leaf's issuer must be the same bytes. */
  readonly subject: Node;
  readonly keyId: Buffer;
  readonly notAfter: number;
  /** The certificate is a root; otherwise it is sent along with every leaf. */
  readonly selfSigned: boolean;
}

export interface NewCa {
  readonly certPem: string;
  readonly keyPem: string;
}

/** A fresh EC P-256 key pair (0.02 ms). */
export function newKey(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
}

/** Makes a new authority. */
export function createCa(options: { now?: number } = {}): NewCa {
  const now = options.now ?? Date.now();
  const key = newKey();
  const { info, keyId } = publicInfo(key);
  const name = distinguished([
    ['2.5.4.10', 'Weir'],
    // The key's id in the name: two CAs of the same name and different keys confuse path building in every library.
    ['2.5.4.3', `Weir local CA ${keyId.toString('hex').slice(0, 8)}`],
  ]);
  const certPem = certified(key, {
    issuer: name,
    subject: name,
    notBefore: now - BACK_DATE,
    notAfter: now + CA_LIFE,
    info,
    extensions: authorityExtensions(keyId, keyId, 0),
  });
  return { certPem, keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** X509_STRICT-clean; `below` is the number of CAs that may stand under it. */
export function authorityExtensions(subject: Buffer, issuer: Buffer, below: number): Node[] {
  return [
    extension('2.5.29.19', true, sequence(bool(true), integer(Buffer.from([below])))),
    // keyCertSign, cRLSign.
    extension('2.5.29.15', true, bits(Buffer.from([0x06]), 1)),
    extension('2.5.29.14', false, octets(subject)),
    extension('2.5.29.35', false, sequence(tagged(0, issuer))),
  ];
}

/**
 * Reads an authority from PEM (EC or RSA key). Throws an Error that says what is wrong with it; `what` names the files.
 * Only the first certificate of `certPem` signs; the rest (an intermediate's chain) is sent along.
 */
export function readSigner(certPem: string, keyPem: string, what: string, now: number = Date.now()): Signer {
  let certificate: X509Certificate;
  let key: KeyObject;
  try {
    certificate = new X509Certificate(certPem);
  } catch {
    throw new Error(`${what}: the certificate is not PEM of an X.509 certificate`);
  }
  try {
    key = createPrivateKey(keyPem);
  } catch {
    throw new Error(`${what}: the key is not PEM of an unencrypted private key`);
  }
  if (key.asymmetricKeyType !== 'ec' && key.asymmetricKeyType !== 'rsa') {
    throw new Error(`${what}: the key is ${key.asymmetricKeyType}; an EC or RSA key is needed`);
  }
  if (!certificate.checkPrivateKey(key)) throw new Error(`${what}: the key does not belong to the certificate`);
  if (!certificate.ca) throw new Error(`${what}: the certificate is not a CA certificate (basicConstraints CA:TRUE)`);
  const notAfter = Date.parse(certificate.validTo);
  if (notAfter <= now) throw new Error(`${what}: the certificate expired on ${certificate.validTo}`);
  if (Date.parse(certificate.validFrom) > now + BACK_DATE) {
    throw new Error(`${what}: the certificate is not valid before ${certificate.validFrom}`);
  }
  const { subject, keyId } = holderOf(certificate);
  return { certPem, key, subject, keyId, notAfter, selfSigned: certificate.checkIssued(certificate) };
}

/** Whom a certificate names, and by which id its key goes: what certificates below it, or of the same holder, must repeat. */
export function holderOf({ raw, publicKey }: X509Certificate): PublicInfo & Pick<Signer, 'subject'> {
  const fields = children(children(decode(raw))[0]);
  // TBSCertificate: [0] version, serial, algorithm, issuer, validity, subject, … (version 1 has no [0]).
  const offset = fields[0]?.tagClass === 0x80 ? 1 : 0;
  const { info, keyId } = publicInfo(publicKey);
  return { subject: fields[offset + 4] as Node, info, keyId: subjectKeyId(fields) ?? keyId };
}

/**
 * A leaf for exactly this name (DNS name or canonical IP literal), never a wildcard, for the given key. X509_STRICT-clean:
 * SKI, AKI, critical basicConstraints and keyUsage, serverAuth, positive serial ≤ 20 octets.
 */
export function createLeaf(signer: Signer, host: string, key: KeyObject, now: number = Date.now()): string {
  const { info, keyId } = publicInfo(key);
  const ip = isIP(host) !== 0;
  const alternative = ip ? tagged(7, ipBytes(host)) : tagged(2, Buffer.from(host, 'latin1'));
  return certified(signer.key, {
    issuer: signer.subject,
    subject: subjectOf(host, ip),
    notBefore: now - BACK_DATE,
    notAfter: Math.min(now + LEAF_LIFE, signer.notAfter),
    info,
    extensions: [
      extension('2.5.29.19', true, sequence()),
      extension('2.5.29.15', true, bits(Buffer.from([0x80]), 7)),
      extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'))),
      extension('2.5.29.14', false, octets(keyId)),
      extension('2.5.29.35', false, sequence(tagged(0, signer.keyId))),
      // RFC 5280 §4.2.1.6: with an empty subject the SAN must be critical.
      extension('2.5.29.17', !ip && host.length > MAX_CN, sequence(alternative)),
    ],
  });
}

/** An address is no commonName: verifiers read it as a DNS name and hold it against the CA's name constraints. */
function subjectOf(host: string, ip: boolean): Node {
  if (ip) return distinguished([['2.5.4.10', 'Weir']]);
  return host.length <= MAX_CN ? distinguished([['2.5.4.3', host]]) : sequence();
}

/** What a certificate says, but for version, serial and algorithm. */
interface Body {
  readonly issuer: Node;
  readonly subject: Node;
  /** Epoch ms. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly info: Node;
  readonly extensions: Node[];
}

/** A certificate, version 3 (RFC 5280 §4.1), signed with `key`; PEM. */
export function certified(key: KeyObject, body: Body): string {
  const algorithm = algorithmOf(key);
  const content = tbs(algorithm, body);
  const signature = sign('sha256', encode(content), key);
  return pem('CERTIFICATE', encode(sequence(content, algorithm, bits(signature))));
}

function tbs(algorithm: Node, body: Body): Node {
  const serial = randomBytes(16);
  // Positive and minimal: the top bit is clear, the next one set.
  serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
  return sequence(
    wrapped(0, integer(Buffer.from([2]))),
    integer(serial),
    algorithm,
    body.issuer,
    sequence(time(new Date(body.notBefore)), time(new Date(body.notAfter))),
    body.subject,
    body.info,
    wrapped(3, sequence(...body.extensions)),
  );
}

/** ecdsa-with-SHA256 has no parameters (RFC 5758 §3.2), sha256WithRSAEncryption has NULL (RFC 4055 §5). */
function algorithmOf(key: KeyObject): Node {
  return key.asymmetricKeyType === 'rsa'
    ? sequence(oid('1.2.840.113549.1.1.11'), nil())
    : sequence(oid('1.2.840.10045.4.3.2'));
}

interface PublicInfo {
  readonly info: Node;
  readonly keyId: Buffer;
}

/** One key serves every leaf: its SubjectPublicKeyInfo is read once. */
const infos: WeakMap<KeyObject, PublicInfo> = new WeakMap();

/** SubjectPublicKeyInfo of a private or public key, and the key's id. */
export function publicInfo(key: KeyObject): PublicInfo {
  const known = infos.get(key);
  if (known !== undefined) return known;
  const made = readPublicInfo(key);
  infos.set(key, made);
  return made;
}

function readPublicInfo(key: KeyObject): PublicInfo {
  const info = decode((key.type === 'public' ? key : createPublicKey(key)).export({ type: 'spki', format: 'der' }));
  const bitString = encode(children(info)[1] as Node);
  // RFC 5280 §4.2.1.2 (1): SHA-1 of the BIT STRING's value without tag, length and unused-bits byte.
  const headerLength = (bitString[1] as number) < 0x80 ? 3 : 3 + ((bitString[1] as number) & 0x7f);
  return { info, keyId: createHash('sha1').update(bitString.subarray(headerLength)).digest() };
}

/** A Name of single-valued UTF8String attributes. */
export function distinguished(names: readonly (readonly [string, string])[]): Node {
  return sequence(...names.map(([type, value]) => set(sequence(oid(type), utf8(value)))));
}

export function extension(id: string, critical: boolean, value: Node): Node {
  const content = octets(encode(value));
  return critical ? sequence(oid(id), bool(true), content) : sequence(oid(id), content);
}

/** SubjectKeyIdentifier of a TBSCertificate's fields, if it has one. */
function subjectKeyId(fields: readonly Node[]): Buffer | undefined {
  const block = fields.find((field) => field.tagClass === 0x80 && field.type === (3 as Node['type']));
  if (block === undefined) return undefined;
  const wanted = encode(oid('2.5.29.14'));
  for (const item of children(children(block)[0])) {
    const parts = children(item);
    if (!encode(parts[0] as Node).equals(wanted)) continue;
    const content = parts.at(-1);
    // fromDer decodes what looks like DER inside an OCTET STRING; encode() gives the bytes back either way.
    const der = content === undefined ? Buffer.alloc(0) : encode(content);
    return der.subarray(4);
  }
  return undefined;
}
