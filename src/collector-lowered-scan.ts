import type { AgentConfig, Config } from './config/schema.ts';
import type { Disposition, Severity } from './model/finding.ts';

const RANK: Readonly<Record<Disposition, number>> = { allow: 0, flag: 1, redact: 2, block: 3 };
const UNSCANNED = { flag: 0, auto: 1, block: 2 } as const;
const ECH = { allow: 0, flag: 1, block: 2 } as const;
const SEVERITIES: readonly Severity[] = ['info', 'low', 'medium', 'high', 'critical'];

type Ways = AgentConfig['scan']['dispositions'];

/** What is looked at less, or asks for less, in contents: sentences as of `loweredBy`. */
export function lessLooked(before: Config, after: Config): string[] {
  const found = dispositions('scan', before.scan, after.scan);
  const say = (worse: boolean, text: string): void => {
    if (worse) found.push(text);
  };
  const body = { was: before.body, now: after.body };
  say(
    UNSCANNED[body.now.on_unscanned] < UNSCANNED[body.was.on_unscanned],
    `body.on_unscanned: ${body.now.on_unscanned}, was ${body.was.on_unscanned}`,
  );
  const { scan_bytes: was } = body.was;
  const { scan_bytes: now } = body.now;
  say(now > 0 && (was === 0 || now < was), `body.scan_bytes: ${now}, was ${was === 0 ? 'all' : was}`);
  for (const key of ['decoded_bytes', 'decode_ratio', 'decode_depth', 'seconds_per_minute'] as const)
    say(body.now[key] < body.was[key], `body.${key}: ${body.now[key]}, was ${body.was[key]}`);
  say(
    ECH[after.tunnel.on_ech] < ECH[before.tunnel.on_ech],
    `tunnel.on_ech: ${after.tunnel.on_ech}, was ${before.tunnel.on_ech}`,
  );
  patterns(before.patterns, after.patterns, say);
  const quiet = new Set(before.scan.suppress.map((one) => JSON.stringify(one)));
  const more = after.scan.suppress.filter((one) => !quiet.has(JSON.stringify(one))).length;
  say(more > 0, `scan.suppress: ${more} added`);
  if (JSON.stringify(before.scan.destinations) !== JSON.stringify(after.scan.destinations))
    destinations(before.scan.destinations, after.scan.destinations, found);
  for (const [name, agent] of before.agents) {
    const next = after.agents.get(name);
    if (next === undefined) continue;
    const at = `agents.${name}.scan`;
    say(agent.scan.requests && !next.scan.requests, `${at}.requests: not looked at any more`);
    say(agent.scan.responses && !next.scan.responses, `${at}.responses: not looked at any more`);
    found.push(...dispositions(`${at}.dispositions`, agent.scan.dispositions, next.scan.dispositions));
  }
  for (const [name, { scan }] of after.agents)
    say(!before.agents.has(name) && !(scan.requests && scan.responses), `agents.${name}.scan: not all is looked at`);
  return found;
}

function patterns(
  before: Config['patterns'],
  after: Config['patterns'],
  say: (worse: boolean, text: string) => void,
): void {
  const disabled = after.disable.filter((id) => !before.disable.includes(id));
  say(disabled.length > 0, `patterns.disable: ${disabled.join(', ')}`);
  const gone = before.directories.filter((one) => !after.directories.includes(one));
  say(gone.length > 0, `patterns.directories: without ${gone.join(', ')}`);
  say(
    before.secrets_file !== undefined && after.secrets_file !== before.secrets_file,
    `patterns.secrets_file: ${before.secrets_file} no longer read`,
  );
  const names = before.secrets_env.filter((one) => !after.secrets_env.includes(one));
  say(names.length > 0, `patterns.secrets_env: without ${names.join(', ')}`);
  say(before.env_secrets === 'run' && after.env_secrets === 'off', 'patterns.env_secrets: off, was run');
}

function destinations(
  before: Config['scan']['destinations'],
  after: Config['scan']['destinations'],
  found: string[],
): void {
  const key = ({ hosts }: (typeof before)[number]): string => hosts.join(', ');
  const old = new Map(before.map((one) => [key(one), one]));
  for (const one of after) found.push(...dispositions(`scan.destinations (${key(one)})`, old.get(key(one)) ?? {}, one));
  const left = new Set(after.map(key));
  for (const name of old.keys()) if (!left.has(name)) found.push(`scan.destinations: without ${name}`);
}

/** What asked for more before. What was not written is known to be no less than *allow*. */
function dispositions(at: string, before: Ways, after: Ways): string[] {
  const [was, now] = [asked(before), asked(after)];
  const less = new Set<string>();
  const say = (key: string): unknown => less.add(`${at}.${key.slice(0, key.lastIndexOf('.'))}: asks for less`);
  for (const [key, old] of was) {
    const next = now.get(key);
    if (next === undefined ? old !== 'allow' : RANK[next] < RANK[old]) say(key);
  }
  for (const [key, next] of now) if (next === 'allow' && !was.has(key)) say(key);
  return [...less];
}

/** By `requests.credential.high`; what is written for a kind stands for all its severities. */
function asked({ requests, responses }: Ways): ReadonlyMap<string, Disposition> {
  const all = new Map<string, Disposition>();
  const add = (path: string, value: unknown): void => {
    if (typeof value === 'string')
      for (const severity of SEVERITIES) all.set(`${path}.${severity}`, value as Disposition);
    else if (typeof value === 'object' && value !== null)
      for (const [severity, one] of Object.entries(value)) if (one !== undefined) all.set(`${path}.${severity}`, one);
  };
  for (const [way, given] of Object.entries({ requests, responses })) {
    const { categories = {}, ...kinds } = given ?? {};
    for (const [kind, value] of Object.entries(kinds)) add(`${way}.${kind}`, value);
    for (const [category, value] of Object.entries(categories)) add(`${way}.categories.${category}`, value);
  }
  return all;
}
