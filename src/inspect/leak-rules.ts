import type { Exchange } from '../model/exchange.ts';
import type { Disposition, Finding, Severity } from '../model/finding.ts';
import { compileHosts, type HostSet } from '../model/glob.ts';
import type { Found, FoundKind } from '../model/scan.ts';
import {
  type BothWays,
  type BySeverity,
  DEFAULTS,
  type Dispositions,
  from,
  isTold,
  type LeakPlace,
  mayGo,
  type PatternFacts,
  type Weight,
  weigh,
} from './leak-weight.ts';
import { OUTGOING } from './leak-words.ts';
import { pathMatches, rulePath } from './rule-path.ts';

/** One for all severities, or for some of them; the others stay as they are. */
export type Given = Disposition | { readonly [S in Severity]?: Disposition | undefined };

/** What a configuration says of one direction; what it does not say stays. */
export type GivenWay = { readonly [K in FoundKind]?: Given | undefined } & {
  readonly categories?: Readonly<Record<string, Given>> | undefined;
};

/** As the configuration writes it, at any level. */
export interface GivenWays {
  readonly requests?: GivenWay | undefined;
  readonly responses?: GivenWay | undefined;
}

/** A find that is known and accepted: all that is named must agree. */
export interface Suppressed {
  readonly fingerprint?: string | undefined;
  readonly rule?: string | undefined;
  readonly host?: string | undefined;
  /** Of the request: as in destination rules. */
  readonly path?: string | undefined;
  readonly reason?: string | undefined;
}

export interface GivenRules {
  readonly everywhere: GivenWays;
  /** The first one that has the host counts. */
  readonly destinations: readonly (GivenWays & { readonly hosts: readonly string[] })[];
  /** Keyed like `agents:`; `blocked` = kinds and categories that ask for a block whatever else is said. */
  readonly agents: ReadonlyMap<string, GivenWays & { readonly blocked: readonly string[] }>;
}

export interface LeakRulesOptions extends GivenRules {
  readonly agentKey: (agent: string) => string;
  readonly suppress: readonly Suppressed[];
}

/** What finds mean for whom and where. Immutable but for what it counts. */
export interface LeakRules {
  /** Undefined = nothing is told. */
  weigh(found: Found, place: LeakPlace, exchange: Exchange): Weight | undefined;
  /** Finds that were kept quiet, by `suppress` entry. */
  readonly suppressed: readonly number[];
}

const KINDS: readonly FoundKind[] = ['credential', 'pii', 'financial', 'injection'];

/** Rules as nothing is configured. */
export const PLAIN: LeakRules = {
  weigh: (found, place, exchange) =>
    isTheirs(found, exchange) ? weigh(found, place, exchange.destination.host) : undefined,
  suppressed: [],
};

/** What is a secret in the environment of one run is an ordinary word to others. */
function isTheirs({ runs }: Found, { connection }: Exchange): boolean {
  return runs === undefined || (connection.run !== undefined && runs.has(connection.run.id));
}

/** Compiles them: agent › destination › everywhere › defaults (product.md §3). Throws Error for a host that is no pattern. */
export function compileLeakRules(options: LeakRulesOptions): LeakRules {
  const suppress = compileSuppress(options.suppress);
  const everywhere = merged(DEFAULTS, options.everywhere);
  const destinations = options.destinations.map((one) => ({
    hosts: compileHosts(one.hosts),
    given: one,
    rules: merged(everywhere, one),
  }));
  const agents = new Map(
    [...options.agents]
      .filter(([, { requests, responses, blocked }]) => requests || responses || blocked.length > 0)
      .map(([key, agent]) => {
        const over = (below: BothWays): BothWays => blocking(merged(below, agent), agent.blocked);
        return [key, [over(everywhere), ...destinations.map(({ rules }) => over(rules))]] as const;
      }),
  );
  const rulesOf = (agent: string, host: string): BothWays => {
    const at = destinations.findIndex(({ hosts }) => hosts.has(host));
    const own = agents.size === 0 ? undefined : agents.get(options.agentKey(agent));
    return own?.[at + 1] ?? (at < 0 ? everywhere : (destinations[at] as (typeof destinations)[number]).rules);
  };
  return {
    suppressed: suppress.counts,
    weigh(found, place, exchange) {
      if (!isTheirs(found, exchange)) return undefined;
      const { host } = exchange.destination;
      const weight = weigh(found, place, host, rulesOf(exchange.identity.agent, host));
      if (weight === undefined || suppress.has(found, exchange)) return undefined;
      const raised = weight.disposition === 'flag' && mayGo(place) && wantsRedaction(exchange.findings);
      return raised ? { ...weight, disposition: 'redact' } : weight;
    },
  };
}

