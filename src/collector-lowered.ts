import { lessLooked } from './collector-lowered-scan.ts';
import type { AgentConfig, Config } from './config/schema.ts';
import type { Mode } from './model/finding.ts';

export const RANK: Readonly<Record<Mode, number>> = { monitor: 0, redact: 1, enforce: 2 };

type Rules = Config['destinations']['blocked'];

/** What a configuration protects less than the one before it, one sentence each: audit events of a reload (product.md §3). */
export function loweredBy(before: Config, after: Config): string[] {
  const found: string[] = [];
  const say = (worse: boolean, text: string): void => {
    if (worse) found.push(text);
  };
  say(RANK[after.mode] < RANK[before.mode], `mode: ${after.mode}, was ${before.mode}`);
  lists(found, '', before.destinations, after.destinations);
  const internal = added(before.destinations.internal, after.destinations.internal);
  say(internal.length > 0, `destinations.internal: ${shown(internal)} may be reached now`);
  agentModes(found, before, after);
  for (const [name, agent] of before.agents) agents(found, name, agent, after.agents.get(name));
  say(before.identify === 'required' && after.identify !== 'required', 'identify: optional, was required');
  say(
    before.baseline.on_unknown === 'block' && after.baseline.on_unknown !== 'block',
    'baseline.on_unknown: flag, was block',
  );
  say(
    before.tls.on_unverifiable === 'block' && after.tls.on_unverifiable !== 'block',
    'tls.on_unverifiable: tunnel, was block',
  );
  say(before.intercept !== 'none' && after.intercept === 'none', 'intercept: none; TLS is not read any more');
  say(before.intercept === 'all' && typeof after.intercept !== 'string', 'intercept: not all, was all');
  found.push(...lessLooked(before, after));
  const files = before.policies.files.filter((file) => !after.policies.files.includes(file));
  say(files.length > 0, `policies.files: ${files.join(', ')} no longer read`);
  say(
    before.policies.receiver !== undefined && after.policies.receiver === undefined,
    'policies.receiver: no longer asked',
  );
  say(
    before.policies.on_absent === 'block' && after.policies.on_absent !== 'block',
    'policies.on_absent: not-applicable, was block',
  );
  return found;
}

/** Of agents that have a mode of their own, before or now: the others have the global one. */
function agentModes(found: string[], before: Config, after: Config): void {
  for (const [name, agent] of after.agents) {
    const old = before.agents.get(name)?.mode;
    const [was, now] = [old ?? before.mode, agent.mode ?? after.mode];
    if ((old ?? agent.mode) !== undefined && RANK[now] < RANK[was])
      found.push(`agents.${name}.mode: ${now}, was ${was}`);
  }
}

function agents(found: string[], name: string, before: AgentConfig, after: AgentConfig | undefined): void {
  const at = `agents.${name}`;
  if (after === undefined) {
    found.push(`${at}: is gone; its rules with it`);
    return;
  }
  lists(
    found,
    `${at}.`,
    { allowed: before.allowed_domains, blocked: before.blocked_domains },
    { allowed: after.allowed_domains, blocked: after.blocked_domains },
  );
  const perSecond = ({ rate_window }: AgentConfig, limit: number): number => limit / rate_window;
  for (const key of ['rate_limit', 'rate_limit_per_destination'] as const)
    if (isMore(perSecond(before, before[key]), perSecond(after, after[key])))
      found.push(`${at}.${key}: more than before`);
  if (budgets.some((key) => isMore(before.budget[key] / before.budget.window, after.budget[key] / after.budget.window)))
    found.push(`${at}.budget: more than before`);
  if (before.token !== undefined && after.token === undefined) found.push(`${at}.token: is gone`);
  const categories = before.blocked_categories.filter((one) => !after.blocked_categories.includes(one));
  if (categories.length > 0) found.push(`${at}.blocked_categories: without ${categories.join(', ')}`);
}

const budgets = ['bytes_out', 'bytes_out_per_destination'] as const;

/** 0 = no limit. */
function isMore(before: number, after: number): boolean {
  return before > 0 && (after === 0 || after > before);
}

function lists(
  found: string[],
  prefix: string,
  before: { readonly allowed: Rules; readonly blocked: Rules },
  after: { readonly allowed: Rules; readonly blocked: Rules },
): void {
  const names =
    prefix === '' ? ['destinations.allowed', 'destinations.blocked'] : ['allowed_domains', 'blocked_domains'];
  const gone = added(after.blocked, before.blocked);
  if (gone.length > 0) found.push(`${prefix}${names[1]}: without ${shown(gone)}`);
  if (before.allowed.length === 0) return;
  const more = added(before.allowed, after.allowed);
  if (after.allowed.length === 0) found.push(`${prefix}${names[0]}: empty now`);
  else if (more.length > 0) found.push(`${prefix}${names[0]}: ${shown(more)} added`);
}

function added(before: Rules, after: Rules): Rules {
  const known = new Set(before.map((rule) => JSON.stringify(rule)));
  return after.filter((rule) => !known.has(JSON.stringify(rule)));
}

function shown(rules: Rules): string {
  const names = rules.slice(0, 5).map(({ host }) => host);
  return rules.length > names.length ? `${names.join(', ')} and ${rules.length - names.length} more` : names.join(', ');
}
