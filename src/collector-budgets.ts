import type { Config } from './config/schema.ts';
import { type BudgetLimit, budgetInspector, createSpending, type Spending } from './inspect/budget.ts';
import { type RateLimit, rateInspector } from './inspect/rate.ts';
import type { Inspector } from './model/ports.ts';

type ConfigKey = (agent: string) => string;

/** How much and how often: budgets, then rates. */
export function limitInspectors(
  config: Config,
  configKey: ConfigKey,
  kept: Spending | undefined,
): readonly Inspector[] {
  const now = (): number => performance.now();
  const spending = kept ?? createSpending(() => false, now);
  return [
    budgetInspector({ limitOf: budgetsOf(config, configKey), spending, now }),
    rateInspector({ limitOf: ratesOf(config, configKey), now }),
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

/** What agents have sent, as long as the process lives and somebody has a budget. */
export function spendingOf(config: () => Config): Spending {
  return createSpending(
    () => hasBudgets(config()),
    () => performance.now(),
  );
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
