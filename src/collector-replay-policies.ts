import { join } from 'node:path';
import { receiverUrl } from './collector-policies.ts';
import { saidSets, withoutSaid } from './collector-policy-said.ts';
import { interceptionOf } from './collector-stages.ts';
import type { Config } from './config/schema.ts';
import type { Categories } from './inspect/categories.ts';
import { recogniseLlm } from './llm/recognise.ts';
import type { Disposition, Finding } from './model/finding.ts';
import type { PolicySet } from './policy/policy.ts';

type Cells = Readonly<Record<string, unknown>>;

/** Inspector of findings of policies. */
export const POLICY = 'policy';
const TUNNEL = 'was a tunnel';
const NOTHING_INSIDE = 'carried nothing';

/** One way it may have been. */
export interface Said {
  readonly finding: Finding | undefined;
  readonly reason?: string;
}

export interface StoredPolicies {
  readonly columns: ReadonlySet<string>;
  /** What policies say of it. */
  ask(cells: Cells): readonly Said[];
  /** What they say of the CONNECT it came in, where some are written for CONNECT alone. */
  askConnect(cells: Cells): readonly Said[];
}

const NOTHING: readonly Said[] = [{ finding: undefined }];

/** The policies of a configuration for requests of which only rows are left. */
export async function storedPolicies(
  config: Config,
  set: PolicySet | undefined,
  categories: Categories,
): Promise<StoredPolicies> {
  if (set === undefined || (set.policies.length === 0 && set.defaultAction === 'allow'))
    return { columns: new Set(), ask: () => NOTHING, askConnect: () => NOTHING };
  // Expressions have an engine of their own.
  const { attributesOf, columnsOf, decideStored, opened, outer } = await import('./policy/stored.ts');
  const readsTls = interceptionOf(config.intercept, categories);
  const forConnect = connectPolicies(set);
  const passes = set.policies.some(({ enabled, action }) => enabled && LETS_PASS.has(action));
  const decide = (policies: PolicySet, cells: Cells, errorsPass = false): readonly Said[] => {
    const { possible, reason } = decideStored(policies, withPath(cells, config), {
      onAbsent: config.policies.on_absent,
      errorsPass,
    });
    return possible.map(({ disposition, decidedBy }) => ({
      finding: disposition === 'none' ? undefined : policyFinding(disposition, decidedBy ?? ''),
      ...(reason === undefined ? {} : { reason }),
    }));
  };
  const later = saidSets(set);
  const anythingSaid = later.request.policies.length + later.response.policies.length > 0;
  const unsaid = withoutSaid(set);
  const { attributes, now } = attributesOf(set);
  const readsCalls = [...attributes].some((name) => OF_CALLS.has(name));
  // As it is asked live: a call of an LLM API by its head first, and by what is said when that is known (collector-policy-said.ts).
  const askRequest = (cells: Cells): readonly Said[] => {
    if (!readsCalls) return decide(set, cells);
    const call = isLlmCall(cells);
    const plain = call === true ? NONE : decide(set, { ...cells, llm_call: false });
    if (call === false) return plain;
    const known = { ...cells, llm_call: true };
    const called = anythingSaid
      ? stronger(stronger(decide(unsaid, known), decide(later.request, known)), decide(later.response, known))
      : decide(set, known);
    return call === true ? called : doubted([...plain, ...called], 'may have been a call of an LLM API');
  };
  return {
    columns: new Set([
      ...columnsOf(attributes),
      ...(now ? ['started_at'] : []),
      ...(forConnect.policies.length > 0 ? ['via'] : []),
    ]),
    ask(cells) {
      if (cells['kind'] === 'exchange') return askRequest(cells);
      const said = decide(set, cells);
      const closed = cells['in_run'] !== true && !readsTls(String(cells['host'])) && Number(cells['port']) !== 80;
      // A CONNECT that is to be read is asked only what holds for all that may be inside.
      if (cells['kind'] === 'connect' && !closed) return doubted([...NOTHING, ...said], NOTHING_INSIDE);
      // What was a tunnel may be read the next time, request by request.
      return closed ? said : doubted([...NOTHING, ...said, ...decide(set, opened(cells))], TUNNEL);
    },
    askConnect(cells) {
      if (forConnect.policies.length === 0 || cells['kind'] !== 'exchange' || cells['via'] !== 'connect')
        return NOTHING;
      const said = decide(forConnect, outer(cells), true);
      // One that lets pass may come first for some request inside.
      return passes ? doubted([...NOTHING, ...said], 'depends on its CONNECT') : said;
    },
  };
}

