import { dataOf } from './collector-library.ts';
import { dispositionsUnder, type StoredFinding } from './collector-replay-findings.ts';
import { LIST_RULES, type ListedRequest, type ListVerdict, storedLists } from './collector-replay-lists.ts';
import { isKept, POLICY, type Said, storedPolicies } from './collector-replay-policies.ts';
import { modesOf } from './collector-stages.ts';
import type { Config } from './config/schema.ts';
import { compileCategories } from './inspect/categories.ts';
import { createAgentKeys } from './inspect/identity.ts';
import type { Disposition, Finding, Mode } from './model/finding.ts';
import type { PolicySet } from './policy/policy.ts';
import { enforce, type ModeFor } from './verdict/enforce.ts';
import { deciding, judge } from './verdict/judge.ts';

export type { StoredFinding } from './collector-replay-findings.ts';

/** What is held against the stored rows. */
export interface ReplayRules {
  readonly config: Config;
  /** What was in force when the rows were written, as far as that is known. Default: `config`. */
  readonly current?: Config;
  /** Policies that are asked; undefined = none. */
  readonly policies: PolicySet | undefined;
  /** As if everything ran in this mode; `configured`: as the configuration says for each. */
  readonly mode: Mode | 'configured';
}

/** Cells of rows of `exchanges` that are alike, by column, and what was found in them. */
export interface StoredExchange {
  readonly cells: Readonly<Record<string, unknown>>;
  readonly findings: readonly StoredFinding[];
}

/** What the rules make of it; `verdict` is mode-free, undefined where several agree with what is stored. */
export interface Replayed {
  readonly verdict: Disposition | undefined;
  /** undefined = not known, and why. */
  readonly stopped: boolean | undefined;
  /** What decides. */
  readonly rule: string;
  readonly reason?: string;
}

export interface Replay {
  /** Columns of `exchanges` whose cells `judge` reads. */
  readonly columns: ReadonlySet<string>;
  judge(stored: StoredExchange): Replayed;
}

/** Columns that are always read. */
const BASE = [
  'kind',
  'agent',
  'scheme',
  'host',
  'port',
  'method',
  'verdict',
  'action',
  'outcome',
  'error_type',
  'ever_dialled',
  'in_run',
  'begun',
];
/** Failures that come before anything is judged: no rule was asked. */
const UNASKED: ReadonlySet<string> = new Set([
  'bad-request',
  'auth-required',
  'stopped',
  'not-recorded',
  'limit-reached',
]);
/** Compiles rules for rows. Rejects with a sentence for people for a configuration that means nothing. */
export async function createReplay(rules: ReplayRules): Promise<Replay> {
  const config = withUrls(rules);
  const categories = compileCategories(dataOf('destinations'));
  const lists = storedLists(config, categories);
  const policies = await storedPolicies(config, rules.policies, categories);
  const dispositions = dispositionsUnder(config, rules.current ?? config);
  const keys = createAgentKeys(config.agents.keys(), config.agent);
  const overrides = { agents: new Map(), stopped: new Set<string>(), everyoneStopped: false };
  const modeFor = modesOf(config, overrides, keys.configKey, categories);
  const paths = lists.readPaths ? ['path'] : [];
  return {
    columns: new Set<string>([...BASE, ...paths, ...policies.columns, ...dispositions.columns]),
    judge(row) {
      const { cells, findings } = row;
      const request = requestOf(cells, config);
      const mode = modeOf(rules.mode, modeFor, row);
      return judged(row, {
        lists: lists.ask(request),
        policies: policies.ask(cells),
        connect: policies.askConnect(cells),
        findings: dispositions.apply(findings, request, cells),
        mode,
      });
    },
  };
}

/** What the rows keep of a URL is what was configured when they were written. */
function withUrls({ config, current = config }: ReplayRules): Config {
  return { ...config, telemetry: { ...config.telemetry, url: current.telemetry.url } };
}

/** What the rules say of one row. */
interface Opinions {
  readonly lists: ListVerdict;
  readonly policies: readonly Said[];
  readonly connect: readonly Said[];
  /** Recorded ones as they would be disposed of. */
  readonly findings: readonly StoredFinding[];
  readonly mode: Mode;
}

function modeOf(mode: ReplayRules['mode'], modeFor: ModeFor, { cells }: StoredExchange): Mode {
  if (mode !== 'configured') return mode;
  return modeFor(String(cells['agent']), { host: String(cells['host']), port: Number(cells['port']) });
}

function requestOf(cells: StoredExchange['cells'], config: Config): ListedRequest {
  const path = pathOf(cells, config);
  return {
    kind: cells['kind'] as 'exchange',
    agent: String(cells['agent']),
    scheme: cells['scheme'] as 'http',
    host: String(cells['host']),
    port: Number(cells['port']),
    method: String(cells['method']),
    path,
    run: cells['in_run'] === true,
    begun: cells['begun'] === true,
  };
}

