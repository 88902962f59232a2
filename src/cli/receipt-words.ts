import { hostPort } from '../model/destination.ts';
import { printable } from '../model/printable.ts';
import type { ReportDestination, ReportDirect, ReportFacts, ReportNew, ReportUnread } from '../model/report.ts';

/** Rule of a destination's first use while the agent's baseline was still learning: news of the lesser kind. */
const FIRST_CONTACT = 'first-contact';
/** What to type after the line `enforce`: the list that enforcing would hold everybody to. */
const SUGGEST_COMMAND = 'weir policy suggest';
/** Makes a client that brings its own list of roots trust Weir's CA for some hosts. */
const TRUST_COMMAND = 'weir ca trust --only';
/** Direct connections shown by name. */
const DIRECT_SHOWN = 2;
/** Counts below this are exact. */
const EXACT = 100_000;

/** `180 KB`, `3.1 MB`, `48 MB`, in steps of 1000. */
export function amount(bytes: number): string {
  return scaled(bytes, ['B', 'KB', 'MB', 'GB', 'TB', 'PB']);
}

/** `412`, `38 k`, `1.2 M`. */
export function short(count: number): string {
  return scaled(count, ['', 'k', 'M', 'G', 'T', 'P']);
}

/** A count of requests: people compare them, so they stay exact as long as they are readable. */
export function exact(count: number): string {
  return count < EXACT ? String(Math.round(count)) : short(count);
}

function scaled(n: number, units: readonly string[]): string {
  let value = Number.isFinite(n) && n > 0 ? n : 0;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit > 0 && value < 9.95 ? value.toFixed(1) : String(Math.round(value));
  return `${digits} ${units[unit]}`.trimEnd();
}

/** `1 request`, `412 requests`. */
export function many(count: number, word: string): string {
  return `${exact(count)} ${word}${count === 1 ? '' : 's'}`;
}

/** The party on a shared host, else the host; the port where it is not the usual one. */
export function placeOf(d: Pick<ReportDestination, 'host' | 'port' | 'tenant'>): string {
  if (d.tenant !== undefined) return d.tenant;
  return d.host === '' || d.port === 443 || d.port === 80 ? d.host : hostPort(d.host, d.port);
}

/** `1.2 M tokens in, 38 k out`, `3 failed`; empty where neither is so. */
export function remarksOn(d: ReportDestination): string {
  const failed = d.failed === undefined || d.failed === 0 ? '' : `${exact(d.failed)} failed`;
  return [tokensOf(d), failed].filter((part) => part !== '').join(', ');
}

function tokensOf(d: ReportDestination): string {
  if (d.inputTokens === undefined && d.outputTokens === undefined) return '';
  if (d.inputTokens === undefined) return `${short(d.outputTokens ?? 0)} tokens out`;
  const out = d.outputTokens === undefined ? '' : `, ${short(d.outputTokens)} out`;
  return `${short(d.inputTokens)} tokens in${out}`;
}

/** What is new, without the place it stands beside. */
export function noveltyOf(n: ReportNew): string {
  switch (n.rule) {
    case 'first-seen':
    case 'never-seen':
      return n.requestBytes > 0 && n.severity !== 'info'
        ? `first contact, ${amount(n.requestBytes)} uploaded`
        : 'first contact';
    case 'credential-first-seen':
    case 'credential-never-seen':
      return `a credential ${printable(n.agent, 40)} has never used`;
    case 'tenant-first-seen':
      return newParty(n.message);
    case 'not-in-baseline':
      return `not in the baseline of ${printable(n.agent, 40)}`;
    case 'new-port':
      return 'a port never used there before';
    case 'new-method':
      return newMethod(n.message);
    case 'bytes-out':
      return `${amount(n.requestBytes)} sent, far beyond the usual`;
    case 'generated-name':
    case 'generated-domain':
      return 'a name computed rather than chosen';
    case 'data-in-name':
      return 'a name that may carry data';
    case FIRST_CONTACT:
      return 'first contact while learning';
    default:
      return printable(n.message === '' ? n.rule : n.message, 200);
  }
}

function newMethod(message: string): string {
  const method = /never used (\S{1,20}) at /.exec(message)?.[1];
  return method === undefined ? 'a method never used there' : `${printable(method, 20)} never used there before`;
}

function newParty(message: string): string {
  const party = / wrote to (\S{1,200}), /.exec(message)?.[1];
  return party === undefined ? 'a party never written to before' : `first write to ${printable(party, 80)}`;
}

/** First contacts while learning are told together, so that a first run does not shout. */
export function splitNew(facts: ReportFacts): { readonly told: readonly ReportNew[]; readonly first: ReportNew[] } {
  return {
    told: facts.new.filter((n) => n.rule !== FIRST_CONTACT),
    first: facts.new.filter((n) => n.rule === FIRST_CONTACT),
  };
}

/** What became of it: `blocked`, `redacted`, `would block`, `would redact`, or `← look` at what simply passed. */
export function markOf(what: {
  readonly action?: 'forward' | 'redact' | 'block';
  readonly would?: 'none' | 'redact' | 'block';
}): string {
  if (what.action === 'block') return 'blocked';
  if (what.would === 'block') return 'would block';
  if (what.action === 'redact') return 'redacted';
  return what.would === 'redact' ? 'would redact' : '← look';
}

