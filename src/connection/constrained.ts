import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  authorityExtensions,
  certified,
  distinguished,
  extension,
  holderOf,
  newKey,
  publicInfo,
} from './certificate.ts';
import { ipBytes, type Node, sequence, tagged, wrapped } from './der.ts';

const HOUR = 3_600_000;

/** What `weir ca trust --only` makes. */
export interface ConstrainedCa {
  /** The root to install: vouches for the named hosts only, and its key is gone. */
  readonly rootPem: string;
  /** Weir's own CA, certified by that root under the same limits; sent along with every leaf (`cross.ts`). */
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
  const key = newKey();
  const root = publicInfo(key);
  // The key's id in the name: two CAs of one name and different keys confuse path building in every library.
  const name = distinguished([
    ['2.5.4.10', 'Weir'],
    ['2.5.4.3', `Weir limited CA ${root.keyId.toString('hex', 0, 4)}`],
  ]);
  const limits = extension('2.5.29.30', true, nameConstraints(hosts));
  const certify = (holder: ReturnType<typeof holderOf>, below: number): string =>
    certified(key, {
      issuer: name,
      subject: holder.subject,
      notBefore: now - HOUR,
      notAfter: Date.parse(ca.validTo),
      info: holder.info,
      extensions: [...authorityExtensions(holder.keyId, root.keyId, below), limits],
    });
  return { rootPem: certify({ subject: name, ...root }, 1), crossPem: certify(holderOf(ca), 0) };
}

/**
 * Permits the given names, and excludes every name of a kind that is not among them: a kind without a permitted subtree
 * is otherwise unconstrained (RFC 5280 §4.2.1.10).
 */
function nameConstraints(hosts: readonly string[]): Node {
  const kinds = new Set(hosts.map((host) => isIP(host)));
  const permitted = hosts.map((host) => {
    if (isIP(host) === 0) return sequence(tagged(2, Buffer.from(host, 'latin1')));
    const address = ipBytes(host);
    return sequence(tagged(7, Buffer.concat([address, Buffer.alloc(address.length, 0xff)])));
  });
  const excluded = [
    ...(kinds.has(0) ? [] : [sequence(tagged(2, Buffer.alloc(0)))]),
    ...(kinds.has(4) ? [] : [sequence(tagged(7, Buffer.alloc(8)))]),
    ...(kinds.has(6) ? [] : [sequence(tagged(7, Buffer.alloc(32)))]),
  ];
  return sequence(wrapped(0, ...permitted), ...(excluded.length === 0 ? [] : [wrapped(1, ...excluded)]));
}
