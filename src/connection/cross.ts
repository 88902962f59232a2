import { createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Signer } from './certificate.ts';
import { children, decode, encode, ipBytes, type Node, oid } from './der.ts';

/** The file is looked at this often at most (ms): `weir ca trust` must work without a restart, a handshake must not wait. */
const LOOK_EVERY_MS = 1000;
/** Larger files are no certificate. */
const MAX_BYTES = 65_536;

/** The certificate by which a limited root (`weir ca trust --only`) vouches for our CA. */
export interface Cross {
  readonly pem: string;
  /**
   * Whether it vouches for this host. Where it does not it must not be sent: a client that knows our CA as well may take the
   * way over it all the same and fail (measured: GnuTLS 3.7).
   */
  permits(host: string): boolean;
}

/**
 * Reads `public/ca-cross.pem` when it is there, so that a client that knows only the limited root finds the way. Only one of
 * the present key counts: after a rotation the old one, and under an ephemeral CA the kept one's, would lead nowhere. Gives
 * the same object until something changes.
 */
export function createCross(dir: string | undefined, signer: () => Signer, now: () => number): () => Cross | undefined {
  if (dir === undefined) return () => undefined;
  const file = `${dir}/public/ca-cross.pem`;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let stamp = '';
  let found: Cross | undefined;
  let ofSigner: Signer | undefined;
  return () => {
    const at = now();
    const current = signer();
    if (current === ofSigner && Math.abs(at - lookedAt) < LOOK_EVERY_MS) return found;
    lookedAt = at;
    const stat = statSync(file, { throwIfNoEntry: false });
    const fresh = stat?.isFile() && stat.size <= MAX_BYTES ? `${stat.mtimeMs} ${stat.size} ${stat.ino}` : '';
    if (fresh === stamp && current === ofSigner) return found;
    stamp = fresh;
    ofSigner = current;
    found = fresh === '' ? undefined : readCross(file, current, at);
    return found;
  };
}

function readCross(file: string, { key }: Signer, now: number): Cross | undefined {
  try {
    const certificate = new X509Certificate(readFileSync(file));
    if (!createPublicKey(key).equals(certificate.publicKey) || !certificate.ca) return undefined;
    if (Date.parse(certificate.validTo) <= now) return undefined;
    return { pem: certificate.toString(), permits: permitsOf(certificate.raw) };
  } catch {
    // Half a file or none of ours: leaves then go without it.
    return undefined;
  }
}

/** The permitted subtrees of the name constraints (RFC 5280 §4.2.1.10): names with those below them, and single addresses. */
function permitsOf(raw: Buffer): Cross['permits'] {
  const wanted = encode(oid('2.5.29.30'));
  const blocks = children(children(decode(raw))[0]).filter(
    ({ tagClass, type }) => tagClass === 0x80 && Number(type) === 3,
  );
  const extensions = blocks.flatMap((block) => children(children(block)[0])).map((item) => children(item));
  const content = extensions.find(([id]) => encode(id as Node).equals(wanted))?.at(-1);
  if (content === undefined) return () => false;
  const [permitted] = children(decode(inside(content)));
  const bases = children(permitted).map((subtree) => children(subtree)[0] as Node);
  const valuesOf = (tag: number): Buffer[] => bases.filter(({ type }) => Number(type) === tag).map(inside);
  const names = valuesOf(2).map((name) => name.toString('latin1'));
  const addresses = valuesOf(7);
  return (host) => {
    if (isIP(host) === 0) return names.some((name) => host === name || host.endsWith(`.${name}`));
    const bytes = ipBytes(host);
    return addresses.some(
      (address) => address.subarray(0, bytes.length).equals(bytes) && address.length === 2 * bytes.length,
    );
  };
}

/** The content octets of a primitive node. */
function inside(node: Node): Buffer {
  const der = encode(node);
  const first = der[1] as number;
  return der.subarray(first < 0x80 ? 2 : 2 + (first & 0x7f));
}
