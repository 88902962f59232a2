import { spawnSync } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';
import { PROGRAMS } from './coverage-programs.ts';

/** A program found on PATH that does not do what the variables of `weir run` and `weir env` ask for. */
export interface Coverage {
  /** The name found on PATH. */
  readonly program: string;
  /** The proxy variables (it goes around Weir), the CA variables (its TLS fails or is tunnelled), or both. */
  readonly ignores: 'proxy' | 'ca' | 'proxy-and-ca';
  /** What to type or change. */
  readonly fix: string;
}

export interface CoverageOptions {
  /** Weir's `host:port` for the fixes. */
  readonly proxy?: string | undefined;
  /** Path of the CA bundle for the fixes. */
  readonly bundle?: string | undefined;
  /** `process.platform`; Go reads SSL_CERT_FILE on Linux and not on macOS. */
  readonly platform?: NodeJS.Platform;
  /** Asks a program for its version; by default it is run with `--version`, never in a shell, for a second at most. */
  readonly version?: (path: string) => string | undefined;
}

/** What a fix is worded with. */
export interface CoverageFacts {
  readonly proxy: string;
  readonly bundle: string;
  readonly mac: boolean;
  /** `--version` of the program: numbers, or undefined when it did not say. */
  version(): readonly number[] | undefined;
}

const VERSION_MS = 1000;

/** Programs on PATH known to ignore the proxy or CA variables, in the order of the table. Never throws. */
export function coverage(env: NodeJS.ProcessEnv, options: CoverageOptions = {}): Coverage[] {
  const directories = (env['PATH'] ?? '').split(delimiter).filter(isAbsolute);
  const ask = options.version ?? ((path: string) => versionOf(path, env));
  return PROGRAMS.flatMap(({ names, judge }) =>
    names.flatMap((program): Coverage[] => {
      const path = find(program, directories);
      if (path === undefined) return [];
      const judged = judge({
        proxy: options.proxy ?? '127.0.0.1:8080',
        bundle: options.bundle ?? '$SSL_CERT_FILE',
        mac: (options.platform ?? process.platform) === 'darwin',
        version: () => numbers(ask(path)),
      });
      return judged === undefined ? [] : [{ program, ...judged }];
    }),
  );
}

function find(program: string, directories: readonly string[]): string | undefined {
  return directories.map((directory) => join(directory, program)).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function versionOf(path: string, env: NodeJS.ProcessEnv): string | undefined {
  const { stdout } = spawnSync(path, ['--version'], {
    env,
    encoding: 'utf8',
    timeout: VERSION_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 65_536,
    stdio: ['ignore', 'pipe', 'ignore'],
    windowsHide: true,
  });
  return stdout ?? undefined;
}

function numbers(text: string | undefined): readonly number[] | undefined {
  const match = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(text ?? '');
  return match === null ? undefined : match.slice(1).map((part) => Number(part ?? 0));
}