const NONE: readonly Said[] = [];
const OF_CALLS: ReadonlySet<string> = new Set([
  'gen_ai.prompt',
  'gen_ai.request.model',
  'gen_ai.provider.name',
  'gen_ai.operation.name',
  'gen_ai.completion',
]);

/** Undefined = its row does not tell. */
function isLlmCall({ host, method, path, content_type: type }: Cells): boolean | undefined {
  const [bare] = String(path).split('?');
  const known = [host, method, bare].every((cell) => typeof cell === 'string' && !cell.includes('…'));
  if (!known || (typeof type === 'string' && type.includes('…'))) return undefined;
  const contentType = typeof type === 'string' ? type : undefined;
  const head = { host: String(host), method: String(method), path: String(bare), requestContentType: contentType };
  return recogniseLlm(head) !== undefined;
}

/** Two that are asked one after the other, each of which can only stop: every way both may have come out. */
function stronger(first: readonly Said[], second: readonly Said[]): readonly Said[] {
  const both = first.flatMap((one) => (isStop(one) ? [one] : second.map((other) => (isStop(other) ? other : one))));
  const reason = [...first, ...second].find((said) => said.reason !== undefined)?.reason;
  const unlike = both.some((said) => isStop(said) !== isStop(both[0] as Said));
  return both.map(({ finding }) => (unlike && reason !== undefined ? { finding, reason } : { finding }));
}

function isStop({ finding }: Said): boolean {
  return finding?.disposition === 'block';
}

const LETS_PASS: ReadonlySet<string> = new Set(['allow', 'redact']);

/** What stops a CONNECT that is going to be read and none of the requests inside (policy/early.ts). */
function connectPolicies({ policies }: PolicySet): PolicySet {
  const stops = policies.filter(
    ({ action, appliesTo }) =>
      (action === 'block' || action === 'steer') && appliesTo.length > 0 && appliesTo.every(isConnect),
  );
  return { policies: stops, defaultAction: 'allow' };
}

function isConnect(token: string): boolean {
  return token === 'connect' || token === 'http.connect';
}

function doubted(said: readonly Said[], reason: string): readonly Said[] {
  return said.map((one) => ({ ...one, reason }));
}

/** `telemetry.url: host` leaves a slash of every path. */
export function isKept(path: string, { telemetry }: Config): boolean {
  return telemetry.url !== 'host' || path !== '/';
}

function withPath(cells: Cells, config: Config): Cells {
  const path = cells['path'];
  return typeof path !== 'string' || isKept(path, config) ? cells : { ...cells, path_kept: false };
}

function policyFinding(disposition: Disposition, name: string): Finding {
  return { inspector: POLICY, rule: `${POLICY}:${name}`, severity: 'high', disposition, message: '' };
}

/** What a collector with this configuration would ask. */
export interface ConfiguredPolicies {
  /** undefined = nothing. */
  readonly set: PolicySet | undefined;
  /** What is not as it should be, for people. */
  readonly note?: string;
}

/** The policies of the files and the last good set of the receiver. Rejects with PolicyError for files that cannot be used. */
export async function configuredPolicies(
  config: Config,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ConfiguredPolicies> {
  const { files } = config.policies;
  const url = receiverUrl(config.policies, env);
  if (files.length === 0 && url === undefined) return { set: undefined };
  const { createSet, parseReceived, readPolicyFiles } = await import('./collector-policy-engine.ts');
  const own = files.length === 0 ? [] : [readPolicyFiles(files)];
  if (url === undefined) return { set: createSet(own) };
  const { readStored } = await import('./calls/stored.ts');
  const { origin } = new URL(url);
  const kept = readStored(join(config.state_dir, 'private', 'policies.json'), url);
  if (kept === undefined) {
    const note = `${origin} has never answered: until it does, everything is refused in enforce`;
    return { set: { policies: [], defaultAction: 'block' }, note };
  }
  return { set: createSet([...own, await parseReceived(kept.answer, origin)]) };
}
