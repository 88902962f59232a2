import { isDeepStrictEqual } from 'node:util';
import { leakParts } from './collector-leaks.ts';
import { patternFacts } from './collector-patterns.ts';
import { exchangeOf, type ListedRequest } from './collector-replay-lists.ts';
import { createScanning, givenRules, scanOptions } from './collector-scan.ts';
import type { Config } from './config/schema.ts';
import { addressInspector } from './inspect/address.ts';
import { createAgentKeys } from './inspect/identity.ts';
import { compileLeakRules, type LeakRules } from './inspect/leak-rules.ts';
import type { Exchange } from './model/exchange.ts';
import type { Disposition, Severity } from './model/finding.ts';
import { compileHosts } from './model/glob.ts';
import { kindOf } from './model/host.ts';
import type { Found } from './model/scan.ts';

export interface StoredFinding {
  readonly inspector: string;
  readonly rule: string;
  readonly severity: Severity;
  readonly disposition: Disposition;
  /** Where it was asked for: the fingerprint of a secret, the address that was judged. */
  readonly detail?: string;
}

/** What becomes of recorded findings under other dispositions. */
export interface Dispositions {
  /** Columns it reads; `unknown`, `foreign` and `detail` are made for it. */
  readonly columns: ReadonlySet<string>;
  /** The same array when nothing changes. */
  apply(
    findings: readonly StoredFinding[],
    request: ListedRequest,
    cells: Readonly<Record<string, unknown>>,
  ): readonly StoredFinding[];
}

type Change = (finding: StoredFinding, exchange: Exchange) => StoredFinding | undefined;

/**
 * How `config` disposes of what was found while `current` was in force: baselines, accounts, finds. What a new pattern would have
 * found is looked for in host and path, all that is stored of what was sent.
 */
export function dispositionsUnder(config: Config, current: Config): Dispositions {
  const columns = new Set<string>();
  const changes: Change[] = [];
  const blocks = config.baseline.on_unknown === 'block';
  changes.push((finding) => newcomer(finding, config.baseline.on_unknown));
  if (blocks) columns.add('unknown').add('foreign');
  const finds = changedFinds(config, current);
  if (finds !== undefined) {
    changes.push(finds);
    if (config.scan.suppress.length > 0) columns.add('detail').add('path');
  }
  const anew = newPatterns(config, current);
  if (anew !== undefined) columns.add('path');
  const addresses = otherInternal(config, current);
  if (addresses !== undefined) columns.add('detail').add('peer_address');
  const blocksUnscanned = unscannedBlocks(config);
  return {
    columns,
    apply(findings, request, cells) {
      const unknown = cells['unknown'] === true ? [blocked('baseline', 'not-in-baseline')] : NONE;
      const foreign = cells['foreign'] === true ? [blocked('account', 'credential-first-seen')] : NONE;
      const added = unknown.length + foreign.length > 0 || anew !== undefined || addresses !== undefined;
      if (findings.length === 0 && !added) return findings;
      const exchange = exchangeOf(request);
      const changed = findings.flatMap((finding) => {
        const after = changes.reduce<StoredFinding | undefined>((one, change) => one && change(one, exchange), finding);
        return after === undefined ? [] : [after];
      });
      const judged = addresses === undefined ? changed : addresses(changed, exchange, cells['peer_address']);
      const seen = judged.map((one) => (one.rule === 'unscanned' ? unread(one, blocksUnscanned(request.agent)) : one));
      const all = [...seen, ...unknown, ...foreign, ...(anew?.(exchange) ?? NONE)];
      return all.length === findings.length && all.every((one, i) => one === findings[i]) ? findings : all;
    },
  };
}

const NONE: readonly StoredFinding[] = [];

function blocked(inspector: string, rule: string): StoredFinding {
  return { inspector, rule, severity: 'high', disposition: 'block' };
}

/** Rules that `baseline.on_unknown` is about. */
const NEWCOMERS: ReadonlySet<string> = new Set([
  'first-seen',
  'new-port',
  'not-in-baseline',
  'credential-first-seen',
  'tenant-first-seen',
]);

function newcomer(finding: StoredFinding, disposition: 'flag' | 'block'): StoredFinding {
  if (!NEWCOMERS.has(finding.rule) || finding.disposition === disposition) return finding;
  return { ...finding, disposition, severity: disposition === 'block' ? 'high' : 'low' };
}

/** What could not be scanned asks for what the agent's configuration says now. */
function unread(finding: StoredFinding, blocks: boolean): StoredFinding {
  const disposition = blocks ? 'block' : 'flag';
  if (finding.disposition === disposition) return finding;
  return { ...finding, disposition, severity: blocks ? 'medium' : 'info' };
}

