import { createHash, X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { getCACertificates, rootCertificates } from 'node:tls';
import { BUNDLE_VARIABLES } from './env.ts';

/** A bundle of everybody's roots is 250 KiB; a variable that names something larger is a mistake. */
const MAX_FILE = 4 * 1024 * 1024;
/** Files of a run nobody has touched for this long belong to nobody; the living are touched every hour. */
const LEFT_BEHIND_MS = 7 * 86_400_000;
const TOUCH_MS = 3_600_000;
const OF_A_RUN = /^run-[0-9A-Z]{26}\.(pem|jks)$/;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** The files that make the command trust this run's CA. */
export interface TrustFiles {
  readonly bundle: string;
  /** For Java; undefined without `--java`. */
  readonly store?: string;
  /** Idempotent. */
  remove(): void;
}

/** Certificates the command would have trusted besides the system's: those in the CA files its variables name. */
export function inheritedRoots(env: NodeJS.ProcessEnv): string[] {
  const files = new Set(BUNDLE_VARIABLES.map((name) => env[name]).filter((file) => file !== undefined && file !== ''));
  const system = new Set(systemRoots());
  const found = [...files].flatMap((file) => certificatesIn(file as string));
  return [...new Set(found)].filter((pem) => !system.has(pem));
}

/** Writes `public/run-<id>.pem` (0644: a container user must be able to read it) and, for Java, a trust store beside it. */
export function writeTrust(
  stateDir: string,
  id: string,
  certificates: { readonly ca: string; readonly roots: readonly string[] },
  java: boolean,
): TrustFiles {
  const directory = join(stateDir, 'public');
  mkdirSync(directory, { recursive: true, mode: 0o755 });
  const all = [...new Set([...systemRoots(), ...certificates.roots, ...split(certificates.ca)])];
  const bundle = join(directory, `run-${id}.pem`);
  const store = join(directory, `run-${id}.jks`);
  publish(bundle, `${all.join('\n')}\n`);
  if (java) publish(store, keyStore(all));
  const timer = tend(directory, java ? [bundle, store] : [bundle]);
  const remove = (): void => {
    clearInterval(timer);
    for (const file of [bundle, store]) rmSync(file, { force: true });
  };
  return { bundle, remove, ...(java ? { store } : {}) };
}

/** Removes what runs left that were killed outright, and keeps this run's files from being taken for such. */
function tend(directory: string, own: readonly string[]): NodeJS.Timeout {
  const now = Date.now();
  for (const name of readdirSync(directory)) {
    const file = join(directory, name);
    const stat = OF_A_RUN.test(name) ? statSync(file, { throwIfNoEntry: false }) : undefined;
    if (stat !== undefined && now - stat.mtimeMs > LEFT_BEHIND_MS) rmSync(file, { force: true });
  }
  const touch = (): void => {
    const at = new Date();
    // A file somebody removed stays so: it does not come back by itself, and the run goes on.
    for (const file of own) if (existsSync(file)) utimesSync(file, at, at);
  };
  return setInterval(touch, TOUCH_MS).unref();
}

let system: string[] | undefined;

/** The system's roots, or Node's where the system has none (a slim container). */
function systemRoots(): string[] {
  if (system === undefined) {
    const found = getCACertificates('system');
    system = [...new Set((found.length > 0 ? found : rootCertificates).map((pem) => pem.trim()))];
  }
  return system;
}

function certificatesIn(file: string): string[] {
  try {
    const stat = statSync(file);
    return stat.isFile() && stat.size <= MAX_FILE ? split(readFileSync(file, 'utf8')) : [];
  } catch {
    // A dead variable: the command would not have trusted anything through it either.
    return [];
  }
}

function split(text: string): string[] {
  return (text.match(CERTIFICATE) ?? []).filter(isCertificate);
}

function isCertificate(pem: string): boolean {
  try {
    new X509Certificate(pem);
    return true;
  } catch {
    return false;
  }
}

function publish(file: string, content: string | Buffer): void {
  writeFileSync(file, content, { mode: 0o644 });
  // The mode above is cut by the umask.
  chmodSync(file, 0o644);
}

/** What JKS mixes into its digest (OpenJDK `sun.security.provider.JavaKeyStore`). */
const WHITENER = 'Mighty Aphrodite';
/** Of Java's own `cacerts`; protects nothing, the entries are public. */
export const STORE_PASSWORD = 'changeit';

/**
 * A Java trust store (JKS, version 2): every Java reads it, while PEM needs a provider of its own and PKCS12 from other
 * tools lacks the attribute by which Java tells trust anchors. Layout as in OpenJDK `JavaKeyStore.engineStore`.
 */
function keyStore(certificates: readonly string[]): Buffer {
  const parts: Buffer[] = [Buffer.from('feedfeed00000002', 'hex'), u32(certificates.length)];
  for (const [i, pem] of certificates.entries()) {
    const der = new X509Certificate(pem).raw;
    const created = Buffer.alloc(8);
    created.writeBigUInt64BE(BigInt(Date.now()));
    parts.push(u32(2), utf(`weir-${i}`), created, utf('X.509'), u32(der.length), der);
  }
  const body = Buffer.concat(parts);
  const password = Buffer.from(STORE_PASSWORD, 'utf16le').swap16();
  return Buffer.concat([body, createHash('sha1').update(password).update(WHITENER).update(body).digest()]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Java's `writeUTF`: two bytes of length, then (here) ASCII. */
function utf(text: string): Buffer {
  const bytes = Buffer.alloc(2 + text.length);
  bytes.writeUInt16BE(text.length);
  bytes.write(text, 2, 'latin1');
  return bytes;
}
