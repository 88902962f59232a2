import { dataOf } from './collector-library.ts';
import { LIST_RULES, type ListVerdict, storedLists } from './collector-replay-lists.ts';
import { interceptionOf, modesOf } from './collector-stages.ts';
import type { Config } from './config/schema.ts';
import { compileCategories } from './inspect/categories.ts';
import { createAgentKeys } from './inspect/identity.ts';
import type { Disposition, Finding, Mode, Severity } from './model/finding.ts';
import type { PolicySet } from './policy/policy.ts';
import { enforce, type ModeFor } from './verdict/enforce.ts';
import { deciding, judge } from './verdict/judge.ts';

/** What is held against the stored rows. */
export interface ReplayRules {
  readonly config: Config;
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

export interface StoredFinding {
  readonly inspector: string;
  readonly rule: string;
  readonly severity: Severity;
  readonly disposition: Disposition;
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
const POLICY = 'policy';
const TUNNEL = 'was a tunnel';
const NOTHING_INSIDE = 'carried nothing';

/** One way it may have been. */
interface Said {
  readonly finding: Finding | undefined;
  readonly reason?: string;
}

/** Compiles rules for rows. Rejects with a sentence for people for a configuration that means nothing. */
export async function createReplay(rules: ReplayRules): Promise<Replay> {
  // Expressions have an engine of their own.
  const stored = await import('./policy/stored.ts');
  const { config, policies } = rules;
  const categories = compileCategories(dataOf('destinations'));
  const lists = storedLists(config, categories);
  const readsTls = interceptionOf(config.intercept, categories);
  const keys = createAgentKeys(config.agents.keys(), config.agent);
  const modeFor = modesOf(
    config,
    { agents: new Map(), stopped: new Set(), everyoneStopped: false },
    keys.configKey,
    categories,
  );
  const columns = new Set<string>(BASE);
  if (lists.readPaths) columns.add('path');
  const asks = policies !== undefined && (policies.policies.length > 0 || policies.defaultAction === 'block');
  if (asks) {
    const { attributes, now } = stored.attributesOf(policies);
    for (const column of stored.columnsOf(attributes)) columns.add(column);
    if (now) columns.add('started_at');
  }
  const judgeLists = (cells: StoredExchange['cells']): ListVerdict => lists.ask(requestOf(cells, config));
  const decide = (cells: StoredExchange['cells']): readonly Said[] => {
    if (policies === undefined) return [];
    const { possible, reason } = stored.decideStored(policies, withPath(cells, config), {
      onAbsent: config.policies.on_absent,
    });
    return possible.map(({ disposition, decidedBy }) => ({
      finding: disposition === 'none' ? undefined : policyFinding(disposition, decidedBy ?? ''),
      ...(reason === undefined ? {} : { reason }),
    }));
  };
  const judgePolicies = (cells: StoredExchange['cells']): readonly Said[] => {
    if (!asks) return [{ finding: undefined }];
    const said = decide(cells);
    if (cells['kind'] === 'exchange') return said;
    const closed = cells['in_run'] !== true && !readsTls(String(cells['host'])) && Number(cells['port']) !== 80;
    // A CONNECT that is to be read is asked only what holds for all that may be inside.
    if (cells['kind'] === 'connect' && !closed) return doubted([{ finding: undefined }, ...said], NOTHING_INSIDE);
    // What was a tunnel may be read the next time, request by request.
    return closed ? said : doubted([{ finding: undefined }, ...said, ...decide(stored.opened(cells))], TUNNEL);
  };
  return {
    columns,
    judge: (row) => judged(row, judgeLists(row.cells), judgePolicies(row.cells), modeOf(rules.mode, modeFor, row)),
  };
}

function doubted(said: readonly Said[], reason: string): readonly Said[] {
  return said.map((one) => ({ ...one, reason }));
}

function modeOf(mode: ReplayRules['mode'], modeFor: ModeFor, { cells }: StoredExchange): Mode {
  if (mode !== 'configured') return mode;
  return modeFor(String(cells['agent']), { host: String(cells['host']), port: Number(cells['port']) });
}

function requestOf(
  cells: StoredExchange['cells'],
  config: Config,
): Parameters<ReturnType<typeof storedLists>['ask']>[0] {
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

/** `telemetry.url: host` leaves a slash of every path. */
function isKept(path: string, { telemetry }: Config): boolean {
  return telemetry.url !== 'host' || path !== '/';
}

function withPath(cells: StoredExchange['cells'], config: Config): StoredExchange['cells'] {
  const path = cells['path'];
  return typeof path !== 'string' || isKept(path, config) ? cells : { ...cells, path_kept: false };
}

function policyFinding(disposition: Disposition, name: string): Finding {
  return { inspector: POLICY, rule: `${POLICY}:${name}`, severity: 'high', disposition, message: '' };
}

/** What was found stays; what lists and policies say is said anew. */
function judged(row: StoredExchange, lists: ListVerdict, policies: readonly Said[], mode: Mode): Replayed {
  const { cells, findings } = row;
  const verdict = cells['verdict'] as Disposition;
  const recorded = { verdict, stopped: cells['action'] === 'block', rule: ruleOf(findings) };
  if (UNASKED.has(String(cells['error_type'])) || cells['host'] === 'invalid') return recorded;
  const kept = findings.filter((finding) => !isSaidAnew(finding)).map(findingOf);
  // What only records says nothing about stopping; it stays as it was.
  const before = strongest(findings.filter((finding) => isSaidAnew(finding) && RANK[finding.disposition] > RANK.flag));
  const ways = lists.possible.flatMap((list) =>
    policies.map((policy): Replayed => {
      const anew = [list, policy.finding].filter((finding) => finding !== undefined);
      const same = strongest(anew) === before;
      const all = [...anew, ...kept];
      const judgedAgain = judge(all);
      const now = same ? { disposition: verdict, ...ruleAs(judgedAgain.rule) } : judgedAgain;
      const { action } = enforce(now, all, mode);
      return { verdict: now.disposition, stopped: action === 'block', rule: deciding(all)?.rule ?? '' };
    }),
  );
  // Whether it was judged at all cannot be seen any more.
  if (cells['outcome'] === 'client-gone' && cells['ever_dialled'] === false) ways.push(recorded);
  return settled(ways, reasonOf(row, lists, policies));
}

function settled(ways: readonly Replayed[], reason: string): Replayed {
  const [first] = ways as readonly [Replayed];
  const verdicts = new Set(ways.map(({ verdict }) => verdict));
  const verdict = verdicts.size === 1 ? first.verdict : undefined;
  const stopping = ways.find(({ stopped }) => stopped === true) ?? first;
  if (ways.every(({ stopped }) => stopped === first.stopped)) return { ...first, verdict };
  return { verdict, stopped: undefined, rule: stopping.rule, reason };
}

function reasonOf({ cells }: StoredExchange, lists: ListVerdict, policies: readonly Said[]): string {
  const given = lists.reason ?? policies.find(({ reason }) => reason !== undefined)?.reason;
  if (given !== undefined) return given;
  return cells['outcome'] === 'client-gone' ? 'was broken off, perhaps before it was judged' : '';
}

function isSaidAnew({ inspector, rule }: StoredFinding): boolean {
  return inspector === POLICY || LIST_RULES.has(rule);
}

const RANK: Readonly<Record<Disposition, number>> = { allow: 0, flag: 1, redact: 2, block: 3 };

function strongest(findings: readonly { readonly disposition: Disposition }[]): Disposition {
  return findings.reduce<Disposition>(
    (best, { disposition }) => (RANK[disposition] > RANK[best] ? disposition : best),
    'allow',
  );
}

function ruleAs(rule: string | undefined): { readonly rule?: string } {
  return rule === undefined ? {} : { rule };
}

function ruleOf(findings: readonly StoredFinding[]): string {
  return deciding(findings.map(findingOf))?.rule ?? '';
}

const SELF = 'self-target';

function findingOf({ inspector, rule, severity, disposition }: StoredFinding): Finding {
  const finding = { inspector, rule, severity, disposition, message: '' };
  return rule === SELF ? { ...finding, absolute: { status: 508 } } : finding;
}
