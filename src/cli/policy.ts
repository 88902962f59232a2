import { Command } from 'commander';
import type { Cli } from './context.ts';
import { suggestCommand } from './suggest.ts';

/** `weir policy …`: what is allowed, and where that comes from. */
export function policyCommand(cli: Cli): Command {
  const parent = new Command('policy').description('what is allowed: suggested from what was learned');
  parent.addCommand(suggestCommand(cli));
  return parent;
}
