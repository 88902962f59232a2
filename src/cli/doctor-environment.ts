import type { Check } from './doctor.ts';

/** Proxy variables programs read; curl reads `http_proxy` in lower case only. */
export const PROXY_VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'ALL_PROXY', 'all_proxy'];

/** What this shell hands to programs. Values are shown without userinfo: it may be a password. */
export function environmentChecks(env: NodeJS.ProcessEnv): Check[] {
  return [node(), ...proxies(env), ...noProxy(env), ...unsafe(env)];
}

function node(): Check {
  return { name: 'node', state: 'ok', message: `Node ${process.versions.node} on ${process.platform} ${process.arch}` };
}

function proxies(env: NodeJS.ProcessEnv): Check[] {
  const set = PROXY_VARIABLES.filter((name) => env[name]);
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
    // `localhost:8080` is a URL too, with the scheme `localhost:` and no host.
    const url = URL.canParse(text) && new URL(text).host !== '' ? new URL(text) : undefined;
    if (!url)
      checks.push({
        name,
        state: 'fail',
        message: 'is not a URL like http://127.0.0.1:8080: programs will fail or go direct',
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
  return [...checks, ...partly(env)];
}

/** Some programs are pointed at the proxy and others are not. */
function partly(env: NodeJS.ProcessEnv): Check[] {
  const checks: Check[] = [];
  if (env['HTTP_PROXY'] && !env['http_proxy'])
    checks.push({
      name: 'http_proxy',
      state: 'warn',
      message: 'is not set: curl reads it in lower case only and sends http:// direct',
      next: 'eval "$(weir env)"',
    });
  if (env['NODE_USE_ENV_PROXY'] !== '1')
    checks.push({
      name: 'NODE_USE_ENV_PROXY',
      state: 'warn',
      message: 'is not 1: fetch, http and https of Node go direct',
      next: 'export NODE_USE_ENV_PROXY=1',
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
    if (others.length > 0)
      return [
        {
          name,
          state: 'warn',
          message: `these go around Weir: ${others.join(', ')}`,
          next: `export ${name}=localhost,127.0.0.1,::1`,
        },
      ];
    return [{ name, state: 'ok', message: text }];
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
