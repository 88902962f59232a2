import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { getCACertificates, rootCertificates } from 'node:tls';
import { createCa, createLeaf, newKey, readSigner, type Signer } from './certificate.ts';
import { type Cross, createCross } from './cross.ts';

/** Leaves kept, least recently used dropped first (threat-model W15: 10,000 unique names must not grow memory). */
const MAX_LEAVES = 1000;
/** A leaf is made anew when less than this is left of its seven days. */
const RENEW_BEFORE = 86_400_000;

export interface AuthorityOptions {
  /** state_dir. Without it nothing is written (tests, `weir run` with an unwritable state directory). */
  readonly dir?: string;
  /** The key exists in memory only and a new CA is made at each start (`weir run`). */
  readonly ephemeral: boolean;
  /** An ephemeral CA made by a process before this one and handed over in memory. */
  readonly made?: { readonly certPem: string; readonly keyPem: string };
  /** The operator's own CA (EC or RSA, PEM); never written to `private/`. */
  readonly operator?: { readonly certPem: string; readonly keyPem: string };
  /** PEM of further roots for the bundle (inherited CA files, `upstream.ca_file`). */
  readonly extraRoots?: readonly string[];
  /** Removes a kept CA first, whatever state its files are in (`weir ca rotate` without a running collector). */
  readonly renew?: boolean;
  /** Epoch ms; for tests. */
  readonly now?: () => number;
}

/** A key and certificate chain for one name, as `tls` takes them. */
export interface LeafPair {
  readonly key: string;
  readonly cert: string;
  /** Epoch ms after which a new one should be asked for. */
  readonly renewAt: number;
}

export interface Authority {
  /** PEM of the CA certificate clients must trust. */
  readonly certPem: string;
  /** Epoch ms. */
  readonly expiresAt: number;
  /** Changes with every rotation and every new cross certificate: what was learned about clients that trust us is void then. */
  readonly generation: number;
  /** Public files, when a directory was given. */
  readonly files: { readonly cert?: string; readonly bundle?: string };
  /** System roots, extra roots and ours, without duplicates (PEM). */
  bundle(): string;
  /** Leaf for exactly this host; cached. One EC key serves all leaves of this process. */
  leaf(host: string): LeafPair;
  /** A new CA in place of the old one. Throws for an operator's CA. */
  rotate(): void;
}

/**
 * Opens or makes the certificate authority (product.md §4 "The CA"). Throws an Error of one or two sentences: what is
 * wrong, where, and what to do next. Files: `private/ca.key` (0600, directory 0700), `public/ca.pem`,
 * `public/bundle.pem` and the public copy `ca.pem`; an ephemeral authority writes only the bundle. A cross certificate of a
 * limited root that clients may trust instead is read from `public/ca-cross.pem` as soon as it is there (`weir ca trust`).
 */
export function createAuthority(options: AuthorityOptions): Authority {
  return new LocalAuthority(options);
}

class LocalAuthority implements Authority {
  readonly #options: AuthorityOptions;
  readonly #now: () => number;
  readonly #leafKey = newKey();
  readonly #leafKeyPem = this.#leafKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  readonly #leaves: Map<string, LeafPair> = new Map();
  #signer: Signer;
  #generation = 1;
  readonly #cross: () => Cross | undefined;
  #sentAlong: Cross | undefined;

  constructor(options: AuthorityOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    const { dir, ephemeral, operator, renew } = options;
    if (renew === true && !ephemeral && dir !== undefined && operator === undefined) removeKept(dir);
    this.#signer = this.#open();
    this.#publish();
    this.#cross = createCross(dir, () => this.#signer, this.#now);
    this.#sentAlong = this.#cross();
  }

  get generation(): number {
    this.#look();
    return this.#generation;
  }

  /** Leaves of before a change of what is sent along with them are dropped. */
  #look(): void {
    const cross = this.#cross();
    if (cross === this.#sentAlong) return;
    this.#sentAlong = cross;
    this.#leaves.clear();
    this.#generation++;
  }

  get certPem(): string {
    return this.#signer.certPem;
  }

  get expiresAt(): number {
    return this.#signer.notAfter;
  }

  get files(): { readonly cert?: string; readonly bundle?: string } {
    const { dir } = this.#options;
    if (dir === undefined) return {};
    const bundle = `${dir}/public/bundle.pem`;
    return this.#options.ephemeral ? { bundle } : { cert: `${dir}/public/ca.pem`, bundle };
  }

