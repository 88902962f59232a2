import { Command } from 'commander';
import type { Cli } from './context.ts';
import { policyCheckCommand } from './policy-check.ts';
import { policyExplainCommand } from './policy-explain.ts';
import { policyImportCommand } from './policy-import.ts';
import { policyAcceptCommand, policyListCommand } from './policy-list.ts';
import { suggestCommand } from './suggest.ts';

/** `weir policy …`: what is allowed, and where that comes from. */
export function policyCommand(cli: Cli): Command {
  const parent = new Command('policy').description('what is allowed: suggested from what was learned, checked, listed');
  parent.addCommand(suggestCommand(cli));
  parent.addCommand(policyCheckCommand(cli));
  parent.addCommand(policyListCommand(cli));
  parent.addCommand(policyAcceptCommand(cli));
  parent.addCommand(policyExplainCommand(cli));
  parent.addCommand(policyImportCommand(cli));
  return parent;
}
