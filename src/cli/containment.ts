import { getServers } from 'node:dns';
import { BlockList, connect, isIP, isIPv6 } from 'node:net';
import { parseHostPort } from '../config/values.ts';
import { hostPort } from '../model/destination.ts';
import { answerCode, dnsQuestion, framed, overTcp } from './containment-dns.ts';
import { exchangeUdp, noRoute } from './containment-udp.ts';

/**
 * One way around the proxy. `closed`: nothing can leave from here (no route, a local refusal), or a server that answers did
 * not answer here. `open`: something answered. `undecided`: silence where nobody may be proves nothing.
 */
export interface WayOut {
  readonly name: 'direct TCP' | 'UDP/443' | 'DNS' | 'IPv6';
  readonly state: 'closed' | 'open' | 'undecided';
  readonly detail: string;
}

/**
 * What the proxy says of a server at the same moment: `answers` = it was reached, so silence here is this place's doing;
 * `refused` = the proxy may not go there, the operator's word stands; `dead` = it did not answer there either.
 */
export type Control = 'answers' | 'refused' | 'dead';

export interface ProbeTargets {
  /** `host:port` of a server that answers TCP. */
  readonly target?: string;
  readonly target6?: string;
  /** `host:port` of a server that answers QUIC's version negotiation, or any datagram. */
  readonly targetUdp?: string;
  /** Resolver outside, address or `address:port`. */
  readonly dnsServer?: string;
  /** Resolvers of the system, in place of the real ones. */
  readonly systemResolvers?: readonly string[];
  /** Milliseconds per attempt. */
  readonly timeout?: number;
}

/** Asks for a server through the proxy; with `send` it must also answer these bytes. Never rejects. */
export type AskProxy = (host: string, port: number, send?: Buffer) => Promise<Control>;

/** Documentation addresses (RFC 5737, RFC 3849): nobody is behind them, so only a missing route says anything. */
const NOBODY = '192.0.2.1';
const NOBODY6 = '2001:db8::1';
const TIMEOUT_MS = 2000;
/** RFC 1035 §4.1.1: SERVFAIL and REFUSED. From a resolver on loopback (Docker's) they mean that it resolves nothing outside. */
const RESOLVES_NOTHING = new Set([2, 5]);
const UNRESOLVED = new Set(['ENOTFOUND', 'EAI_AGAIN', 'ENODATA']);
const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

interface Finding {
  readonly state: WayOut['state'];
  readonly detail: string;
}

/** Tries every way out at once; what answers through `ask` and not here is closed. Never rejects. */
export async function probeAll(targets: ProbeTargets, ask: AskProxy): Promise<WayOut[]> {
  const ms = targets.timeout ?? TIMEOUT_MS;
  const { target, target6, targetUdp } = targets;
  const [direct, udp, dns, six] = await Promise.all([
    tcp(target, NOBODY, ask, ms),
    quic(targetUdp, target, ms),
    resolvers(targets.systemResolvers ?? getServers(), targets.dnsServer, ask, ms),
    overIpv6(target6, ask, ms),
  ]);
  return [
    { name: 'direct TCP', ...direct },
    { name: 'UDP/443', ...udp },
    { name: 'DNS', ...dns },
    { name: 'IPv6', ...six },
  ];
}

async function tcp(target: string | undefined, nobody: string, ask: AskProxy, ms: number): Promise<Finding> {
  const { host, port } = target === undefined ? { host: nobody, port: 443 } : parseHostPort(target);
  const to = hostPort(host, port);
  const failure = await dial(host, port, ms);
  if (failure === undefined) return { state: 'open', detail: `${to} was reached directly` };
  if (UNRESOLVED.has(failure)) return nameless(to, failure);
  if (target !== undefined) return judged(to, failure, await ask(host, port), await noRoute(host));
  return unaimed(to, failure, await noRoute(host), '--target HOST:PORT');
}

