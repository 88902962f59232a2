import type { RunOpened } from '../model/run.ts';
import { variables } from './env.ts';
import { STORE_PASSWORD, type TrustFiles } from './run-trust.ts';

const PROXY_NAMES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
const LOOPBACK_NAMES = ['NO_PROXY', 'no_proxy'];

/** What the flags of `weir run` change in the command's environment. */
export interface EnvironmentOptions {
  readonly agent: string;
  readonly watchLocalhost: boolean;
  readonly allProxy: boolean;
  readonly java: boolean;
}

/** The proxy variables the command would have had without Weir. */
export function inheritedProxy(env: NodeJS.ProcessEnv): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of PROXY_NAMES) {
    const value = env[name];
    if (value !== undefined && value !== '') found[name] = value;
  }
  return found;
}

/**
 * The command's environment: what we have, without Weir's own settings and keys, with the list of product.md §9. `trust` is
 * undefined when nothing of the run is intercepted; inherited CA files then stay as they are.
 */
export function childEnvironment(
  env: NodeJS.ProcessEnv,
  opened: RunOpened,
  trust: TrustFiles | undefined,
  options: EnvironmentOptions,
): Record<string, string> {
  const child: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !name.startsWith('WEIR_') && name !== 'STRATHON_API_KEY') child[name] = value;
  }
  const facts = { proxy: opened.proxy, ...(trust === undefined ? {} : { caBundle: trust.bundle }) };
  const set = variables(facts, options.agent);
  // Whoever had ALL_PROXY has programs that follow it, past us if it were left as it is.
  const inherited = ['ALL_PROXY', 'all_proxy'].filter((name) => (child[name] ?? '') !== '');
  const proxy = set.get('HTTPS_PROXY') ?? '';
  for (const name of options.allProxy ? ['ALL_PROXY', 'all_proxy'] : inherited) set.set(name, proxy);
  if (options.watchLocalhost) for (const name of LOOPBACK_NAMES) set.set(name, '');
  for (const [name, value] of set) child[name] = value;
  if (options.java)
    child['JAVA_TOOL_OPTIONS'] = javaOptions(child['JAVA_TOOL_OPTIONS'], opened, trust, options.watchLocalhost);
  return child;
}

/** Java reads no proxy variable and no PEM file: system properties say the same. */
function javaOptions(
  before: string | undefined,
  { proxy }: RunOpened,
  trust: TrustFiles | undefined,
  watchLocalhost: boolean,
): string {
  const colon = proxy.lastIndexOf(':');
  const [host, port] = [proxy.slice(0, colon), proxy.slice(colon + 1)];
  const properties = ['http', 'https'].flatMap((scheme) => [
    `-D${scheme}.proxyHost=${host}`,
    `-D${scheme}.proxyPort=${port}`,
  ]);
  properties.push(`-Dhttp.nonProxyHosts=${watchLocalhost ? '' : 'localhost|127.0.0.1|[::1]'}`);
  if (trust?.store !== undefined)
    properties.push(
      quoted(`-Djavax.net.ssl.trustStore=${trust.store}`),
      '-Djavax.net.ssl.trustStoreType=JKS',
      `-Djavax.net.ssl.trustStorePassword=${STORE_PASSWORD}`,
    );
  return [...(before === undefined || before === '' ? [] : [before]), ...properties].join(' ');
}

/** The JVM splits at blanks and knows both quotes, no backslash. */
function quoted(option: string): string {
  if (!/\s/.test(option)) return option;
  return option.includes('"') ? `'${option}'` : `"${option}"`;
}
