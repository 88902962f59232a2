import { dirname, join } from 'node:path';
import { Command } from 'commander';
import { AGENT_NAME } from '../config/values.ts';
import type { EnvironmentFacts } from '../model/admin.ts';
import { type Cli, CliError, EXIT } from './context.ts';

/** Exactly this, no brackets and no CIDR: httpx refuses to start with either (product.md §9). */
const NO_PROXY = 'localhost,127.0.0.1,::1';

/** Variables that hold the path of a CA bundle, each read by some client. */
export const BUNDLE_VARIABLES = [
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'AWS_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'PIP_CERT',
  'npm_config_cafile',
  'YARN_HTTPS_CA_FILE_PATH',
  'CARGO_HTTP_CAINFO',
  'DENO_CERT',
  'NIX_SSL_CERT_FILE',
  'BUNDLE_SSL_CA_CERT',
  'HTTPLIB2_CA_CERTS',
  'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE',
  'CODEX_CA_CERTIFICATE',
  'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
] as const;

interface EnvOptions {
  readonly agent?: string;
  readonly docker?: boolean;
  readonly unset?: boolean;
}

/** `weir env`: lines for `eval "$(weir env)"`, or KEY=value lines for `docker run --env-file`. */
export function envCommand(cli: Cli): Command {
  return new Command('env')
    .description('variables that point programs at the running collector: eval "$(weir env --agent NAME)"')
    .option('--agent <name>', 'who the programs are')
    .option('--docker', 'KEY=value lines for --env-file, with host.docker.internal')
    .option('--unset', 'lines that undo it')
    .action((options: EnvOptions) => env(cli, options));
}

async function env(cli: Cli, options: EnvOptions): Promise<void> {
  if (options.unset) {
    const names = toUnset(cli);
    return cli.print(names, () => `unset ${names.join(' ')}`);
  }
  const agent = options.agent ?? 'default';
  if (!AGENT_NAME.test(agent))
    throw new CliError(
      `${JSON.stringify(agent)} is not an agent name: letters, digits, . _ -, at most 63.`,
      EXIT.usage,
    );
  const facts = await cli.withClient((client) => client.environment(options.agent));
  const set = variables(options.docker ? forDocker(facts) : facts, agent);
  cli.print(Object.fromEntries(set), () =>
    [...set]
      .map(([name, value]) => (options.docker ? `${name}=${value}` : `export ${name}=${quoted(value)}`))
      .join('\n'),
  );
  if (facts.token) cli.note(`${agent} has a token: put it in the place of the x, before the @`);
  if (options.docker && facts.caBundle !== undefined)
    // The directory: a file that is mounted by itself stays the old one when the CA is renewed.
    cli.note(
      `mount the bundle's directory into the container: -v ${dirname(facts.caBundle)}:${dirname(CONTAINER_BUNDLE)}:ro`,
    );
  return undefined;
}

/** What `weir env` sets; of the bundle variables only those that are ours, or somebody's own trust would be lost. */
function toUnset(cli: Cli): string[] {
  const ours = join(cli.stateDir(), 'public');
  const always = [...variables({ proxy: '127.0.0.1:0' }, 'default').keys()];
  return [...always, ...BUNDLE_VARIABLES.filter((name) => isInside(cli.env[name] ?? '', ours))];
}

function isInside(file: string, directory: string): boolean {
  return file === CONTAINER_BUNDLE || file.startsWith(`${directory}/`);
}

const CONTAINER_BUNDLE = '/etc/weir/bundle.pem';

function forDocker(facts: EnvironmentFacts): EnvironmentFacts {
  const port = facts.proxy.slice(facts.proxy.lastIndexOf(':') + 1);
  return {
    proxy: `host.docker.internal:${port}`,
    ...(facts.caBundle === undefined ? {} : { caBundle: CONTAINER_BUNDLE }),
  };
}

/** What product.md §9 sets, in order; bundle variables only while something is intercepted. */
export function variables(facts: EnvironmentFacts, agent: string): Map<string, string> {
  // Always with a password: with a bare user name several clients send nothing and git prompts (measured).
  const url = `http://${agent}:x@${facts.proxy}`;
  const set = new Map<string, string>();
  for (const name of ['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy']) set.set(name, url);
  for (const name of ['NO_PROXY', 'no_proxy']) set.set(name, NO_PROXY);
  set.set('NODE_USE_ENV_PROXY', '1');
  set.set('GIT_HTTP_PROXY_AUTHMETHOD', 'basic');
  if (facts.caBundle !== undefined) for (const name of BUNDLE_VARIABLES) set.set(name, facts.caBundle);
  return set;
}

function quoted(value: string): string {
  return /^[A-Za-z0-9_./:@,+=-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}
