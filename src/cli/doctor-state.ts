import { X509Certificate } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { SOCKET_NAME } from '../admin/protocol.ts';
import { livePid } from '../admin/socket.ts';
import { homely, loadConfig } from '../config/load.ts';
import { ConfigError } from '../config/problem.ts';
import type { Config } from '../config/schema.ts';
import { parseHostPort } from '../config/values.ts';
import type { Cli } from './context.ts';
import type { Check } from './doctor.ts';
import { accepts } from './doctor-environment.ts';

const DAY_MS = 86_400_000;

/** Configuration, state directory, CA, socket, and the collector behind it. */
export async function stateChecks(cli: Cli): Promise<Check[]> {
  const options = cli.options();
  let config: Config;
  let file: string | undefined;
  try {
    ({ config, file } = loadConfig({
      flags: { config: options.config, stateDir: options.stateDir },
      env: cli.env,
      cwd: cli.cwd,
    }));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const count = error.problems.length;
    return [
      {
        name: 'config',
        state: 'fail',
        message: `${count} mistake${count === 1 ? '' : 's'}: ${error.problems[0]?.message}`,
        next: 'weir check',
      },
    ];
  }
  const checks: Check[] = [
    { name: 'config', state: 'ok', message: file === undefined ? 'no file, defaults' : homely(file) },
  ];
  checks.push(...directory(config.state_dir), ...certificate(config.state_dir));
  return [...checks, ...(await collector(cli, config))];
}

function directory(path: string): Check[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats)
    return [
      { name: 'state', state: 'warn', message: `${homely(path)} does not exist yet`, next: 'weir start makes it' },
    ];
  const uid = process.getuid?.();
  if (uid !== undefined && stats.uid !== uid && uid !== 0)
    return [
      {
        name: 'state',
        state: 'fail',
        message: `${homely(path)} belongs to uid ${stats.uid}`,
        next: `sudo chown -R ${uid} ${path}`,
      },
    ];
  const open = [path, ...secretFiles(path)].filter((name) => (lstatSync(name).mode & 0o077) !== 0);
  if (open.length > 0)
    return open.map((name) => ({
      name: 'state',
      state: 'fail',
      message: `${homely(name)} can be read by other users`,
      next: `chmod go-rwx ${name}`,
    }));
  return [{ name: 'state', state: 'ok', message: homely(path) }];
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

function certificate(stateDir: string): Check[] {
  const path = join(stateDir, 'ca.pem');
  let pem: string;
  try {
    pem = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  try {
    const left = Date.parse(new X509Certificate(pem).validTo) - Date.now();
    if (left < 0) return [{ name: 'CA', state: 'fail', message: 'has expired', next: 'weir ca rotate' }];
    const days = Math.floor(left / DAY_MS);
    return [
      {
        name: 'CA',
        state: days < 30 ? 'warn' : 'ok',
        message: `valid for ${days} days`,
        ...(days < 30 ? { next: 'weir ca rotate' } : {}),
      },
    ];
  } catch {
    return [{ name: 'CA', state: 'fail', message: `${homely(path)} is not a certificate`, next: 'weir ca rotate' }];
  }
}

async function collector(cli: Cli, config: Config): Promise<Check[]> {
  const pid = await livePid(join(config.state_dir, SOCKET_NAME));
  if (pid === undefined)
    return [
      { name: 'collector', state: 'warn', message: 'none is running with this state directory', next: 'weir start' },
    ];
  const report = await cli.withClient((client) => client.status());
  const checks: Check[] = [
    { name: 'collector', state: 'ok', message: `running, pid ${report.pid}, ${report.mode}, ${report.containment}` },
  ];
  for (const { address } of report.listeners) {
    const { host, port } = parseHostPort(address);
    const reach = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
    const open = await accepts(reach, port);
    checks.push({
      name: 'listener',
      state: open ? 'ok' : 'fail',
      message: `${address} ${open ? 'accepts' : 'does not accept'}`,
    });
  }
  const worst = { info: 'ok', warn: 'warn', error: 'fail' } as const;
  for (const { severity, message, next } of report.problems)
    checks.push({ name: 'collector', state: worst[severity], message, ...(next === undefined ? {} : { next }) });
  return checks;
}
