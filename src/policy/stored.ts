import { evaluate } from './cel.ts';
import type { Failure } from './cel-value.ts';
import { applies, type DecideOptions } from './decide.ts';
import { type Action, enforces, type Policy, type PolicySet } from './policy.ts';
import { type StoredCells, StoredContext } from './stored-context.ts';
import { READABLE } from './vocabulary.ts';

export { columnsOf, type StoredCells } from './stored-context.ts';

/** What policies can have said of a stored request. */
export interface StoredVerdict {
  readonly disposition: 'none' | 'redact' | 'block';
  /** Name of the policy, `_default_deny` or `_fail_closed`; undefined = none had anything to say. */
  readonly decidedBy?: string;
}

/** All verdicts that agree with what is stored: one, or several and why. */
export interface StoredDecision {
  readonly possible: readonly [StoredVerdict, ...StoredVerdict[]];
  /** Set when there are several: what the first policy in doubt depends on, for people. */
  readonly reason?: string;
}

const NOTHING: StoredVerdict = { disposition: 'none' };
const DENIED: StoredVerdict = { disposition: 'block', decidedBy: '_default_deny' };

/** What one policy says: it passes on, it decides, or it may have decided. */
type Said =
  | 'pass'
  | { readonly certain: StoredVerdict }
  | { readonly doubtful: readonly StoredVerdict[]; readonly reason: string };

/** Columns of `exchanges` beside `started_at` that these policies read; undefined = all of them. */
export function attributesOf(set: PolicySet): { readonly attributes: ReadonlySet<string>; readonly now: boolean } {
  const attributes = new Set<string>();
  let now = false;
  for (const { compiled, enabled } of set.policies) {
    if (!enabled) continue;
    for (const name of compiled.reads) attributes.add(name);
    now ||= /\bnow\b/.test(compiled.source);
  }
  return { attributes, now };
}

export interface StoredOptions extends DecideOptions {
  /** An error stops nothing: so it is for a CONNECT whose requests will be asked one by one. */
  readonly errorsPass?: boolean;
}

/**
 * Asks the policies about a request of which only the row is left. As `decide` does, but where a policy depends on what is not
 * stored, both ways are followed; nothing is ever guessed.
 */
export function decideStored(set: PolicySet, row: StoredCells, options: StoredOptions = {}): StoredDecision {
  const context = new StoredContext(row);
  const agent = String(row['agent']);
  const possible: StoredVerdict[] = [];
  let reason: string | undefined;
  for (const policy of set.policies) {
    if (!policy.enabled || policy.shadow || !DECIDES.has(policy.action)) continue;
    const concerned = concerns(policy, context.name, agent);
    if (concerned === 'no') continue;
    const said = ask(policy, context, options, concerned === 'yes');
    if (said === 'pass') continue;
    if ('certain' in said) return decided(possible, said.certain, reason);
    possible.push(...said.doubtful);
    reason ??= said.reason;
  }
  return decided(possible, set.defaultAction === 'block' ? DENIED : NOTHING, reason);
}

const DECIDES: ReadonlySet<Action> = new Set<Action>([
  'redact',
  'block',
  'throttle',
  'steer',
  'require_approval',
  'allow',
]);

function decided(possible: readonly StoredVerdict[], last: StoredVerdict, reason: string | undefined): StoredDecision {
  const [first, ...rest] = [...possible, last];
  const others = rest.filter(({ disposition }) => disposition !== first?.disposition);
  // Whatever it was that decided, it came to the same.
  if (first === undefined || others.length === 0) return { possible: [first ?? last] };
  return { possible: [first, ...others], reason: reason ?? '' };
}

/** `applies_to` and `agents`; without the method the first may be a question. */
function concerns(policy: Policy, name: string, agent: string): 'yes' | 'no' | 'maybe' {
  if (name !== '') return applies(policy, `.${name}.`, agent) ? 'yes' : 'no';
  const { appliesTo } = policy;
  if (!applies({ ...policy, appliesTo: [] }, '', agent)) return 'no';
  return appliesTo.length === 0 || appliesTo.includes('http') ? 'yes' : 'maybe';
}

