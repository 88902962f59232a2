import { Command, InvalidArgumentError } from 'commander';
import { isLoopback, parseHostPort } from '../config/values.ts';
import type { Containment } from '../model/admin.ts';
import { type AskProxy, type ProbeTargets, probeAll, serverAt, type WayOut } from './containment.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { type ShellTrust, shellText, shellTrust } from './shell-trust.ts';
import { parseCount } from './time.ts';
import { askThrough, type ProxyTarget, type VerifyAnswer, verifyThrough } from './verify-request.ts';

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
    .option(
      '--target <host:port>',
      'a server outside that answers TCP; asked through the proxy too, as a control',
      place,
    )
    .option('--target6 <[address]:port>', 'the same, for IPv6', place)
    .option('--target-udp <host:port>', 'a server outside that answers QUIC (or any datagram)', place)
    .option('--dns-server <address>', 'a resolver outside, asked directly, besides those of the system', resolver)
    .option('--timeout <ms>', 'per attempt (default 2000)', parseCount)
    .action((options: VerifyOptions) => verify(cli, options));
}

function place(text: string): string {
  return sound(text, parseHostPort);
}

function resolver(text: string): string {
  return sound(text, serverAt);
}

function sound(text: string, parse: (text: string) => unknown): string {
  try {
    parse(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

async function verify(cli: Cli, options: VerifyOptions): Promise<void> {
  const target = await proxyTarget(cli, options);
  const answers = [await verifyThrough(target, 'http'), await verifyThrough(target, 'https')];
  const passed = answers.every((answer) => answer.through);
  const ask: AskProxy = (host, port, send) =>
    passed ? askThrough(target, host, port, send) : Promise.resolve('dead' as const);
  const ways = options.containment ? await probeAll(options, ask) : [];
  const proven = passed && ways.length > 0 && ways.every((way) => way.state === 'closed');
  const told = passed ? await tell(cli, target, measured(ways, proven)) : 'nobody';
  const shell = target.shell === undefined ? {} : { shell: target.shell };
  const contained = options.containment ? { ways, contained: proven, told } : {};
  cli.print({ through: passed, answers, ...shell, ...contained }, () =>
    [
      ...answers.map((answer) => answerText(answer, cli)),
      target.shell === undefined ? '' : shellText(target.shell),
      ...ways.map((way) => wayText(way, cli)),
      verdict(ways, passed, proven),
      ways.length === 0 ? '' : toldText(told),
    ]
      .filter(Boolean)
      .join('\n'),
  );
  if (!passed || (options.containment && !proven)) cli.exit(EXIT.found);
}

/** What the measurement allows to claim: a way out takes an earlier proof back, doubt changes nothing. */
function measured(ways: readonly WayOut[], proven: boolean): Containment | undefined {
  if (proven) return 'network';
  return ways.some((way) => way.state === 'open') ? 'cooperative' : undefined;
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

/** `collector`: its status now says it; `other`: the one reachable here is not this proxy; `nobody`: none is reachable. */
type Told = 'collector' | 'other' | 'nobody';

/**
 * Tells the collector, when it is this proxy's and its socket is reachable from here, so that status says "verified". Only
 * Weir's user gets that far (the socket is 0600): the agent's own word about its place would prove nothing.
 */
async function tell(cli: Cli, target: ProxyTarget, containment: Containment | undefined): Promise<Told> {
  try {
    return await cli.withClient(async (client) => {
      const { listeners } = await client.status();
      if (!listeners.some(({ address }) => isListener(address, target))) return 'other';
      await client.verified(containment === undefined ? {} : { containment });
      return 'collector';
    });
  } catch {
    return 'nobody';
  }
}

/** The proxy we went through is this listener; one on all addresses has every address of its port. */
function isListener(address: string, { host, port }: ProxyTarget): boolean {
  const own = parseHostPort(address);
  if (own.port !== port) return false;
  return (
    own.host === host || own.host === '0.0.0.0' || own.host === '::' || (host === 'localhost' && isLoopback(own.host))
  );
}

function toldText(told: Told): string {
  if (told === 'collector') return 'The collector knows: weir status';
  const how =
    'say it to its status as Weir’s user, from this network place: nsenter --net -t PID weir verify --containment';
  if (told === 'other')
    return `The collector of this state directory is not this proxy, so its status stays as it is; ${how}`;
  return `No collector’s socket is here (in an agent’s place that is right), so its status stays as it is; ${how}`;
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

function verdict(ways: readonly WayOut[], passed: boolean, proven: boolean): string {
  if (ways.length === 0) return '';
  if (proven) return 'containment: network. No way around the proxy was found from here.';
  const open = ways.filter((way) => way.state === 'open').map((way) => way.name);
  if (open.length > 0)
    return `containment: cooperative. A program here can leave without the proxy: ${open.join(', ')}.`;
  if (!passed) return 'containment: not proven. Without a proxy that answers there is nothing to compare with.';
  const doubtful = ways.filter((way) => way.state === 'undecided').map((way) => way.name);
  return `containment: not proven (${doubtful.join(', ')}). Silence counts only from a server that answers.`;
}
