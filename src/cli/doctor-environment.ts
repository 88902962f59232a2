import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import type { Check } from './doctor.ts';

const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'ALL_PROXY', 'all_proxy'];
const FILES = [
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'AWS_CA_BUNDLE',
];
/** Before this the clock cannot be right: it is when this version was written. */
const EARLIEST = Date.UTC(2026, 0, 1);

/** What this shell hands to programs. Values are shown without userinfo: it may be a password. */
export function environmentChecks(env: NodeJS.ProcessEnv, now: number = Date.now()): Check[] {
  return [node(), clock(now), ...proxies(env), ...noProxy(env), ...files(env), ...unsafe(env)];
}

function node(): Check {
  return { name: 'node', state: 'ok', message: `Node ${process.versions.node} on ${process.platform} ${process.arch}` };
}

function clock(now: number): Check {
  if (now >= EARLIEST) return { name: 'clock', state: 'ok', message: new Date(now).toISOString() };
  const message = `the clock says ${new Date(now).toISOString()}: certificates will not be valid`;
  return { name: 'clock', state: 'fail', message, next: 'set the clock (timedatectl set-ntp true)' };
}

function proxies(env: NodeJS.ProcessEnv): Check[] {
  const set = PROXIES.filter((name) => env[name]);
  if (set.length === 0)
    return [
      {
        name: 'proxy',
        state: 'warn',
        message: 'no proxy variable is set in this shell',
        next: 'eval "$(weir env --agent NAME)"',
      },
    ];
  const checks: Check[] = [];
  for (const name of set) {
    const text = env[name] ?? '';
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (!url)
      checks.push({
        name,
        state: 'fail',
        message: 'is not a URL, programs will fail or go direct',
        next: 'eval "$(weir env)"',
      });
    else checks.push(named(name, url));
  }
  if (Boolean(env['HTTPS_PROXY'] ?? env['https_proxy']) !== Boolean(env['HTTP_PROXY'] ?? env['http_proxy']))
    checks.push({
      name: 'proxy',
      state: 'warn',
      message: 'only one of HTTP_PROXY and HTTPS_PROXY is set',
      next: 'eval "$(weir env)"',
    });
  return checks;
}

function named(name: string, url: URL): Check {
  const shown = `${url.protocol}//${url.host}`;
  if (url.username !== '' && url.password === '')
    return {
      name,
      state: 'warn',
      message: `${shown} has a user without a password: git asks for one, Python and Node fetch send no name`,
      next: `use http://${url.username}:x@${url.host}`,
    };
  return { name, state: 'ok', message: url.username === '' ? shown : `${shown} as ${url.username}` };
}

function noProxy(env: NodeJS.ProcessEnv): Check[] {
  return ['NO_PROXY', 'no_proxy'].flatMap((name): Check[] => {
    const text = env[name];
    if (!text) return [];
    const entries = text.split(',').map((entry) => entry.trim());
    if (entries.includes('*'))
      return [{ name, state: 'fail', message: 'is *: nothing goes through the proxy', next: `unset ${name}` }];
    if (entries.some((entry) => entry.includes('[') || entry.includes('/')))
      return [
        {
          name,
          state: 'fail',
          message: 'has brackets or a CIDR: httpx (OpenAI, Anthropic SDKs) raises at start',
          next: `export ${name}=localhost,127.0.0.1,::1`,
        },
      ];
    const others = entries.filter((entry) => !['', 'localhost', '127.0.0.1', '::1'].includes(entry));
    if (others.length > 0) return [{ name, state: 'warn', message: `these go around Weir: ${others.join(', ')}` }];
    return [{ name, state: 'ok', message: text }];
  });
}

function files(env: NodeJS.ProcessEnv): Check[] {
  return FILES.flatMap((name): Check[] => {
    const path = env[name];
    if (!path) return [];
    if (existsSync(path)) return [{ name, state: 'ok', message: path }];
    return [
      {
        name,
        state: 'fail',
        message: `${path} does not exist: TLS will fail`,
        next: 'eval "$(weir env)", or unset it',
      },
    ];
  });
}

function unsafe(env: NodeJS.ProcessEnv): Check[] {
  const checks: Check[] = [];
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0')
    checks.push({
      name: 'TLS',
      state: 'warn',
      message: 'NODE_TLS_REJECT_UNAUTHORIZED=0: Node programs accept any certificate',
      next: 'unset it; weir env gives the CA',
    });
  if (/--inspect/.test(env['NODE_OPTIONS'] ?? ''))
    checks.push({
      name: 'NODE_OPTIONS',
      state: 'fail',
      message: 'opens a debugger; weir start refuses it',
      next: 'unset NODE_OPTIONS',
    });
  return checks;
}

/** Whether something accepts on the port. Never rejects. */
export function accepts(host: string, port: number, ms = 1000): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (open: boolean): void => {
      socket.destroy();
      resolve(open);
    };
    socket.setTimeout(ms, () => done(false));
    socket.on('connect', () => done(true));
    socket.on('error', () => done(false));
  });
}