  bundle(): string {
    const system = getCACertificates('system');
    const all = [
      ...(system.length > 0 ? system : rootCertificates),
      ...getCACertificates('extra'),
      ...splitPem(this.#options.extraRoots ?? []),
      ...splitPem([this.#signer.certPem]),
    ];
    return `${[...new Set(all.map((pem) => pem.trim()))].join('\n')}\n`;
  }

  leaf(host: string): LeafPair {
    const now = this.#now();
    this.#look();
    const known = this.#leaves.get(host);
    if (known !== undefined && known.renewAt > now) {
      this.#leaves.delete(host);
      this.#leaves.set(host, known);
      return known;
    }
    const cert = createLeaf(this.#signer, host, this.#leafKey, now);
    const along = this.#sentAlong?.permits(host) === true ? this.#sentAlong.pem : '';
    const pair: LeafPair = {
      key: this.#leafKeyPem,
      cert: cert + (this.#signer.selfSigned ? along : this.#signer.certPem),
      renewAt: now + 7 * 86_400_000 - RENEW_BEFORE,
    };
    this.#leaves.set(host, pair);
    if (this.#leaves.size > MAX_LEAVES) this.#leaves.delete(this.#leaves.keys().next().value as string);
    return pair;
  }

  rotate(): void {
    const { dir, ephemeral, operator } = this.#options;
    if (operator !== undefined) {
      throw new Error('The CA is the operator’s own (ca in the configuration): replace its files and reload Weir.');
    }
    if (!ephemeral && dir !== undefined) removeKept(dir);
    this.#signer = this.#open();
    this.#leaves.clear();
    this.#sentAlong = this.#cross();
    this.#generation++;
    this.#publish();
  }

  #open(): Signer {
    const { dir, ephemeral, made: given, operator } = this.#options;
    const now = this.#now();
    if (ephemeral && given !== undefined) return readSigner(given.certPem, given.keyPem, 'The CA in memory', now);
    if (operator !== undefined) return readSigner(operator.certPem, operator.keyPem, 'The configured CA', now);
    if (!ephemeral && dir !== undefined) return openKept(dir, now);
    const made = createCa({ now });
    return readSigner(made.certPem, made.keyPem, 'The new CA', now);
  }

  #publish(): void {
    const { dir, ephemeral } = this.#options;
    if (dir === undefined) return;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    mkdirSync(`${dir}/public`, { recursive: true, mode: 0o755 });
    // The state directory itself is 0700 by umask or by hand; what is mounted into containers must be readable there.
    chmodSync(`${dir}/public`, 0o755);
    const bundle = `${dir}/public/bundle.pem`;
    // Reading the system's roots takes longer than the rest of the start together: a bundle of today is kept.
    if (!isFresh(bundle, this.#signer.certPem, this.#options.extraRoots ?? [])) replace(bundle, this.bundle(), 0o644);
    if (ephemeral) return;
    replace(`${dir}/public/ca.pem`, this.#signer.certPem, 0o644);
    replace(`${dir}/ca.pem`, this.#signer.certPem, 0o644);
  }
}

/** The bundle was written less than a day ago and holds our certificate and the extra roots. */
function isFresh(file: string, certPem: string, extra: readonly string[]): boolean {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined || Math.abs(Date.now() - stat.mtimeMs) > 86_400_000) return false;
  const text = readFileSync(file, 'utf8');
  return splitPem([certPem, ...extra]).every((pem) => text.includes(pem.trim()));
}

function removeKept(dir: string): void {
  rmSync(`${dir}/public/ca.pem`, { force: true });
  rmSync(`${dir}/private/ca.key`, { force: true });
}

/** The kept authority: read and checked when it is there, made when neither file exists. */
function openKept(dir: string, now: number): Signer {
  const keyFile = `${dir}/private/ca.key`;
  const certFile = `${dir}/public/ca.pem`;
  const hasKey = existsSync(keyFile);
  const hasCert = existsSync(certFile);
  if (!hasKey && !hasCert) return makeKept(dir, keyFile, certFile, now);
  if (!hasKey || !hasCert) {
    const [missing, present] = hasKey ? [certFile, keyFile] : [keyFile, certFile];
    throw new Error(`${present} exists but ${missing} is missing. Put it back, or make a new CA: weir ca rotate`);
  }
  const mode = statSync(keyFile).mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw new Error(
      `${keyFile} can be read by others (mode 0${mode.toString(8)}). If nobody took it: chmod 600 ${keyFile}   else make a new CA: weir ca rotate`,
    );
  }
  try {
    return readSigner(readFileSync(certFile, 'utf8'), readFileSync(keyFile, 'utf8'), `${certFile} and ${keyFile}`, now);
  } catch (error) {
    throw new Error(`${(error as Error).message}. Put the right files back, or make a new CA: weir ca rotate`, {
      cause: error,
    });
  }
}

function makeKept(dir: string, keyFile: string, certFile: string, now: number): Signer {
  const made = createCa({ now });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  mkdirSync(`${dir}/private`, { recursive: true, mode: 0o700 });
  chmodSync(`${dir}/private`, 0o700);
  mkdirSync(`${dir}/public`, { recursive: true, mode: 0o755 });
  // Exclusive: of two starts at once only one may choose the key.
  writeFileSync(keyFile, made.keyPem, { mode: 0o600, flag: 'wx' });
  replace(certFile, made.certPem, 0o644);
  return readSigner(made.certPem, made.keyPem, certFile, now);
}

/** Readers see the old file or the new one, never half of it. */
function replace(file: string, content: string, mode: number): void {
  const fresh = `${file}.new`;
  rmSync(fresh, { force: true });
  writeFileSync(fresh, content, { mode });
  // The mode above is cut by the umask; a bundle a container user cannot read is of no use.
  chmodSync(fresh, mode);
  renameSync(fresh, file);
}

function splitPem(texts: readonly string[]): string[] {
  return texts.flatMap(
    (text) => text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g)?.slice() ?? [],
  );
}
