import { isDeepStrictEqual } from 'node:util';
import type { House } from './collector-house.ts';
import { FIXED } from './collector-reload.ts';
import type { ModeVerb } from './model/admin.ts';
import { hostPort } from './model/destination.ts';
import type { Preflight } from './model/preflight.ts';

const WEEK_MS = 7 * 24 * 3_600_000;
const LOOKED_AT = 20_000;
const SHOWN = 20;

/** What the last week would have lost in a stricter mode, from the rows (product.md §3 "The flag is enough"). */
export async function preflightOf(house: House, agent: string | undefined, to: ModeVerb): Promise<Preflight> {
  const rows = await house.recorder.recent({
    limit: LOOKED_AT,
    sinceMs: Date.now() - WEEK_MS,
    ...(agent === undefined ? {} : { agent }),
  });
  const examples = new Map<string, Preflight['examples'][number]>();
  const tunnelled = new Set<string>();
  let lost = 0;
  for (const row of rows) {
    if (row.visibility === 'tunnel') tunnelled.add(row.host);
    if (row.would !== 'block') continue;
    lost++;
    const rule = row.rules[0] ?? 'unknown';
    const destination = hostPort(row.host, row.port);
    const key = JSON.stringify([row.agent, destination, rule]);
    examples.set(key, { agent: row.agent, destination, rule, count: (examples.get(key)?.count ?? 0) + 1 });
  }
  return {
    from: house.stages.modeFor(agent ?? house.config.agent, { host: '', port: 0 }),
    to,
    spanMs: WEEK_MS,
    exchanges: rows.length,
    wouldLose: lost,
    examples: [...examples.values()].sort((a, b) => b.count - a.count).slice(0, SHOWN),
    uninspectable: [...tunnelled].slice(0, SHOWN),
    containment: house.containment,
    ...(await rulesOf(house)),
  };
}

/** Nothing when the configuration has been written since it was read: a replay would be held against other rules. */
async function rulesOf({ config, options, overrides, policies }: House): Promise<Pick<Preflight, 'rules'>> {
  const next = await options.configSource.reload().catch(() => undefined);
  const kept = Object.fromEntries(FIXED.map((key) => [key, config[key]]));
  if (next === undefined || !isDeepStrictEqual({ ...next, ...kept }, { ...config })) return {};
  const { file } = options.configSource;
  const { receiver } = policies.state;
  return {
    rules: {
      ...(file === undefined ? {} : { file }),
      ...(receiver === undefined ? {} : { receiver: receiver.url }),
      intercept: config.intercept,
      modes: [...overrides.agents],
    },
  };
}