/** Undefined when connected, else what happened. */
function dial(host: string, port: number, ms: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (failure?: string): void => {
      socket.destroy();
      resolve(failure);
    };
    socket.setTimeout(ms, () => done(silence(ms)));
    socket.on('connect', () => done());
    socket.on('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  });
}

const silence = (ms: number): string => `no answer within ${ms} ms`;

/** A named server that was not reached: is that this place's doing, or is there nobody? */
function judged(to: string, failure: string, control: Control, route: string | undefined): Finding {
  if (control === 'answers') return { state: 'closed', detail: `${to}: ${failure}; through Weir it answers` };
  if (route !== undefined) return { state: 'closed', detail: `${to}: no route from here (${route})` };
  if (control === 'refused')
    return { state: 'closed', detail: `${to}: ${failure}; Weir may not go there, so that it answers is your word` };
  return { state: 'undecided', detail: `${to}: ${failure}, and it does not answer through Weir either` };
}

/** That a name means nothing here says nothing about its address. */
function nameless(to: string, failure: string): Finding {
  return { state: 'undecided', detail: `${to} has no address here (${failure}). Name the server by its address` };
}

/** Nobody was named: a missing route is proof, an answer of any kind is one too, silence is none. */
function unaimed(to: string, failure: string, route: string | undefined, option: string): Finding {
  if (route !== undefined) return { state: 'closed', detail: `no route from here to ${to} (${route})` };
  return { state: 'undecided', detail: `${to}: ${failure}; nobody is there. Name a server that answers: ${option}` };
}

/** A QUIC long header with a version nobody speaks: every QUIC server answers with Version Negotiation (RFC 9000 §6.1). */
function quicProbe(): Buffer {
  const packet = Buffer.alloc(1200);
  packet[0] = 0xc0;
  packet.writeUInt32BE(0x1a2a3a4a, 1);
  packet[5] = 8;
  packet[14] = 8;
  return packet;
}

/** Servers that speak TCP are mostly silent on UDP, so only a server named for UDP can prove that it is closed. */
async function quic(targetUdp: string | undefined, target: string | undefined, ms: number): Promise<Finding> {
  const named = targetUdp ?? target;
  const { host, port } = named === undefined ? { host: NOBODY, port: 443 } : parseHostPort(named);
  const to = hostPort(host, port);
  const { answer, failure = silence(ms) } = await exchangeUdp(host, port, quicProbe(), ms);
  if (answer !== undefined) return { state: 'open', detail: `${to} answered over UDP` };
  if (UNRESOLVED.has(failure)) return nameless(to, failure);
  const route = await noRoute(host);
  if (targetUdp === undefined) return unaimed(to, failure, route, '--target-udp HOST:PORT');
  if (route !== undefined) return { state: 'closed', detail: `${to}: no route from here (${route})` };
  return { state: 'closed', detail: `${to}: ${failure}; that it answers elsewhere is your word` };
}

/** Both transports of IPv6; a silent datagram adds nothing to what TCP says. */
async function overIpv6(target6: string | undefined, ask: AskProxy, ms: number): Promise<Finding> {
  const { host, port } = target6 === undefined ? { host: NOBODY6, port: 443 } : parseHostPort(target6);
  const [stream, datagram] = await Promise.all([
    tcp(target6, NOBODY6, ask, ms),
    exchangeUdp(host, port, quicProbe(), ms),
  ]);
  if (stream.state === 'open' || datagram.answer === undefined)
    return { ...stream, detail: stream.detail.replace('--target HOST:PORT', '--target6 [ADDRESS]:PORT') };
  return { state: 'open', detail: `${hostPort(host, port)} answered over UDP` };
}

/**
 * The system's resolvers, and one outside: that those of the system are silent says nothing about the others a program
 * could ask.
 */
async function resolvers(
  configured: readonly string[],
  outside: string | undefined,
  ask: AskProxy,
  ms: number,
): Promise<Finding> {
  const system = configured.map((server) => serverAt(server));
  const named = outside === undefined ? undefined : serverAt(outside);
  const findings = await Promise.all([
    ...system.map(({ host, port }) => resolver(host, port, ask, ms, false)),
    named === undefined ? noResolver(ms) : resolver(named.host, named.port, ask, ms, true),
  ]);
  const worst = (state: WayOut['state']): readonly Finding[] => findings.filter((one) => one.state === state);
  const shown = [worst('open'), worst('undecided'), worst('closed')].find((group) => group.length > 0) ?? [];
  return { state: shown[0]?.state ?? 'undecided', detail: shown.map(({ detail }) => detail).join(' · ') };
}

/** `address` or `address:port`, as `--dns-server` takes it. Throws Error with a sentence for people. */
export function serverAt(text: string): { host: string; port: number } {
  if (isIP(text) !== 0) return { host: text, port: 53 };
  return parseHostPort(/:\d+$/.test(text) ? text : `${text}:53`);
}

async function noResolver(ms: number): Promise<Finding> {
  const { failure = silence(ms) } = await exchangeUdp(NOBODY, 53, dnsQuestion(), ms);
  return unaimed(`${NOBODY}:53`, failure, await noRoute(NOBODY), '--dns-server ADDRESS');
}

/** Over UDP and over TCP. An answer of any kind means that a name can carry data out. */
async function resolver(host: string, port: number, ask: AskProxy, ms: number, named: boolean): Promise<Finding> {
  const to = hostPort(host, port);
  const question = dnsQuestion();
  const [datagram, stream] = await Promise.all([
    exchangeUdp(host, port, question, ms),
    overTcp(host, port, question, ms),
  ]);
  const local = LOOPBACK.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');
  for (const [way, reply] of [
    ['UDP', datagram.answer],
    ['TCP', stream.answer],
  ] as const) {
    if (reply === undefined || (local && RESOLVES_NOTHING.has(answerCode(reply)))) continue;
    return { state: 'open', detail: `${to} answered over ${way}: names can carry data out` };
  }
  if (datagram.answer !== undefined || stream.answer !== undefined)
    return { state: 'closed', detail: `${to} answers, and resolves nothing outside` };
  const failure = `UDP ${datagram.failure ?? silence(ms)}, TCP ${stream.failure ?? silence(ms)}`;
  // One of the system's that is silent is no way out; whether another could be asked is the finding of the named one.
  if (!named) return { state: 'closed', detail: `${to}: ${failure}` };
  return judged(to, failure, await ask(host, port, framed(question)), await noRoute(host));
}
