import { randomBytes } from 'node:crypto';

const number = (value: number, size: number): Buffer => {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntBE(value, 0, size);
  return bytes;
};
const vector = (size: number, ...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts);
  return Buffer.concat([number(body.length, size), body]);
};
const extension = (type: number, ...parts: readonly Buffer[]): Buffer =>
  Buffer.concat([number(type, 2), vector(2, ...parts)]);

export interface HelloParts {
  readonly sni?: string;
  readonly alpn?: readonly string[];
  /** Adds an outer `encrypted_client_hello` extension (draft-ietf-tls-esni, type 0xfe0d) with a made-up payload. */
  readonly ech?: boolean;
}

/** A TLS 1.3 ClientHello in one record (RFC 8446 §4.1.2), written by hand because no client at hand sends ECH. */
export function clientHello({ sni, alpn = ['h2', 'http/1.1'], ech = false }: HelloParts): Buffer {
  const extensions = [
    ...(sni === undefined
      ? []
      : [extension(0x0000, vector(2, Buffer.from([0]), vector(2, Buffer.from(sni, 'latin1'))))]),
    extension(0x000a, vector(2, number(0x001d, 2))),
    extension(0x000d, vector(2, number(0x0403, 2), number(0x0804, 2))),
    extension(0x0010, vector(2, ...alpn.map((name) => vector(1, Buffer.from(name, 'latin1'))))),
    extension(0x002b, vector(1, number(0x0304, 2))),
    extension(0x0033, vector(2, number(0x001d, 2), vector(2, randomBytes(32)))),
  ];
  if (ech) {
    // ECHClientHello outer: type 0, HKDF-SHA256 with AES-128-GCM, config id, enc, payload.
    const payload = [
      number(0, 1),
      number(1, 2),
      number(1, 2),
      number(7, 1),
      vector(2, randomBytes(32)),
      vector(2, randomBytes(144)),
    ];
    extensions.push(extension(0xfe0d, ...payload));
  }
  const body = [
    number(0x0303, 2),
    randomBytes(32),
    vector(1, randomBytes(32)),
    vector(2, number(0x1301, 2), number(0x1303, 2)),
    vector(1, Buffer.from([0])),
    vector(2, ...extensions),
  ];
  const message = Buffer.concat([Buffer.from([1]), vector(3, ...body)]);
  return Buffer.concat([Buffer.from([22, 3, 1]), vector(2, message)]);
}
