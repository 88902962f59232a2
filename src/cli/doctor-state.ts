import { lstatSync, readdirSync, type Stats, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { homely } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { parseHostPort } from '../config/values.ts';
import type { StatusReport } from '../model/admin.ts';
import type { Check } from './doctor.ts';
import { accepts } from './doctor-dead.ts';
import type { Scene } from './doctor-scene.ts';
import { bytes } from './table.ts';

/** Configuration file, state directory, permissions, room on the disk. */
export function stateChecks({ config, file, warnings }: Scene): Check[] {
  return [
    { name: 'config', state: 'ok', message: file === undefined ? 'no file, defaults' : homely(file) },
    ...warnings.map((message): Check => ({ name: 'config', state: 'warn', message, next: 'weir check' })),
    ...directory(config.state_dir),
    ...secretsOf(config, file),
    ...room(config),
  ];
}

/** The collector behind the state directory, its listeners, and what it says of itself. */
export async function collectorChecks({ collector }: Scene): Promise<Check[]> {
  const name = 'collector';
  if (collector === undefined)
    return [{ name, state: 'warn', message: 'none is running with this state directory', next: 'weir start' }];
  if ('silent' in collector) {
    const next = 'weir status says who; if it is stopped: kill -CONT, or end it and weir start';
    return [{ name, state: 'fail', message: collector.silent, next }];
  }
  const { report } = collector;
  const message = `running, pid ${report.pid}, ${report.mode}, ${report.containment}`;
  const problems = report.problems.map(
    ({ severity, message: text, next = 'weir status' }): Check => ({
      name,
      state: severity === 'info' ? 'ok' : severity === 'warn' ? 'warn' : 'fail',
      message: text,
      next,
    }),
  );
  return [{ name, state: 'ok', message }, ...(await listeners(report)), ...problems];
}

function listeners(report: StatusReport): Promise<Check[]> {
  return Promise.all(
    report.listeners.map(async ({ address }): Promise<Check> => {
      const { host, port } = parseHostPort(address);
      const reach = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
      if (await accepts(reach, port)) return { name: 'listener', state: 'ok', message: `${address} accepts` };
      const next = 'weir status; if it is stuck: end it and weir start';
      return { name: 'listener', state: 'fail', message: `${address} does not accept`, next };
    }),
  );
}

function directory(path: string): Check[] {
  const name = 'state';
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats)
    return [{ name, state: 'warn', message: `${homely(path)} does not exist yet`, next: 'weir start makes it' }];
  const uid = process.getuid?.();
  if (uid !== undefined && stats.uid !== uid && uid !== 0) {
    const message = `${homely(path)} belongs to uid ${stats.uid}`;
    return [{ name, state: 'fail', message, next: `sudo chown -R ${uid} ${path}` }];
  }
  const open = [path, join(path, 'private'), ...secretFiles(path)].filter((file) => others(file));
  if (open.length > 0)
    return open.map((file) => ({
      name,
      state: 'fail',
      message: `${homely(file)} can be read by other users`,
      next: `chmod go-rwx ${file}`,
    }));
  return [{ name, state: 'ok', message: homely(path) }];
}

/** Files whose mode is a promise: keys, tokens, the kill switch and the socket (threats E28, P10). */
function secretFiles(path: string): string[] {
  const inside = join(path, 'private');
  try {
    return readdirSync(inside).map((name) => join(inside, name));
  } catch {
    return [];
  }
}

/** Files of the operator's that hold secrets. Only a warning: container engines mount them readable. */
function secretsOf(config: Config, file: string | undefined): Check[] {
  const agents = [...config.agents.values()];
  const inline = agents.some(({ token, token_file }) => token !== undefined && token_file === undefined);
  const files = [
    ...(inline && file !== undefined ? [file] : []),
    ...agents.map(({ token_file }) => token_file),
    ...config.listen.map(({ tls }) => tls?.key),
    config.patterns.secrets_file,
  ];
  return [...new Set(files)]
    .filter((path) => path !== undefined && others(path))
    .map((path) => ({
      name: 'permissions',
      state: 'warn',
      message: `${homely(path as string)} holds a secret and can be read by other users`,
      next: `chmod 600 ${path}`,
    }));
}

/** Others than the owner may do something with it. A file that is not there is nobody's. */
function others(path: string): boolean {
  let stats: Stats | undefined;
  try {
    stats = lstatSync(path, { throwIfNoEntry: false });
  } catch {
    // Its directory may not be looked into: then not by others either.
  }
  return stats !== undefined && (stats.mode & 0o077) !== 0;
}

/** Below `store.min_free_bytes` rows are shed. */
function room({ state_dir, store }: Config): Check[] {
  try {
    const { bavail, bsize } = statfsSync(state_dir);
    const free = bavail * bsize;
    if (free >= store.min_free_bytes) return [];
    return [
      {
        name: 'disk',
        state: 'warn',
        message: `${bytes(free)} free, less than store.min_free_bytes (${bytes(store.min_free_bytes)}): rows are shed`,
        next: 'make room, or weir purge --before 30d',
      },
    ];
  } catch {
    // Not there yet; has its own line.
    return [];
  }
}
