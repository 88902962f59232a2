/** What JA4 reads of a ClientHello. Lists are as sent, GREASE included. */
export interface HelloFields {
  legacyVersion: number;
  ciphers: number[];
  extensions: number[];
  /** supported_versions. */
  versions: number[];
  /** signature_algorithms. */
  signatures: number[];
  /** latin1. */
  alpn: string[];
  sni: string | undefined;
  hasSni: boolean;
  ech: boolean;
}

const NONE = '000000000000';

const VERSIONS = new Map([
  [0x0304, '13'],
  [0x0303, '12'],
  [0x0302, '11'],
  [0x0301, '10'],
  [0x0300, 's3'],
  [0x0002, 's2'],
]);

/**
 * JA4 of a TLS ClientHello over TCP, after FoxIO's technical details (github.com/FoxIO-LLC/ja4,
 * technical_details/JA4.md): `a` = transport, version, SNI, counts, ALPN; `b` = sorted ciphers; `c` = sorted extensions
 * without SNI and ALPN, then the signature algorithms in the order sent. GREASE (RFC 8701) is ignored everywhere.
 */
export function ja4(hello: HelloFields, sha256: (text: string) => string): string {
  const ciphers = hello.ciphers.filter(real);
  const extensions = hello.extensions.filter(real);
  const a = `t${version(hello)}${hello.hasSni ? 'd' : 'i'}${count(ciphers)}${count(extensions)}${alpnMark(hello.alpn[0])}`;
  const b = ciphers.length === 0 ? NONE : sha256(ciphers.map(hex4).sort().join(',')).slice(0, 12);
  return `${a}_${b}_${extensionHash(extensions, hello.signatures.filter(real), sha256)}`;
}

function extensionHash(extensions: number[], signatures: number[], sha256: (text: string) => string): string {
  if (extensions.length === 0) return NONE;
  const listed = extensions
    .filter((type) => type !== 0x0000 && type !== 0x0010)
    .map(hex4)
    .sort()
    .join(',');
  const text = signatures.length === 0 ? listed : `${listed}_${signatures.map(hex4).join(',')}`;
  return sha256(text).slice(0, 12);
}

/** GREASE values are 0x?A?A with equal bytes (RFC 8701 §2). */
function real(value: number): boolean {
  return (value & 0x0f0f) !== 0x0a0a || value >> 8 !== (value & 0xff);
}

function version(hello: HelloFields): string {
  const offered = hello.versions.filter(real);
  return VERSIONS.get(offered.length === 0 ? hello.legacyVersion : Math.max(...offered)) ?? '00';
}

function count(list: readonly number[]): string {
  return String(Math.min(list.length, 99)).padStart(2, '0');
}

function hex4(value: number): string {
  return value.toString(16).padStart(4, '0');
}

/** First and last character of the first ALPN name; of its hex when either is not alphanumeric; `00` without one. */
function alpnMark(name: string | undefined): string {
  if (name === undefined || name.length === 0) return '00';
  const first = name.charCodeAt(0);
  const last = name.charCodeAt(name.length - 1);
  if (alphanumeric(first) && alphanumeric(last)) return String.fromCharCode(first, last);
  return `${hex2(first)[0]}${hex2(last)[1]}`;
}

function hex2(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function alphanumeric(code: number): boolean {
  return (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
}