function unscannedBlocks({ agents, agent, body }: Config): (name: string) => boolean {
  const { configKey } = createAgentKeys(agents.keys(), agent);
  if (body.on_unscanned !== 'auto') return () => body.on_unscanned === 'block';
  return (name) => (agents.get(configKey(name))?.blocked_categories.length ?? 0) > 0;
}

type JudgeAddress = (findings: readonly StoredFinding[], exchange: Exchange, peer: unknown) => readonly StoredFinding[];

/** The address guard with other `destinations.internal`: asked again about the address that was judged or dialled. */
function otherInternal(config: Config, current: Config): JudgeAddress | undefined {
  const { internal } = config.destinations;
  if (isDeepStrictEqual(internal, current.destinations.internal)) return undefined;
  const { inspect } = addressInspector({ internal });
  const named = Object.keys(Object.fromEntries(config.upstream.resolve));
  const byOperator = compileHosts(named);
  return (findings, exchange, peer) => {
    const own = findings.find(({ inspector }) => inspector === 'address');
    const { host } = exchange.destination;
    const address = own?.detail ?? (kindOf(host) === 'name' ? peer : host);
    // Of a name with public and private answers only one of them is told.
    if (own?.rule === 'dns-rebinding' || typeof address !== 'string' || address === '') return findings;
    const resolved = { addresses: [address], delegated: false, byOperator: byOperator.has(host), dnsMs: 0 };
    const [again] = inspect(exchange, { resolved });
    if (again?.rule === own?.rule) return findings;
    const others = findings.filter((finding) => finding !== own);
    if (again === undefined) return others;
    const { inspector, rule, severity, disposition } = again;
    return [...others, { inspector, rule, severity, disposition }];
  };
}

/** Finds of patterns under other dispositions; undefined = nothing about them is different. */
function changedFinds(config: Config, current: Config): Change | undefined {
  const [after, before] = [findRules(config), findRules(current)];
  if (isDeepStrictEqual(after.said, before.said)) return undefined;
  const facts = new Map(patternFacts(config).map((fact) => [fact.id, fact]));
  const off = new Set(config.patterns.disable);
  return (finding, exchange) => {
    const fact = facts.get(finding.rule);
    if (fact === undefined || !finding.inspector.startsWith('scan')) return finding;
    if (off.has(finding.rule)) return undefined;
    const { id, kind, severity, category } = fact;
    const home = { empty: true, has: () => false };
    const found = {
      rule: id,
      kind,
      severity,
      category,
      home,
      fingerprint: finding.detail ?? '',
    } as unknown as Found;
    const place = finding.inspector === 'scan' ? 'body' : 'response';
    const was = before.rules.weigh(found, place, exchange)?.disposition;
    const now = after.rules.weigh(found, place, exchange);
    // A place that softens it does so whatever is said.
    if (finding.disposition !== was) return finding;
    return now === undefined ? undefined : now.disposition === was ? finding : { ...finding, ...now };
  };
}

function findRules(config: Config): { readonly rules: LeakRules; readonly said: unknown } {
  const agentKey = createAgentKeys(config.agents.keys(), config.agent).configKey;
  const { suppress } = config.scan;
  const given = givenRules(config);
  return {
    rules: compileLeakRules({ ...given, agentKey, suppress }),
    said: [given, suppress, config.patterns.disable],
  };
}

/** What patterns the current configuration does not have say of host and path. */
function newPatterns(config: Config, current: Config): ((exchange: Exchange) => readonly StoredFinding[]) | undefined {
  if (isDeepStrictEqual(config.patterns.directories, current.patterns.directories)) return undefined;
  const known = new Set(patternFacts(current).map(({ id }) => id));
  const added = new Set(
    patternFacts(config)
      .map(({ id }) => id)
      .filter((id) => !known.has(id)),
  );
  if (added.size === 0) return undefined;
  const only = { ...config, patterns: { ...config.patterns, secrets_file: undefined, secrets_env: [] } };
  const keys = createAgentKeys(config.agents.keys(), config.agent);
  const { inspectors } = leakParts(only, keys.configKey, createScanning(scanOptions(only, String, {})), (host) => host);
  const [head] = inspectors.filter(({ phase }) => phase === 'request');
  return (exchange) =>
    (head?.inspect(exchange, {}) ?? [])
      .filter(({ rule }) => added.has(rule))
      .map(({ inspector, rule, severity, disposition }) => ({ inspector, rule, severity, disposition }));
}