/** A `redact` policy has decided (product.md §8): what patterns find is taken out where it would only be flagged. */
export function wantsRedaction(findings: readonly Finding[]): boolean {
  return findings.some(({ disposition, policy }) => disposition === 'redact' && policy?.action === 'redact');
}

/** What was found in a head before the policies were asked. */
export function raiseFlags(findings: Finding[]): void {
  for (const [i, finding] of findings.entries()) {
    const { disposition, located, inspector } = finding;
    if (inspector === OUTGOING && disposition === 'flag' && located !== undefined)
      findings[i] = { ...finding, disposition: 'redact' };
  }
}

/** What a configuration tells anything of, for anybody and anywhere: what the scanner has to look for. */
export function toldBy(options: GivenRules): (direction: keyof BothWays, pattern: PatternFacts) => boolean {
  const everywhere = merged(DEFAULTS, options.everywhere);
  const places = [everywhere, ...options.destinations.map((one) => merged(everywhere, one))];
  const agents = [...options.agents.values()];
  const all = [
    ...places,
    ...agents.flatMap((agent) => places.map((below) => blocking(merged(below, agent), agent.blocked))),
  ];
  return (direction, pattern) => all.some((rules) => isTold(rules, direction, pattern));
}

function merged(below: BothWays, over: GivenWays): BothWays {
  return { requests: way(below.requests, over.requests), responses: way(below.responses, over.responses) };
}

function way(below: Dispositions, over: GivenWay | undefined): Dispositions {
  if (over === undefined) return below;
  const kinds = Object.fromEntries(
    KINDS.map((kind) => [kind, bySeverity(below.kinds[kind], over[kind])]),
  ) as Dispositions['kinds'];
  const categories = new Map(below.categories);
  for (const [name, given] of Object.entries(over.categories ?? {}))
    categories.set(name, bySeverity(categories.get(name) ?? from('info', 'allow'), given));
  return { kinds, categories };
}

function bySeverity(below: BySeverity, given: Given | undefined): BySeverity {
  if (given === undefined) return below;
  // One word says what is done about what is told, not that more is told: an e-mail address stays what it is.
  if (typeof given === 'string') {
    const told = Object.entries(below).filter(([, disposition]) => disposition !== 'allow');
    const least = (told[0]?.[0] ?? 'medium') as Severity;
    return from(least, given);
  }
  const said = Object.entries(given).filter(([, disposition]) => disposition !== undefined);
  return { ...below, ...Object.fromEntries(said) } as BySeverity;
}

/** `blocked_categories` names kinds and categories. */
function blocking(rules: BothWays, blocked: readonly string[]): BothWays {
  if (blocked.length === 0) return rules;
  const all = (names: readonly string[]): Record<string, Disposition> =>
    Object.fromEntries(names.map((name) => [name, 'block']));
  const categories = all(blocked.filter((name) => !KINDS.includes(name as FoundKind)));
  const kinds = KINDS.filter((kind) => blocked.includes(kind));
  return {
    requests: way(rules.requests, { ...all(kinds.filter((kind) => kind !== 'injection')), categories }),
    responses: way(rules.responses, { ...all(kinds), categories }),
  };
}

function compileSuppress(entries: readonly Suppressed[]): {
  readonly counts: readonly number[];
  has(found: Found, exchange: Exchange): boolean;
} {
  const counts = entries.map(() => 0);
  const compiled = entries.map((entry, index) => ({ entry, index, hosts: hostsOf(entry) }));
  return {
    counts,
    has(found, exchange) {
      for (const { entry, index, hosts } of compiled) {
        if (entry.fingerprint !== undefined && entry.fingerprint !== found.fingerprint) continue;
        if (entry.rule !== undefined && entry.rule !== found.rule) continue;
        if (hosts !== undefined && !hosts.has(exchange.destination.host)) continue;
        // Only as it is written: another reading of it must not keep a find quiet.
        if (entry.path !== undefined && !agrees(entry.path, exchange.request.target)) continue;
        // What has only begun is no find yet.
        if (found.fingerprint !== '') counts[index] = (counts[index] as number) + 1;
        return true;
      }
      return false;
    },
  };
}

function hostsOf({ host }: Suppressed): HostSet | undefined {
  return host === undefined ? undefined : compileHosts([host]);
}

function agrees(pattern: string, target: string): boolean {
  const { written, meant } = rulePath(target);
  return pathMatches(pattern, written) && pathMatches(pattern, meant);
}
