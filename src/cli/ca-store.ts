import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { accessSync, chmodSync, constants, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** How this machine is asked; replaced in tests, which must never touch the real store. */
export interface StoreWorld {
  readonly platform: NodeJS.Platform;
  /** Stands before every path of the store; '' on a real machine. */
  readonly root: string;
  readonly home: string;
  /** Whether a program is on PATH. */
  has(program: string): boolean;
  /** Runs a program to its end; never rejects. */
  run(command: readonly string[]): Promise<{ readonly code: number; readonly output: string }>;
}

/** One certificate that `weir ca trust` put into the store, or said how to. */
export interface Installed {
  /** SHA-256 of the certificate, colon-separated hex. */
  readonly fingerprint: string;
  /** SHA-1 of it, by which a keychain finds it. */
  readonly sha1: string;
  /** Its file in the store; absent where it goes in by command. */
  readonly file?: string;
  /** Hosts it is limited to; absent = every host. */
  readonly only?: readonly string[];
}

/** One thing to do to a store. */
export type Step =
  | { readonly put: string; readonly source: string }
  | { readonly drop: string }
  | { readonly run: readonly string[] };

/** A system trust store. Its steps are empty where nothing has to be done. */
export interface TrustStore {
  readonly name: string;
  file(fingerprint: string): string | undefined;
  /** `source`: the certificate's file in the state directory. */
  add(entry: Installed, source: string): readonly Step[];
  /** Of what is still what we put there; anything else is somebody else's. */
  drop(entries: readonly Installed[]): readonly Step[];
}

/** Directory of extra roots, suffix of files in it, command after adding, command after removing, by system. */
const ANCHORS = [
  ['/etc/pki/ca-trust/source/anchors', '.pem', ['update-ca-trust', 'extract'], ['update-ca-trust', 'extract']],
  ['/etc/ca-certificates/trust-source/anchors', '.crt', ['update-ca-trust'], ['update-ca-trust']],
  // openSUSE has the program of the next line under the same name.
  ['/etc/pki/trust/anchors', '.pem', ['update-ca-certificates'], ['update-ca-certificates']],
  // Debian, Ubuntu, Alpine. Without --fresh the link of a certificate that is gone may stay.
  ['/usr/local/share/ca-certificates', '.crt', ['update-ca-certificates'], ['update-ca-certificates', '--fresh']],
] as const;

/** The store of this machine; undefined where there is none we know. */
export function trustStore(world: StoreWorld): TrustStore | undefined {
  if (world.platform === 'darwin') return keychain(world);
  if (world.platform !== 'linux') return undefined;
  for (const [directory, suffix, added, removed] of ANCHORS) {
    const path = world.root + directory;
    if (!existsSync(path) || !world.has(added[0])) continue;
    // 64 bits of the SHA-256 are enough to tell our own files apart.
    const fileOf = (print: string): string =>
      `${path}/weir-${print.replaceAll(':', '').slice(0, 16).toLowerCase()}${suffix}`;
    return {
      name: path,
      file: fileOf,
      add: ({ file = '', fingerprint }, source) =>
        isCertificate(file, fingerprint) ? [] : [{ put: file, source }, { run: added }],
      drop: (entries) => {
        // Whatever the list says, only files of our own naming that hold that very certificate.
        const ours = entries.filter(
          ({ file, fingerprint }) => file === fileOf(fingerprint) && isCertificate(file, fingerprint),
        );
        const steps = ours.map(({ file = '' }): Step => ({ drop: file }));
        return steps.length === 0 ? [] : [...steps, { run: removed }];
      },
    };
  }
  return undefined;
}

/** The user's own: it takes no administrator, and other users are none of our business. */
function keychain({ home }: StoreWorld): TrustStore {
  const login = join(home, 'Library', 'Keychains', 'login.keychain-db');
  return {
    name: login,
    file: () => undefined,
    add: (_, source) => [{ run: ['security', 'add-trusted-cert', '-r', 'trustRoot', '-k', login, source] }],
    // -t: with its trust settings.
    drop: (entries) =>
      entries.map(({ sha1 }) => ({
        run: ['security', 'delete-certificate', '-Z', sha1.replaceAll(':', ''), '-t', login],
      })),
  };
}

/** Whether a file holds exactly this certificate. */
export function isCertificate(file: string, fingerprint: string): boolean {
  try {
    return new X509Certificate(readFileSync(file)).fingerprint256 === fingerprint;
  } catch {
    return false;
  }
}

/**
 * Does the steps in order. Where this user may not, that step and all behind it are given back as what to type. Throws Error
 * with what a program said when it failed.
 */
export async function perform(steps: readonly Step[], world: StoreWorld): Promise<readonly (readonly string[])[]> {
  for (const [i, step] of steps.entries()) {
    if ('run' in step) {
      const { code, output } = await world.run(step.run);
      if (code !== 0) throw new Error(`${step.run.join(' ')} failed (${code}): ${output.trim()}`);
    } else if (!permitted(step)) return steps.slice(i).map(typed);
  }
  return [];
}

function permitted(step: Exclude<Step, { readonly run: unknown }>): boolean {
  try {
    if ('drop' in step) rmSync(step.drop);
    else {
      writeFileSync(step.put, readFileSync(step.source), { mode: 0o644 });
      // The mode above is cut by the umask; roots are for everybody to read.
      chmodSync(step.put, 0o644);
    }
    return true;
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

function typed(step: Step): readonly string[] {
  if ('run' in step) return ['sudo', ...step.run];
  return 'drop' in step ? ['sudo', 'rm', step.drop] : ['sudo', 'install', '-m', '0644', step.source, step.put];
}

/** Where root's programs are; the PATH of a user often leaves it out. */
const SYSTEM = ['/usr/sbin', '/sbin'];

/** A uid without a passwd entry has no home; only macOS keychains ask for it. */
function homeOf(env: NodeJS.ProcessEnv): string {
  try {
    return env['HOME'] || homedir();
  } catch {
    return '/';
  }
}

/** The machine this runs on. */
export function realStore(env: NodeJS.ProcessEnv): StoreWorld {
  const PATH = [env['PATH'] ?? '', ...SYSTEM].join(delimiter);
  return {
    platform: process.platform,
    root: '',
    home: homeOf(env),
    has: (program) => PATH.split(delimiter).some((dir) => dir !== '' && isProgram(join(dir, program))),
    run: ([program = '', ...args]) =>
      new Promise((resolve) => {
        execFile(program, args, { env: { ...env, PATH }, timeout: 120_000 }, (error, stdout, stderr) => {
          const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
          resolve({ code, output: `${stdout}${stderr}` || String(error ?? '') });
        });
      }),
  };
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}
