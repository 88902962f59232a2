import type { House } from './collector-house.ts';
import { loweredBy, RANK } from './collector-lowered.ts';
import { policyHost } from './collector-policy-host.ts';
import type { Mode } from './model/finding.ts';

/** What a reload cannot change; named to whoever changed it. */
export const FIXED = [
  'listen',
  'state_dir',
  'store',
  'telemetry',
  'admin',
  'health',
  'limits',
  'baseline',
  'allow_from',
  'notify',
] as const;

const NOWHERE = { host: '', port: 0 };

interface Raised {
  readonly global: Mode | undefined;
  readonly agents: readonly (readonly [agent: string, mode: Mode])[];
}

/** What `weir mode` had raised above the configuration ends with a reload. */
function notRaised({ config, stages }: House, { global, agents }: Raised): string[] {
  const found: string[] = [];
  if (global !== undefined && RANK[config.mode] < RANK[global])
    found.push(`mode: ${config.mode}, was ${global} (weir mode)`);
  for (const [agent, was] of agents) {
    const now = stages.modeFor(agent, NOWHERE);
    if (RANK[now] < RANK[was]) found.push(`agents.${agent}.mode: ${now}, was ${was} (weir mode)`);
  }
  return found;
}

/** SIGHUP and the admin API: a whole new set or the old one, policies included. Rejects with the reason. */
export async function reload(house: House, actor: string): Promise<string> {
  const { options, policies, overrides } = house;
  const next = await options.configSource.reload();
  const old = house.config;
  const fixed = FIXED.filter((key) => JSON.stringify(old[key]) !== JSON.stringify(next[key]));
  const kept = Object.fromEntries(FIXED.map((key) => [key, old[key]]));
  const staged = await policies.stage(next.policies);
  const raised = { global: overrides.global, agents: [...overrides.agents] };
  const asked = policies.set;
  overrides.agents.clear();
  delete overrides.global;
  const before = policies.use(staged);
  try {
    house.recompile({ ...next, ...kept });
  } catch (error) {
    policies.use(before);
    if (raised.global !== undefined) overrides.global = raised.global;
    for (const [agent, mode] of raised.agents) overrides.agents.set(agent, mode);
    throw error;
  }
  policies.run(policyHost(house), before);
  house.audit(actor, 'reload', 'configuration reloaded');
  const less = [...loweredBy(old, house.config), ...notRaised(house, raised), ...policies.lessThan(asked)];
  if (less.length > 0) house.lowered(actor, 'reload-lowered', `configuration reloaded: ${less.join('; ')}`);
  return fixed.length === 0
    ? 'configuration reloaded'
    : `configuration reloaded; these need a restart: ${fixed.join(', ')}`;
}
