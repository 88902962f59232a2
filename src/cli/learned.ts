import { resolve } from 'node:path';
import { AdminError } from '../admin/protocol.ts';
import { loadConfig } from '../config/load.ts';
import { refuseNewerState } from '../config/state-version.ts';
import type { AccountStat } from '../model/account.ts';
import { globText } from '../model/glob.ts';
import type { AgentStat, BaselineSnapshot } from '../model/record.ts';
import type { Cli } from './context.ts';

/** What is learned, from the collector that runs or from the file it left. */
export interface Learned {
  readonly stats: readonly AgentStat[];
  /** The state of a baseline, stated; only a running collector knows it. */
  sentence(agent: string): string | undefined;
}

/** The baselines of all agents, or of one. Rejects with AdminError, StateError or QueryError. */
export async function readLearned(cli: Cli, agent?: string): Promise<Learned> {
  try {
    const [stats, status] = await cli.withClient((client) => Promise.all([client.baselines(agent), client.status()]));
    return { stats, sentence: (name) => status.agents.find((one) => one.agent === name)?.baseline.sentence };
  } catch (error) {
    if (!(error instanceof AdminError && error.code === 'no-collector')) throw error;
    return { stats: await stored(cli, agent), sentence: () => undefined };
  }
}

async function stored(cli: Cli, agent: string | undefined): Promise<AgentStat[]> {
  const flags = { config: cli.options().config, stateDir: cli.options().stateDir };
  const { config } = loadConfig({ flags, env: cli.env, cwd: cli.cwd });
  refuseNewerState(config.state_dir);
  // DuckDB's native library is loaded only here.
  const { readBaselineFile } = await import('../store/query.ts');
  const stats = withAccounts(await readBaselineFile({ path: resolve(config.state_dir, config.store.path) }));
  if (agent === undefined) return stats;
  const key = keyAmong(stats, agent);
  return stats.filter((stat) => stat.agent === key);
}

function withAccounts({ agents, accounts = [] }: BaselineSnapshot): AgentStat[] {
  const byAgent = new Map<string, AccountStat[]>();
  for (const account of accounts) {
    const list = byAgent.get(account.agent);
    if (list === undefined) byAgent.set(account.agent, [account]);
    else list.push(account);
  }
  return agents.map((stat) => {
    const own = byAgent.get(stat.agent);
    return own === undefined ? stat : { ...stat, accounts: own };
  });
}

/** The name an agent learned under: its own, or that of a group that learns as one (`task-*`). */
export function keyAmong(stats: readonly AgentStat[], agent: string): string {
  if (stats.some((stat) => stat.agent === agent)) return agent;
  return stats.find((stat) => stat.agent.includes('*') && globText(stat.agent, agent))?.agent ?? agent;
}
