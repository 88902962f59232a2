import { Command } from 'commander';
import type { Containment } from '../model/admin.ts';
import { type ProbeTargets, probeAll, type WayOut } from './containment.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { type ShellTrust, shellText, shellTrust } from './shell-trust.ts';
import { parseCount } from './time.ts';
import { type ProxyTarget, type VerifyAnswer, verifyThrough } from './verify-request.ts';

interface VerifyOptions extends ProbeTargets {
  readonly agent?: string;
  readonly proxy?: string;
  readonly containment?: boolean;
}

/** `weir verify`: proves path, CA and identity through the running proxy; `--containment` looks for ways around it. */
export function verifyCommand(cli: Cli): Command {
  return new Command('verify')
    .description('send requests through the proxy and say who it takes you for')
    .option('--agent <name>', 'claim to be this agent')
    .option('--proxy <url>', 'this proxy (default: the running collector, else HTTP_PROXY)')
    .option('--containment', 'also try to get out without the proxy: direct TCP, UDP/443, DNS, IPv6')
    .option('--target <host:port>', 'a server that is known to answer, for direct TCP and UDP')
    .option('--target6 <[address]:port>', 'the same, for IPv6')
    .option('--dns-server <address>', 'resolver to ask directly (default: those of the system)')
    .option('--timeout <ms>', 'per attempt (default 2000)', parseCount)
    .action((options: VerifyOptions) => verify(cli, options));
}

async function verify(cli: Cli, options: VerifyOptions): Promise<void> {
  const target = await proxyTarget(cli, options);
  const answers = [await verifyThrough(target, 'http'), await verifyThrough(target, 'https')];
  const ways = options.containment ? await probeAll(options) : [];
  const proven = ways.length > 0 && ways.every((way) => way.state === 'closed');
  const passed = answers.every((answer) => answer.through);
  if (passed) await tell(cli, proven ? 'network' : undefined);
  const shell = target.shell === undefined ? {} : { shell: target.shell };
  cli.print({ through: passed, answers, ...shell, ...(options.containment ? { ways, contained: proven } : {}) }, () =>
    [
      ...answers.map((answer) => answerText(answer, cli)),
      target.shell === undefined ? '' : shellText(target.shell),
      ...ways.map((way) => wayText(way, cli)),
      verdict(ways, proven),
    ]
      .filter(Boolean)
      .join('\n'),
  );
  if (!passed || (options.containment && !proven)) cli.exit(EXIT.found);
}

/** `--proxy`, else the running collector, else what this shell's programs would use. */
async function proxyTarget(
  cli: Cli,
  { proxy, agent }: VerifyOptions,
): Promise<ProxyTarget & { readonly shell?: ShellTrust }> {
  const fromUrl = (text: string): ProxyTarget => {
    if (!URL.canParse(text))
      throw new CliError(`${safe(text)} is not a proxy URL like http://researcher:x@127.0.0.1:8080`, EXIT.usage);
    const url = new URL(text);
    const user = agent ?? decodeURIComponent(url.username);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    return { host, port: Number(url.port || 80), user, password: decodeURIComponent(url.password) || 'x' };
  };
  if (proxy !== undefined) return fromUrl(proxy);
  try {
    const [facts, ca] = await cli.withClient((client) => Promise.all([client.environment(agent), client.ca()]));
    const shell = shellTrust(cli.env, facts.proxy, ca.pem, facts.caBundle !== undefined);
    return { ...fromUrl(`http://${facts.proxy}`), user: agent ?? '', ca: ca.pem, shell };
  } catch (error) {
    const inherited = cli.env['HTTP_PROXY'] || cli.env['http_proxy'] || cli.env['HTTPS_PROXY'];
    if (!inherited) throw error;
    return fromUrl(inherited);
  }
}

/** Tells the collector, when one is reachable from here, so that status says "verified". */
async function tell(cli: Cli, containment: Containment | undefined): Promise<void> {
  await cli
    .withClient((client) => client.verified(containment === undefined ? {} : { containment }))
    .catch(() => undefined);
}

function answerText(answer: VerifyAnswer, cli: Cli): string {
  if (!answer.through) return `${answer.scheme.padEnd(5)} ${cli.style('red', 'failed')}  ${safe(answer.problem, 300)}`;
  const { agent, identified_by, visibility, mode, containment } = answer;
  const facts = `agent ${safe(agent)} (${safe(identified_by)}), ${safe(visibility)}, ${safe(mode)}, ${safe(containment)}`;
  const trust =
    answer.trusted === false ? ' · Weir’s CA is not trusted here (matters where TLS is intercepted: weir env)' : '';
  return `${answer.scheme.padEnd(5)} ${cli.style('green', 'through')}  ${facts}${trust}`;
}

function wayText(way: WayOut, cli: Cli): string {
  const colour = way.state === 'closed' ? 'green' : way.state === 'open' ? 'red' : 'yellow';
  return `${way.name.padEnd(11)} ${cli.style(colour, way.state)}  ${safe(way.detail, 300)}`;
}

function verdict(ways: readonly WayOut[], proven: boolean): string {
  if (ways.length === 0) return '';
  if (proven) return 'containment: network. No way around the proxy was found from here.';
  if (ways.some((way) => way.state === 'open'))
    return 'containment: cooperative. A program here can leave without the proxy.';
  return 'containment: not proven. Name servers that are known to answer: --target HOST:PORT --target6 [ADDRESS]:PORT';
}
