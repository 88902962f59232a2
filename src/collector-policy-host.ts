import { join } from 'node:path';
import type { House } from './collector-house.ts';
import { Kept } from './collector-kept.ts';
import type { PolicyHost } from './collector-policies.ts';
import type { AgentConfig } from './config/schema.ts';

const NOWHERE = { host: '', port: 0 };

/** What policies may do with the house: swap its stages, and say that less is stopped than before. */
export function policyHost(house: House): PolicyHost {
  return {
    isSelf: (address, port) => house.isSelf(address, port),
    enforcing: () => enforces(house),
    swapped: () => {
      try {
        house.recompile();
      } catch (error) {
        house.options.log.error({ error: String(error) }, 'policies-not-compiled');
      }
    },
    stops: ({ identity, destination, connection }) =>
      house.stages.modeFor(identity.agent, destination, connection.run?.mode) === 'enforce',
    shownHost: (host) => house.words.host(host),
    loosened: (message) => house.lowered('policies', 'policies-loosened', message),
  };
}

/** Approvals outlive the process from here on. */
export function keepApprovals({ policies, state, words, options }: House): void {
  policies.approvals.keep({
    file: new Kept(join(state.path, 'private', 'approvals.json'), (fields, message) =>
      options.log.warn(fields, message),
    ),
    hash: state.hash,
    shown: (text) => words.text(text),
  });
}

/** Somewhere a request would really be stopped: by the global mode, an agent's, a destination's, or that of a run. */
export function enforces({ config, overrides, stages, runs }: House): boolean {
  const lists = [config.destinations, ...[...config.agents.values()].map(listsOf)];
  const rules = lists.flatMap(({ allowed, blocked }) => [...allowed, ...blocked]);
  const modes = [
    overrides.global ?? config.mode,
    ...overrides.agents.values(),
    ...[...config.agents.keys()].map((agent) => stages.modeFor(agent, NOWHERE)),
    ...rules.map(({ mode }) => mode),
    ...runs.modes(),
  ];
  return modes.includes('enforce');
}

function listsOf({ allowed_domains, blocked_domains }: AgentConfig) {
  return { allowed: allowed_domains, blocked: blocked_domains };
}
