import { connect } from 'node:net';
import { hostPort } from '../model/destination.ts';
import type { Check } from './doctor.ts';
import { readBundle } from './doctor-bundle.ts';
import { PROXY_VARIABLES } from './doctor-environment.ts';
import { BUNDLE_VARIABLES } from './env.ts';

const DEFAULT_PORTS: ReadonlyMap<string, number> = new Map([
  ['http:', 80],
  ['https:', 443],
  ['socks:', 1080],
  ['socks4:', 1080],
  ['socks4a:', 1080],
  ['socks5:', 1080],
  ['socks5h:', 1080],
]);

/** Variables that lead nowhere: proxies nothing listens for, CA files that are not there or hold nothing. */
export async function deadChecks(env: NodeJS.ProcessEnv): Promise<Check[]> {
  return [...(await deadProxies(env)), ...bundles(env)];
}

/** Host and port a proxy variable leads to; undefined when it is no URL of a proxy. */
export function proxyAddress(text: string): { readonly host: string; readonly port: number } | undefined {
  if (!URL.canParse(text)) return undefined;
  const { hostname, port, protocol } = new URL(text);
  const number = port === '' ? DEFAULT_PORTS.get(protocol) : Number(port);
  if (hostname === '' || number === undefined) return undefined;
  return { host: hostname.replace(/^\[|\]$/g, ''), port: number };
}

async function deadProxies(env: NodeJS.ProcessEnv): Promise<Check[]> {
  const names = new Map<string, string[]>();
  for (const name of PROXY_VARIABLES) {
    const address = proxyAddress(env[name] ?? '');
    if (address === undefined) continue;
    const key = hostPort(address.host, address.port);
    names.set(key, [...(names.get(key) ?? []), name]);
  }
  const checks = await Promise.all(
    [...names].map(async ([key, list]): Promise<Check[]> => {
      const { host, port } = proxyAddress(env[list[0] ?? ''] ?? '') ?? { host: '', port: 0 };
      if (await accepts(host, port)) return [];
      const leads = list.length === 1 ? 'leads' : 'lead';
      return [
        {
          name: 'proxy',
          state: 'fail',
          message: `${list.join(', ')} ${leads} to ${key}, where nothing accepts: programs will fail`,
          next: 'weir start, or eval "$(weir env --unset)"',
        },
      ];
    }),
  );
  return checks.flat();
}

/** Variables that name the same file are one line. */
function bundles(env: NodeJS.ProcessEnv): Check[] {
  const names = new Map<string, string[]>();
  for (const name of BUNDLE_VARIABLES) {
    const path = env[name];
    if (path) names.set(path, [...(names.get(path) ?? []), name]);
  }
  return [...names].map(([path, [name = '', ...others]]): Check => {
    const more = others.length === 0 ? '' : ` (and ${others.length} more variables)`;
    const bundle = readBundle(path);
    if (bundle.problem === undefined)
      return { name, state: 'ok', message: `${path}, ${bundle.certificates.length} certificates${more}` };
    return {
      name,
      state: 'fail',
      message: `${path}${more} ${bundle.problem}: TLS will fail`,
      next: `eval "$(weir env)", or unset ${[name, ...others].join(' ')}`,
    };
  });
}

/** Whether something accepts on the port. Never rejects. */
export function accepts(host: string, port: number, ms = 1000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const timer = setTimeout(() => done(false), ms);
    const done = (open: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(open);
    };
    socket.on('connect', () => done(true));
    socket.on('error', () => done(false));
  });
}