/** Pieces of the line about connections around Weir; a piece is not broken. Sampling proves what it saw and nothing else. */
export function directWords(direct: readonly ReportDirect[], known = 0): string[] {
  const total = Math.max(
    known,
    direct.reduce((sum, { count }) => sum + count, 0),
  );
  const shown = direct.slice(0, DIRECT_SHOWN).map((d) => {
    const times = direct.length > 1 && d.count > 1 ? ` ×${exact(d.count)}` : '';
    return `${printable(d.program, 20)} → ${printable(hostPort(d.address, d.port), 60)}${times}`;
  });
  if (direct.length > DIRECT_SHOWN) shown.push(`${direct.length - DIRECT_SHOWN} more`);
  const list = shown.map((text, i) => `${i === 0 ? '(' : ''}${text}${i === shown.length - 1 ? '),' : ','}`);
  return [...`${many(total, 'direct connection')} around Weir`.split(' '), ...list, 'sampled 4×/s'];
}

/** Pieces of the line about hosts that were tunnelled although they should have been read, with the fix. */
export function unreadWords(u: ReportUnread): string[] {
  const client = u.client === undefined ? [] : [`${printable(u.client, 30)}:`];
  const hosts = u.hosts.slice(0, 2).map((host) => printable(host, 80));
  const more = u.hosts.length > 2 ? ` and ${u.hosts.length - 2} more` : '';
  const head = [...client, ...`${many(u.hosts.length, 'host')} tunnelled, not read`.split(' ')];
  if (u.reason === 'client-rejected-ca') {
    const who = u.client === undefined ? ['(the', 'client', 'does'] : ['(does'];
    return [...head, ...who, 'not', 'trust', "Weir's", 'CA:', `${TRUST_COMMAND} ${hosts[0] ?? 'HOST'})`];
  }
  return [...head, `(${hosts.join(', ')}${more}:`, ...`${reasonOf(u.reason)})`.split(' ')];
}

function reasonOf(reason: string): string {
  switch (reason) {
    case 'client-certificate-required':
      return 'asks for a client certificate';
    case 'upstream-unverifiable':
      return 'its certificate could not be verified';
    case 'upstream-handshake':
      return 'its TLS handshake failed';
    case 'client-tls-version':
      return 'the client speaks a TLS older than 1.2';
    case 'alpn-not-http':
      return 'what is spoken inside is not HTTP';
    default:
      return printable(reason, 60);
  }
}

/** `would have stopped 2 of 412`; undefined when nothing was or would have been. */
export function enforceSentence(facts: ReportFacts): string | undefined {
  const parts: string[] = [];
  if (facts.blocked > 0) parts.push(`stopped ${exact(facts.blocked)}`);
  if (facts.redacted > 0) parts.push(`redacted ${exact(facts.redacted)}`);
  if (facts.wouldBlock > 0) parts.push(`would have stopped ${exact(facts.wouldBlock)}`);
  return parts.length === 0 ? undefined : `${parts.join(', ')} of ${exact(facts.requests)}`;
}

/** The command to type next to {@link enforceSentence}; undefined when nothing was or would have been stopped. */
export function enforceCommand(facts: ReportFacts): string | undefined {
  if (facts.blocked === 0 && facts.wouldBlock === 0) return undefined;
  const [agent] = facts.agents;
  return facts.agents.length === 1 && agent !== undefined
    ? `${SUGGEST_COMMAND} --agent ${printable(agent, 63)}`
    : SUGGEST_COMMAND;
}

/** Whose report it is. */
export function subjectOf(facts: ReportFacts, max: number): string {
  if (facts.agents.length === 1) return printable(facts.agents[0] ?? '', max);
  if (facts.filter.agent !== undefined) return printable(facts.filter.agent, max);
  if (facts.agents.length > 1) return `${facts.agents.length} agents`;
  return printable(facts.run?.program ?? 'report', max);
}

/** How the run ended, or how many runs are covered; empty when neither is known. */
export function endingOf(facts: ReportFacts): string {
  if (facts.run === undefined) return facts.runs === 0 ? '' : many(facts.runs, 'run');
  if (facts.run.signal !== undefined) return `signal ${printable(facts.run.signal, 16)}`;
  return facts.run.code === undefined ? '' : `exit ${facts.run.code}`;
}

/** Nothing was seen and nothing is known to be missing. */
export function isSilent(facts: ReportFacts): boolean {
  const seen = facts.requests + facts.wouldBlock + facts.blocked + facts.redacted;
  const lists = [facts.new, facts.leaving, facts.direct, facts.unread, facts.remarks];
  return seen === 0 && lists.every((list) => list.length === 0);
}

/** Pieces on as many lines as needed; a piece (a command to copy) is never broken. */
export function wrap(pieces: readonly string[], room: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const piece of pieces) {
    const next = line === '' ? piece : `${line} ${piece}`;
    if (line !== '' && next.length > room) {
      lines.push(line);
      line = piece;
    } else line = next;
  }
  return line === '' ? lines : [...lines, line];
}
