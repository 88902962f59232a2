import { readFileSync } from 'node:fs';
import { BUNDLE_VARIABLES } from './env.ts';

/** What programs started from this shell would do, as far as its variables say. */
export interface ShellTrust {
  /** Proxy variables that lead to this Weir. */
  readonly proxied: readonly string[];
  /** Bundle variables that are set and hold Weir's certificate. */
  readonly trusting: readonly string[];
  /** Bundle variables that are set and do not. */
  readonly others: readonly string[];
  /** TLS of some host is intercepted, so trust matters. */
  readonly needed: boolean;
}

const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy', 'ALL_PROXY', 'all_proxy'];

/** Reads the variables and the files they name; `proxy` is Weir's `host:port`, `pem` its certificate. */
export function shellTrust(env: NodeJS.ProcessEnv, proxy: string, pem: string, needed: boolean): ShellTrust {
  const set = BUNDLE_VARIABLES.filter((name) => env[name]);
  const trusting = set.filter((name) => holds(env[name] ?? '', pem.trim()));
  return {
    proxied: PROXIES.filter((name) => leadsTo(env[name] ?? '', proxy)),
    trusting,
    others: set.filter((name) => !trusting.includes(name)),
    needed,
  };
}

/** One line for people. */
export function shellText({ proxied, trusting, others, needed }: ShellTrust): string {
  const way = proxied.length === 0 ? 'no proxy variable leads here' : 'its programs come through here';
  if (!needed) return `this shell: ${way}; no TLS is intercepted, so nothing has to trust Weir’s CA`;
  if (trusting.length > 0 && others.length === 0) return `this shell: ${way} and trust Weir’s CA`;
  const cure = 'eval "$(weir env)"';
  if (trusting.length === 0) return `this shell: ${way}; no variable of it names a bundle with Weir’s CA: ${cure}`;
  return `this shell: ${way}; ${others.join(', ')} name bundles without Weir’s CA: ${cure}`;
}

function leadsTo(value: string, proxy: string): boolean {
  return URL.canParse(value) && new URL(value).host === proxy;
}

function holds(file: string, pem: string): boolean {
  try {
    return readFileSync(file, 'utf8').includes(pem);
  } catch {
    return false;
  }
}
