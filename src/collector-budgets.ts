import { join } from 'node:path';
import { Kept } from './collector-kept.ts';
import type { AgentConfig, Config } from './config/schema.ts';
import { type BudgetLimit, budgetInspector, createSpending, type Spending } from './inspect/budget.ts';
import { asking, counting, type RateLimit, rateInspector } from './inspect/rate.ts';
import { type StoredWindow, Windows } from './inspect/windows.ts';
import type { Inspector } from './model/ports.ts';

type ConfigKey = (agent: string) => string;

/** What agents have sent and how often they asked. Belongs to the house, not to its stages: a reload gives nobody a fresh start. */
export interface Limits {
  readonly spending: Spending;
  readonly rates: Windows;
}

/** How much and how often: budgets, then rates. `asks`: nothing is counted by being asked about. */
export function limitInspectors(
  config: Config,
  configKey: ConfigKey,
  kept: Limits | undefined,
  asks = false,
): readonly Inspector[] {
  const { spending, rates } = kept ?? limitsOf(() => false);
  return [
    budgetInspector({ limitOf: budgetsOf(config, configKey), spending }),
    rateInspector({ limitOf: ratesOf(config, configKey), counts: asks ? asking(rates) : counting(rates) }),
  ];
}

/** `agents.*.budget` as a question per agent. */
function budgetsOf(config: Config, configKey: ConfigKey): (agent: string) => BudgetLimit | undefined {
  const limits = new Map<string, BudgetLimit>();
  for (const [key, { budget }] of config.agents) {
    const { bytes_out, bytes_out_per_destination, window } = budget;
    if (bytes_out === 0 && bytes_out_per_destination === 0) continue;
    limits.set(key, {
      bytesOut: bytes_out,
      bytesOutPerDestination: bytes_out_per_destination,
      windowSeconds: window,
    });
  }
  return limits.size === 0 ? () => undefined : (agent) => limits.get(configKey(agent));
}

function limitsOf(counted: () => boolean): Limits & { readonly spent: Windows } {
  const now = (): number => performance.now();
  const spent = new Windows(now);
  return { spent, spending: createSpending(counted, spent), rates: new Windows(now) };
}

export interface KeptLimits extends Limits {
  /** Writes what has changed since the last time. */
  save(): void;
}

/** Destinations of agents that are written down, the fullest; masking a name has its price. */
const MOST_KEPT = 1_000;

/**
 * Limits that outlive the process, in two small files of the state directory: an agent must not get a fresh budget by a restart. What
 * was sent since the last writing is lost with a crash. @param shown hosts without secrets, as rows have them
 */
export function keptLimits(
  stateDir: string,
  config: () => Config,
  shown: (host: string) => string,
  { warn }: { warn(fields: object, message: string): void },
): KeptLimits {
  const limits = limitsOf(() => hasBudgets(config()));
  const longest = (of: (agent: AgentConfig) => number): number =>
    1000 * Math.max(0, ...[...config().agents.values()].map(of));
  const kept = [
    { name: 'spent.json', windows: limits.spent, maxMs: () => longest(({ budget }) => budget.window) },
    { name: 'rates.json', windows: limits.rates, maxMs: () => longest(({ rate_window }) => rate_window) },
  ].map((one) => ({ ...one, file: new Kept<StoredWindow>(join(stateDir, 'private', one.name), warn) }));
  for (const { file, windows } of kept) windows.restore(file.read(isWindow), Date.now());
  return {
    ...limits,
    save() {
      for (const { file, windows, maxMs } of kept) {
        if (!windows.changed()) continue;
        const all = windows.stored(maxMs(), Date.now());
        const agents = all.filter(([, to]) => to === null);
        const pairs = all.filter(([, to]) => to !== null).sort((a, b) => b[3] - a[3]);
        file.write([...agents, ...pairs.slice(0, MOST_KEPT).map(masked)]);
      }
    },
  };
  function masked([agent, to, since, sum]: StoredWindow): StoredWindow {
    const at = (to as string).lastIndexOf(':');
    return [agent, shown((to as string).slice(0, at)) + (to as string).slice(at), since, sum];
  }
}

function isWindow(value: unknown): value is StoredWindow {
  if (!Array.isArray(value) || value.length !== 4) return false;
  const [agent, to, since, sum] = value as unknown[];
  return typeof agent === 'string' && (to === null || typeof to === 'string') && isCount(since) && isCount(sum);
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}

/** Somebody has a budget: what is open is judged again every second then. */
export function hasBudgets(config: Config): boolean {
  return [...config.agents.values()].some(({ budget }) => budget.bytes_out > 0 || budget.bytes_out_per_destination > 0);
}

function ratesOf(config: Config, configKey: (agent: string) => string): Parameters<typeof rateInspector>[0]['limitOf'] {
  const rates = new Map<string, RateLimit>();
  for (const [key, { rate_limit, rate_limit_per_destination, rate_window }] of config.agents) {
    if (rate_limit === 0 && rate_limit_per_destination === 0) continue;
    rates.set(key, { limit: rate_limit, perDestination: rate_limit_per_destination, windowSeconds: rate_window });
  }
  return rates.size === 0 ? () => undefined : (agent) => rates.get(configKey(agent));
}
