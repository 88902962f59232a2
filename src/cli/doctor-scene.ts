import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SOCKET_NAME } from '../admin/protocol.ts';
import { livePid } from '../admin/socket.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import type { StatusReport } from '../model/admin.ts';
import type { Cli } from './context.ts';

/** What the checks look at: the configuration as this shell would read it, and the collector behind its state directory. */
export interface Scene {
  readonly env: NodeJS.ProcessEnv;
  /** Epoch ms. */
  readonly now: number;
  readonly config: Config;
  readonly file: string | undefined;
  readonly warnings: readonly string[];
  /** Undefined: none runs. `silent`: something owns the socket and does not answer. */
  readonly collector: { readonly report: StatusReport } | { readonly silent: string } | undefined;
  readonly ca: SceneCa | undefined;
}

/** The CA in use; without a collector the stored one. */
export interface SceneCa {
  readonly pem: string;
  readonly bundlePath: string;
  /** Epoch ms. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Throws ConfigError; a collector that does not answer is part of what is seen. */
export async function lookAround(cli: Cli): Promise<Scene> {
  const { config: path, stateDir } = cli.options();
  const { config, file, warnings } = loadConfig({ flags: { config: path, stateDir }, env: cli.env, cwd: cli.cwd });
  const pid = await livePid(join(config.state_dir, SOCKET_NAME));
  const seen = { env: cli.env, now: Date.now(), config, file, warnings };
  const stored = storedCa(config.state_dir);
  if (pid === undefined) return { ...seen, collector: undefined, ca: stored };
  if (pid === 0) {
    const silent = 'owns the state directory and does not answer: stopped, very busy, or of another user';
    return { ...seen, collector: { silent }, ca: stored };
  }
  try {
    return await cli.withClient(async (client) => {
      const report = await client.status();
      const ca = await client.ca().catch(() => stored);
      return { ...seen, collector: { report }, ca };
    });
  } catch (error) {
    return { ...seen, collector: { silent: (error as Error).message }, ca: stored };
  }
}

/** The report of a running collector. */
export function reportOf({ collector }: Scene): StatusReport | undefined {
  return collector !== undefined && 'report' in collector ? collector.report : undefined;
}

function storedCa(stateDir: string): SceneCa | undefined {
  try {
    const pem = readFileSync(join(stateDir, 'ca.pem'), 'utf8');
    const { validFrom, validTo } = new X509Certificate(pem);
    const bundlePath = join(stateDir, 'public', 'bundle.pem');
    return { pem, bundlePath, notBefore: Date.parse(validFrom), notAfter: Date.parse(validTo) };
  } catch {
    return undefined;
  }
}