/** As it was asked for; undefined where the record changed it. */
function pathOf(cells: StoredExchange['cells'], config: Config): string | undefined {
  const path = cells['path'];
  if (typeof path !== 'string' || !isKept(path, config)) return undefined;
  const end = path.indexOf('?');
  const shown = end < 0 ? path : path.slice(0, end);
  return /…|_REDACTED\]|<U\+/.test(shown) || !/^[/*]|^$/.test(shown) ? undefined : shown;
}

/** What was found stays; what lists and policies say is said anew. */
function judged(row: StoredExchange, opinions: Opinions): Replayed {
  const { cells } = row;
  const { findings, lists, policies, connect, mode } = opinions;
  const verdict = cells['verdict'] as Disposition;
  const recorded = { verdict, stopped: cells['action'] === 'block', rule: ruleOf(row.findings) };
  if (UNASKED.has(String(cells['error_type'])) || cells['host'] === 'invalid') return recorded;
  const finds = findings.filter((finding) => !isSaidAnew(finding)).map(findingOf);
  // What only records says nothing about stopping; it stays as it was.
  const before = strongest(row.findings.filter((one) => isSaidAnew(one) && RANK[one.disposition] > RANK.flag));
  const way = (
    kept: readonly Finding[],
    list: Finding | undefined,
    policy: Finding | undefined,
    outer: Finding | undefined,
  ): Replayed => {
    const anew = [list, policy].filter((finding) => finding !== undefined);
    const all = [...anew, ...kept];
    const same = findings === row.findings && strongest(anew) === before;
    const again = judge(all);
    const now = same ? { ...again, disposition: verdict } : again;
    const whole = outer === undefined ? all : [...all, outer];
    const { action } = enforce(outer === undefined ? now : judge(whole), whole, mode);
    return { verdict: now.disposition, stopped: action === 'block', rule: deciding(whole)?.rule ?? '' };
  };
  const ways = lists.possible.flatMap((list) =>
    policies.flatMap((policy) =>
      beforePolicies(finds, row, policy.finding).flatMap((kept) =>
        connect.map((outer) => way(kept, list, policy.finding, outer.finding)),
      ),
    ),
  );
  // Whether it was judged at all cannot be seen any more.
  if (cells['outcome'] === 'client-gone' && cells['ever_dialled'] === false) ways.push(recorded);
  return settled(ways, reasonOf(row, opinions));
}

/** A `redact` policy raised what was only flagged; which finds those were, the row does not say. */
function beforePolicies(
  finds: readonly Finding[],
  { findings }: StoredExchange,
  policy: Finding | undefined,
): readonly (readonly Finding[])[] {
  const raised = findings.some(({ inspector, disposition }) => inspector === POLICY && disposition === 'redact');
  if (!raised || policy?.disposition === 'redact') return [finds];
  const isFind = ({ inspector, disposition }: Finding): boolean =>
    inspector.startsWith('scan') && disposition === 'redact';
  return [finds, finds.map((one) => (isFind(one) ? { ...one, disposition: 'flag' } : one))];
}

function settled(ways: readonly Replayed[], reason: string): Replayed {
  const [first] = ways as readonly [Replayed];
  const verdicts = new Set(ways.map(({ verdict }) => verdict));
  const verdict = verdicts.size === 1 ? first.verdict : undefined;
  const stopping = ways.find(({ stopped }) => stopped === true) ?? first;
  if (ways.every(({ stopped }) => stopped === first.stopped)) return { ...first, verdict };
  return { verdict, stopped: undefined, rule: stopping.rule, reason };
}

function reasonOf({ cells }: StoredExchange, { lists, policies, connect }: Opinions): string {
  const given = lists.reason ?? [...policies, ...connect].find(({ reason }) => reason !== undefined)?.reason;
  if (given !== undefined) return given;
  return cells['outcome'] === 'client-gone' ? 'was broken off, perhaps before it was judged' : '';
}

function isSaidAnew({ inspector, rule }: StoredFinding): boolean {
  return (inspector === POLICY && rule !== 'inspector-failed') || LIST_RULES.has(rule);
}

const RANK: Readonly<Record<Disposition, number>> = { allow: 0, flag: 1, redact: 2, block: 3 };

function strongest(findings: readonly { readonly disposition: Disposition }[]): Disposition {
  return findings.reduce<Disposition>(
    (best, { disposition }) => (RANK[disposition] > RANK[best] ? disposition : best),
    'allow',
  );
}

function ruleOf(findings: readonly StoredFinding[]): string {
  return deciding(findings.map(findingOf))?.rule ?? '';
}

const SELF = 'self-target';

function findingOf({ inspector, rule, severity, disposition }: StoredFinding): Finding {
  const finding = { inspector, rule, severity, disposition, message: '' };
  return rule === SELF ? { ...finding, absolute: { status: 508 } } : finding;
}
