import { type Cidr, cidrContains, parseAddress, parseCidr } from '../model/cidr.ts';
import type { Exchange } from '../model/exchange.ts';
import { compileHostPattern, type HostPattern, matchPattern } from '../model/glob.ts';
import type { Categories } from './categories.ts';
import { pathMatches, rulePath } from './rule-path.ts';

/** One entry of an allowed or blocked list. Empty lists do not narrow. */
export interface DestinationRule {
  /** Host, host glob (`*.example.org`), IP literal, CIDR or `@category`. */
  readonly host: string;
  readonly ports: readonly number[];
  readonly methods: readonly string[];
  readonly paths: readonly string[];
}

interface Compiled {
  readonly rule: DestinationRule;
  /** Narrowed by method or path: cannot be judged by a CONNECT alone. */
  readonly scoped: boolean;
  /** Names particular destinations, unlike `*`. */
  readonly explicit: boolean;
  matches(host: string): boolean;
}

/** A compiled list. */
export interface RuleList {
  readonly empty: boolean;
  /** Rules whose host matches, memoised per host (bounded). */
  candidates(host: string): readonly Compiled[];
}

const NONE: readonly Compiled[] = [];
const CACHE = 4096;

/** Compiles a list. Throws Error with a sentence for people for a rule that can never mean anything. */
export function compileRules(rules: readonly DestinationRule[], categories: Categories): RuleList {
  const compiled = rules.map((rule) => compile(rule, categories));
  const cache = new Map<string, readonly Compiled[]>();
  return {
    empty: compiled.length === 0,
    candidates(host) {
      if (compiled.length === 0) return NONE;
      const cached = cache.get(host);
      if (cached !== undefined) return cached;
      const found = compiled.filter((rule) => rule.matches(host));
      if (cache.size >= CACHE) cache.clear();
      cache.set(host, found.length === 0 ? NONE : found);
      return found;
    },
  };
}

function compile(rule: DestinationRule, categories: Categories): Compiled {
  const { host } = rule;
  const scoped = rule.paths.length > 0 || rule.methods.length > 0;
  if (host.startsWith('@')) {
    const name = host.slice(1);
    if (!categories.names.has(name)) {
      throw new Error(`"${host}" is no category; known are ${[...categories.names].map((n) => `@${n}`).join(', ')}`);
    }
    return { rule, scoped, explicit: true, matches: (target) => categories.of(target).some((c) => c.name === name) };
  }
  if (host.includes('/')) {
    const range = parseCidr(host);
    if (range === undefined) throw new Error(`"${host}" is not a CIDR like 10.0.0.0/8`);
    return { rule, scoped, explicit: true, matches: (target) => inRange(range, target) };
  }
  const pattern: HostPattern = compileHostPattern(host);
  return { rule, scoped, explicit: pattern.form !== 'any', matches: (target) => matchPattern(pattern, target) };
}

function inRange(range: Cidr, host: string): boolean {
  const address = parseAddress(host);
  return address !== undefined && cidrContains(range, address);
}

/** A block rule that applies to this exchange. On a CONNECT a rule about a method or path has nothing to judge yet. */
export function blockedBy(list: RuleList, exchange: Exchange): DestinationRule | undefined {
  for (const { rule, scoped } of list.candidates(exchange.destination.host)) {
    if (!portOk(rule, exchange.destination.port)) continue;
    if (!scoped) return rule;
    if (!methodOk(rule, exchange.request.method)) continue;
    if (rule.paths.length === 0) return rule;
    if (exchange.kind === 'connect') continue;
    const path = rulePath(exchange.request.target);
    if (rule.paths.some((p) => pathMatches(p, path.written) || pathMatches(p, path.meant))) return rule;
  }
  return undefined;
}

/** How an allow list answers: `scoped` = only by a rule about a method or path, which a CONNECT cannot show. */
export type Allowance = 'none' | 'scoped' | 'any' | 'explicit';

export function allowance(list: RuleList, exchange: Exchange): Allowance {
  let best: Allowance = 'none';
  for (const { rule, scoped, explicit } of list.candidates(exchange.destination.host)) {
    if (!portOk(rule, exchange.destination.port)) continue;
    if (scoped) {
      if (exchange.kind === 'connect') {
        if (best === 'none') best = 'scoped';
        continue;
      }
      if (!methodOk(rule, exchange.request.method)) continue;
      if (rule.paths.length > 0) {
        const path = rulePath(exchange.request.target);
        const ok = rule.paths.some((p) => pathMatches(p, path.written) && pathMatches(p, path.meant));
        if (!ok) continue;
      }
    }
    if (explicit) return 'explicit';
    best = 'any';
  }
  return best;
}

/** True when a rule names this very port (or the list names port and host): an opaque protocol there is expected. */
export function namesPort(list: RuleList, host: string, port: number): boolean {
  return list.candidates(host).some(({ rule, explicit }) => explicit && rule.ports.includes(port));
}

function portOk(rule: DestinationRule, port: number): boolean {
  return rule.ports.length === 0 || rule.ports.includes(port);
}

function methodOk(rule: DestinationRule, method: string): boolean {
  return rule.methods.length === 0 || rule.methods.includes(method);
}