function ask(policy: Policy, context: StoredContext, options: StoredOptions, concerned: boolean): Said {
  context.takeMissing();
  if (policy.compiled.readsComputed) return doubt(policy, 'reads attributes by computed names');
  const evaluation = evaluate(policy.compiled, context);
  if (evaluation.outcome === 'NO_MATCH') return 'pass';
  if (!concerned) return doubt(policy, 'depends on the method, which is not stored');
  if (evaluation.outcome === 'MATCH') return matched(policy);
  const missing = context.takeMissing();
  const { code } = (evaluation as { readonly failure: Failure }).failure;
  // An error of another kind may have hidden what the missing value would have brought about.
  if (code === 'unread' || missing !== undefined) return doubt(policy, missing === undefined ? NOW : reasonOf(missing));
  if (options.errorsPass === true) return 'pass';
  const strict = code !== 'absent' || options.onAbsent === 'block';
  return strict && enforces(policy.action) ? { certain: { disposition: 'block', decidedBy: '_fail_closed' } } : 'pass';
}

const NOW = 'reads the time';

/** It matches, or not, or fails: for a policy that stops requests an error stops as well. */
function doubt(policy: Policy, reason: string): Said {
  const said = matched(policy);
  const verdicts = said === 'pass' ? [] : 'certain' in said ? [said.certain] : [...said.doubtful];
  const failed: StoredVerdict = { disposition: 'block', decidedBy: policy.name };
  if (enforces(policy.action) && !verdicts.some(({ disposition }) => disposition === 'block')) verdicts.push(failed);
  return { doubtful: verdicts, reason: `${policy.name} ${reason}` };
}

function matched(policy: Policy): Said {
  const { name, action, config } = policy;
  const block: StoredVerdict = { disposition: 'block', decidedBy: name };
  if (action === 'allow') return { certain: { disposition: 'none', decidedBy: name } };
  if (action === 'redact') return { certain: { disposition: 'redact', decidedBy: name } };
  if (action === 'require_approval') return { doubtful: [block], reason: `${name} depends on an approval` };
  if (action === 'throttle' && config.maxCalls !== undefined && config.windowSeconds !== undefined) {
    return { doubtful: [block], reason: `${name} depends on how many requests came just before` };
  }
  return { certain: block };
}

const BODY = /^gen_ai\./;
const URLS: ReadonlySet<string> = new Set(['strathon.http.url', 'url.full', 'url.query']);

function reasonOf(attribute: string): string {
  if (URLS.has(attribute)) return 'reads a query value, which is not stored';
  if (BODY.test(attribute)) return `reads the body (${attribute})`;
  if (!READABLE.has(attribute)) return 'reads what is not stored';
  return `reads ${attribute}, which is not stored`;
}

/** Stands where nothing is known of a text. */
const UNKNOWN = '…';

/** What a tunnel may have carried, had it been read: the same destination, and nothing known of the request. */
export function opened(row: StoredCells): StoredCells {
  const hidden = ['method', 'path', 'protocol', 'content_type', 'tenant', 'credential_fp', 'user_agent', 'id'];
  return { ...row, kind: 'exchange', scheme: 'https', ...Object.fromEntries(hidden.map((name) => [name, UNKNOWN])) };
}

/** The CONNECT a request came in: the same agent and destination; of its own head nothing is stored. */
export function outer(row: StoredCells): StoredCells {
  const hidden = Object.fromEntries(['user_agent', 'id'].map((name) => [name, UNKNOWN]));
  return { ...row, kind: 'connect', method: 'CONNECT', scheme: 'tcp', path: '', visibility: 'tunnel', ...hidden };
}
