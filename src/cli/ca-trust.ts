import { X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { AdminError } from '../admin/protocol.ts';
import { parseHostGlob } from '../config/values.ts';
import type { CaFacts } from '../model/admin.ts';
import { type Installed, isCertificate, perform, type StoreWorld, type TrustStore, trustStore } from './ca-store.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { confirm } from './raise.ts';

/** The limited root, and the certificate by which it vouches for Weir's CA (`connection/cross.ts` sends it along). */
const LIMITED = 'ca-only.pem';
const CROSS = 'ca-cross.pem';
const ELSEWHERE =
  'Programs with roots of their own (Firefox, Java, Python’s certifi, Node) do not look there: weir env';

export interface TrustOptions {
  readonly only?: readonly string[];
  readonly yes?: boolean;
}

/** `github.com,*.example.org`: names with a dot, and addresses; a name includes those below it. Throws Error for people. */
export function onlyHosts(text: string): string[] {
  const hosts = text.split(',').map((part) => {
    const host = parseHostGlob(part.trim()).replace(/^\*\./, '');
    if (/[*@/]/.test(host)) throw new Error(`"${host}" is not a host name or address (like github.com,example.org)`);
    if (isIP(host) === 0 && !host.includes('.') && host !== 'localhost')
      throw new Error(`"${host}" is a whole top-level domain; name the hosts under it`);
    return host;
  });
  return [...new Set(hosts)];
}

/** `weir ca trust`: puts Weir's CA, or a limited root that vouches for it, into the system's store. Never runs sudo. */
export async function trust(cli: Cli, facts: CaFacts, world: StoreWorld, options: TrustOptions): Promise<void> {
  const { only } = options;
  if (facts.ephemeral === true)
    throw new CliError(
      'this collector’s CA lives in memory only and is gone with it: trusting it would leave a dead root behind.\nPrograms under weir run trust it already. A CA that stays is made by: weir start',
    );
  const store = storeOf(world);
  if (only === undefined) await ask(cli, options.yes === true);
  const stateDir = cli.stateDir();
  const source = await prepare(stateDir, facts.pem, only);
  const entry = entryOf(store, readFileSync(source, 'utf8'), only);
  const old = readManifest(stateDir).filter(({ fingerprint }) => fingerprint !== entry.fingerprint);
  // Written down first: what was begun must be found again by untrust, also when it is finished by hand.
  writeManifest(stateDir, [...old, entry]);
  const again = `weir ca trust ${only === undefined ? '--yes' : `--only ${only.join(',')}`}`;
  await change([...store.add(entry, source), ...store.drop(old)], store, world, [
    `and then once more, so that clients that refused the CA are read again: ${again}`,
  ]);
  writeManifest(stateDir, [entry]);
  const forgotten = await tellTrusted(cli, again);
  const scope = only === undefined ? 'for every host' : `for ${only.join(', ')} and the names below, for nothing else`;
  cli.print({ store: store.name, trusted: entry, forgotten }, () =>
    [
      `${store.name}: Weir’s CA is trusted ${scope}.`,
      ...(forgotten === 0 ? [] : [`Clients that had refused it are read again: ${forgotten}`]),
      ELSEWHERE,
      'Undo: weir ca untrust',
    ].join('\n'),
  );
}

/**
 * Clients that refused the CA are left alone for days: whoever trusts it now would wait that long for the effect. By the
 * collector; without one, in its file. Resolves with how many client kinds that were.
 */
async function tellTrusted(cli: Cli, again: string): Promise<number> {
  try {
    return (await cli.withClient((client) => client.caTrusted())).forgotten;
  } catch (error) {
    try {
      if (!(error instanceof AdminError && error.code === 'no-collector')) throw error;
      const { forgetStoredRefusals } = await import('../collector.ts');
      return await forgetStoredRefusals(cli.stateDir());
    } catch (problem) {
      // The store has the CA already: this is no failure of the command.
      const why = safe((problem as Error).message, 300);
      cli.note(`clients that refused the CA are not read yet (${why}). Tell the collector: ${again}`);
      return 0;
    }
  }
}

/** `weir ca untrust`: removes what `trust` put there, while it is still what we put, and nothing else. */
export async function untrust(cli: Cli, world: StoreWorld): Promise<void> {
  const stateDir = cli.stateDir();
  const entries = readManifest(stateDir);
  if (entries.length === 0)
    return cli.print({ removed: [], left: [] }, () => 'weir ca trust put nothing into the system’s store.');
  const store = storeOf(world);
  const foreign = (one: Installed): boolean =>
    one.file !== undefined && existsSync(one.file) && !isCertificate(one.file, one.fingerprint);
  const left = entries.filter(foreign).map(({ file = '' }) => file);
  await change(store.drop(entries), store, world);
  for (const name of [LIMITED, CROSS]) rmSync(join(stateDir, 'public', name), { force: true });
  writeManifest(stateDir, []);
  const removed = entries.filter(({ file }) => file === undefined || !left.includes(file));
  return cli.print({ store: store.name, removed, left }, () =>
    [
      `${store.name}: Weir’s CA is no longer trusted there.`,
      ...left.map((file) => `${safe(file, 300)} is not what weir ca trust put there; it was left alone`),
    ].join('\n'),
  );
}

/** For `weir ca show`: where the system trusts us; '' where it does not. */
export function trustedText(stateDir: string): string {
  return readManifest(stateDir)
    .filter(({ file, fingerprint }) => file === undefined || isCertificate(file, fingerprint))
    .map(({ file, only }) => `${file ?? 'keychain'} (${only === undefined ? 'every host' : `only ${only.join(', ')}`})`)
    .join(', ');
}

function storeOf(world: StoreWorld): TrustStore {
  const store = trustStore(world);
  if (store === undefined)
    throw new CliError(
      'no trust store that is known is here (ca-certificates, ca-trust, macOS keychain).\nThe certificate to install by hand: weir ca export',
    );
  return store;
}

async function ask(cli: Cli, yes: boolean): Promise<void> {
  cli.note(
    [
      'every program that uses this machine’s roots will believe Weir’s CA, for every host.',
      `Whoever gets its key (${join(cli.stateDir(), 'private', 'ca.key')}) can then read and change all they send.`,
      'Limited to some hosts it is worth nothing for others: weir ca trust --only github.com',
    ].join('\n'),
  );
  if (yes) return;
  if (!cli.stdin.isTTY || !cli.stderr.isTTY)
    throw new CliError('without a terminal nobody can be asked: add --yes, or --only HOST', EXIT.usage);
  await confirm(cli, 'Trust it for every host?');
}

/** The file of the certificate to install; with `only` a limited root, beside what Weir then sends along. */
async function prepare(stateDir: string, caPem: string, only: readonly string[] | undefined): Promise<string> {
  const directory = join(stateDir, 'public');
  const [limited, cross] = [join(directory, LIMITED), join(directory, CROSS)];
  if (only === undefined) {
    for (const file of [limited, cross]) rmSync(file, { force: true });
    const source = join(directory, 'ca.pem');
    if (!existsSync(source)) replace(source, caPem);
    return source;
  }
  if (!isCurrent(stateDir, caPem, only)) {
    const made = await constrained(caPem, only);
    replace(limited, made.rootPem);
    replace(cross, made.crossPem);
  }
  return limited;
}

async function constrained(caPem: string, only: readonly string[]) {
  const { constrainedCa } = await import('../collector.ts');
  try {
    return constrainedCa(caPem, only);
  } catch (error) {
    throw new CliError(`--only: ${(error as Error).message}`, EXIT.failure, { cause: error });
  }
}

/** Asked again for the same hosts (after typing the commands, say), the same root is meant. */
function isCurrent(stateDir: string, caPem: string, only: readonly string[]): boolean {
  const read = (name: string): X509Certificate => new X509Certificate(readFileSync(join(stateDir, 'public', name)));
  try {
    const { fingerprint256 } = read(LIMITED);
    const entry = readManifest(stateDir).find(({ fingerprint }) => fingerprint === fingerprint256);
    const ours = read(CROSS).publicKey.equals(new X509Certificate(caPem).publicKey);
    return ours && entry?.only?.join() === only.join();
  } catch {
    return false;
  }
}

function entryOf(store: TrustStore, pem: string, only: readonly string[] | undefined): Installed {
  const { fingerprint256, fingerprint } = new X509Certificate(pem);
  const file = store.file(fingerprint256);
  return {
    fingerprint: fingerprint256,
    sha1: fingerprint,
    ...(file === undefined ? {} : { file }),
    ...(only === undefined ? {} : { only }),
  };
}

async function change(
  steps: Parameters<typeof perform>[0],
  store: TrustStore,
  world: StoreWorld,
  then: readonly string[] = [],
): Promise<void> {
  let commands: Awaited<ReturnType<typeof perform>>;
  try {
    commands = await perform(steps, world);
  } catch (error) {
    throw new CliError(`${store.name}: ${safe((error as Error).message, 400)}`, EXIT.failure, { cause: error });
  }
  if (commands.length === 0) return;
  const lines = commands.map((command) => `  ${command.map(quoted).join(' ')}`);
  throw new CliError([`${store.name} belongs to the administrator. Type:`, ...lines, ...then].join('\n'));
}

/** For a shell. */
function quoted(word: string): string {
  return /^[A-Za-z0-9_./:@,+=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** What stands in the system's store by our doing. A file that cannot be read is one that would make us forget: it throws. */
function readManifest(stateDir: string): readonly Installed[] {
  const file = manifestFile(stateDir);
  if (!existsSync(file)) return [];
  try {
    const entries: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (Array.isArray(entries)) return entries as Installed[];
  } catch (error) {
    throw unreadable(file, error);
  }
  throw unreadable(file);
}

function unreadable(file: string, cause?: unknown): CliError {
  return new CliError(`${file} cannot be read: what weir ca trust installed is listed there`, EXIT.failure, { cause });
}

function writeManifest(stateDir: string, entries: readonly Installed[]): void {
  const file = manifestFile(stateDir);
  if (entries.length === 0) rmSync(file, { force: true });
  else replace(file, `${JSON.stringify(entries, undefined, 2)}\n`, 0o600);
}

const manifestFile = (stateDir: string): string => join(stateDir, 'private', 'trusted.json');

/** Readers see the old file or the new one, never half of it. */
function replace(file: string, content: string, mode = 0o644): void {
  mkdirSync(join(file, '..'), { recursive: true, mode: mode === 0o600 ? 0o700 : 0o755 });
  const fresh = `${file}.new`;
  rmSync(fresh, { force: true });
  writeFileSync(fresh, content, { mode });
  // The mode above is cut by the umask, and public files are for everybody.
  chmodSync(fresh, mode);
  renameSync(fresh, file);
}
