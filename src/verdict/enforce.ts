import { compileCidrs } from '../model/cidr.ts';
import type { Destination } from '../model/destination.ts';
import type { Disposition, Finding, Mode, Ruling, Verdict } from '../model/finding.ts';
import { compileHostPattern, matchPattern } from '../model/glob.ts';
import type { Permit, Resolved } from '../model/ports.ts';
import { STRENGTH } from './judge.ts';

/** A mode for a destination, globally or within one agent. */
export interface ModeRule {
  /** Host, host glob, CIDR or `@category`, as in lists. */
  readonly host: string;
  /** Empty = every port. */
  readonly ports: readonly number[];
  readonly mode: Mode;
}

export interface ModeOptions {
  readonly global: Mode;
  /** Keyed like `agents:`; `agentKey` leads from a name to its key. */
  readonly agents: ReadonlyMap<
    string,
    { readonly mode?: Mode | undefined; readonly destinations: readonly ModeRule[] }
  >;
  readonly agentKey: (agent: string) => string;
  readonly destinations: readonly ModeRule[];
  /** Said live of single agents (`weir mode`): stands in for the agent's own mode, below its destinations. */
  readonly overrides?: ReadonlyMap<string, Mode>;
  /** Whether a host is in a category; needed for rules that name one. */
  readonly inCategory?: (category: string, host: string) => boolean;
}

/**
 * Which mode applies: destination within the agent › said live of the agent › `run` (what `weir run --mode` asked for) ›
 * agent › destination › global (product.md §3).
 */
export type ModeFor = (
  agent: string,
  destination: { readonly host: string; readonly port: number },
  run?: Mode,
) => Mode;

type Lookup = (host: string, port: number) => Mode | undefined;

/** Compiles the mode table; immutable, a reload compiles another one. Throws Error for a host that is no pattern. */
export function compileModes(options: ModeOptions): ModeFor {
  const { global, agentKey, overrides = new Map<string, Mode>() } = options;
  const everywhere = compileLookup(options.destinations, options.inCategory);
  const agents = new Map(
    [...options.agents].map(([key, agent]) => [
      key,
      { mode: agent.mode, lookup: compileLookup(agent.destinations, options.inCategory) },
    ]),
  );
  if (agents.size === 0 && everywhere === undefined && overrides.size === 0)
    return (_name, _destination, run) => run ?? global;
  return (name, { host, port }, run) => {
    const key = agentKey(name);
    const agent = agents.get(key);
    const said = overrides.get(name) ?? overrides.get(key);
    return agent?.lookup?.(host, port) ?? said ?? run ?? agent?.mode ?? everywhere?.(host, port) ?? global;
  };
}

function compileLookup(rules: readonly ModeRule[], inCategory: ModeOptions['inCategory']): Lookup | undefined {
  if (rules.length === 0) return undefined;
  const compiled = rules.map((rule) => ({ rule, matches: hostTest(rule.host, inCategory) }));
  return (host, port) => {
    for (const { rule, matches } of compiled) {
      if ((rule.ports.length === 0 || rule.ports.includes(port)) && matches(host)) return rule.mode;
    }
    return undefined;
  };
}

function hostTest(host: string, inCategory: ModeOptions['inCategory']): (host: string) => boolean {
  if (host.startsWith('@')) {
    if (inCategory === undefined) throw new Error(`"${host}": a mode cannot name a category here`);
    const category = host.slice(1);
    return (target) => inCategory(category, target);
  }
  if (host.includes('/')) return compileCidrs([host]);
  const pattern = compileHostPattern(host);
  return (target) => matchPattern(pattern, target);
}

type Table = Readonly<Record<Mode, Readonly<Record<Disposition, Ruling>>>>;

const row = (mode: Mode, verdict: Disposition, action: Ruling['action'], would: Ruling['would']): Ruling =>
  Object.freeze({ mode, verdict, action, would });

/** The whole of product.md §3: a mode caps what is done about a verdict. A failed inspector reports `block`, so its rows are these. */
const TABLE: Table = {
  monitor: {
    allow: row('monitor', 'allow', 'forward', 'none'),
    flag: row('monitor', 'flag', 'forward', 'none'),
    redact: row('monitor', 'redact', 'forward', 'redact'),
    block: row('monitor', 'block', 'forward', 'block'),
  },
  redact: {
    allow: row('redact', 'allow', 'forward', 'none'),
    flag: row('redact', 'flag', 'forward', 'none'),
    redact: row('redact', 'redact', 'redact', 'none'),
    block: row('redact', 'block', 'forward', 'block'),
  },
  enforce: {
    allow: row('enforce', 'allow', 'forward', 'none'),
    flag: row('enforce', 'flag', 'forward', 'none'),
    redact: row('enforce', 'redact', 'redact', 'none'),
    block: row('enforce', 'block', 'block', 'none'),
  },
};
/** In redact mode, what a block verdict points at can at least be taken out. */
const LOCATED_BLOCK = row('redact', 'block', 'redact', 'block');
const ABSOLUTE: Readonly<Record<Mode, Ruling>> = {
  monitor: row('monitor', 'block', 'block', 'none'),
  redact: row('redact', 'block', 'block', 'none'),
  enforce: row('enforce', 'block', 'block', 'none'),
};

/**
 * (verdict × mode) → ruling. `located` = what the block is about can be redacted in place. Absolute findings (a request to
 * Weir itself) are refused in every mode.
 */
export function enforce(verdict: Verdict, findings: readonly Finding[], mode: Mode, located = false): Ruling {
  if (verdict.disposition === 'block') {
    for (const finding of findings) if (finding.absolute !== undefined) return ABSOLUTE[mode];
    if (located && mode === 'redact') return LOCATED_BLOCK;
  }
  return TABLE[mode][verdict.disposition];
}

/**
 * What was found too late to refuse anything raises the verdict, and `would` says what stopping in time had been. The action stays
 * what it was in every mode, unless all of it was taken out before it went on.
 */
export function enforceLate(ruling: Ruling, verdict: Verdict, takenOut = false): Ruling {
  if (ruling.action === 'block') return ruling;
  const { disposition } = verdict;
  const raised = STRENGTH[disposition] > STRENGTH[ruling.verdict];
  const action = takenOut ? 'redact' : ruling.action;
  if (!raised) return action === ruling.action ? ruling : { ...ruling, action, would: wouldOf(ruling.verdict, action) };
  return { mode: ruling.mode, verdict: disposition, action, would: wouldOf(disposition, action) };
}

/** What more would be done about a verdict than was. */
function wouldOf(verdict: Disposition, action: Ruling['action']): Ruling['would'] {
  if (verdict === 'block') return 'block';
  return verdict === 'redact' && action === 'forward' ? 'redact' : 'none';
}

/** The right to dial exactly the judged addresses; none when the ruling blocks or there is nothing to dial. */
export function mintPermit(ruling: Ruling, destination: Destination, resolved: Resolved): Permit | undefined {
  if (ruling.action === 'block') return undefined;
  if (resolved.addresses.length === 0 && !resolved.delegated) return undefined;
  return {
    brand: 'permit',
    destination,
    addresses: resolved.delegated ? [] : resolved.addresses,
    delegated: resolved.delegated,
    ...(resolved.port === undefined ? {} : { port: resolved.port }),
  };
}
