import { Command } from 'commander';
import { AdminError } from '../admin/protocol.ts';
import type { PolicyLine, PolicyReport } from '../model/policy.ts';
import { type Cli, EXIT, safe } from './context.ts';
import { listText, loadPolicies, plainPolicy } from './policy-check.ts';
import { plural, span, table } from './table.ts';

/** `weir policy list [file…]`: every policy in the order it is asked; with a collector, the ones in force and how often they matched. */
export function policyListCommand(cli: Cli): Command {
  return new Command('list')
    .description('every policy, in the order they are asked; of the running collector with their matches')
    .argument('[file...]', 'default: what the collector has in force, else policies.files of the configuration')
    .action(async (files: readonly string[]) => {
      const live = files.length > 0 ? undefined : await running(cli);
      if (live !== undefined) {
        cli.print(live, () => liveText(live, Date.now()));
        return;
      }
      const loaded = await loadPolicies(cli, files);
      for (const problem of loaded.problems) cli.note(problem);
      cli.print(loaded.policies.map(plainPolicy), () => listText(loaded));
      if (loaded.problems.length > 0) cli.exit(EXIT.found);
    });
}

/** `weir policy accept`: what a receiver sent and was held back. */
export function policyAcceptCommand(cli: Cli): Command {
  return new Command('accept')
    .description('take over policies of a receiver that were held back because they allow much more')
    .action(async () => {
      const result = await cli.withClient((client) => client.acceptPolicies());
      cli.print(result, () => safe(result.message, 500));
    });
}

async function running(cli: Cli): Promise<PolicyReport | undefined> {
  try {
    return await cli.withClient((client) => client.policies());
  } catch (error) {
    if (error instanceof AdminError && error.code === 'no-collector') return undefined;
    throw error;
  }
}

function liveText(report: PolicyReport, now: number): string {
  const ago = (at: number | undefined): string => (at === undefined ? '–' : `${span(now - at)} ago`);
  const rows = table(report.policies, [
    { name: 'PRIORITY', cell: ({ priority }) => priority, right: true },
    { name: 'NAME', cell: ({ name }) => name, max: 48 },
    { name: 'ACTION', cell: ({ action }) => action },
    { name: 'STATE', cell: ({ enabled, shadow }) => (enabled ? (shadow ? 'shadow' : 'on') : 'off') },
    { name: 'MATCHES', cell: matchesOf, right: true },
    { name: 'LAST', cell: ({ last_match_at }) => ago(last_match_at), right: true },
    { name: 'NOT APPLICABLE', cell: ({ not_applicable }) => not_applicable, right: true },
    { name: 'ERRORS', cell: ({ errors }) => errors, right: true },
    { name: 'IN TUNNELS', cell: ({ can_match_in_tunnel }) => (can_match_in_tunnel ? 'yes' : 'never') },
    { name: 'FROM', cell: ({ where }) => where, max: 48 },
  ]);
  const { policies, receiver, problems, approvals, files } = report;
  const lines = [`${policies.length === 1 ? '1 policy' : `${policies.length} policies`} in force.`];
  if (files.length === 0 && receiver === undefined) lines[0] = 'No policies are configured: policies: {files: [FILE]}';
  if (report.default === 'block') lines.push('Requests that no policy decides are blocked.');
  if (approvals > 0) lines.push(`${plural(approvals, 'approval')} open.`);
  if (receiver !== undefined) {
    lines.push(`${safe(receiver.url)}: received ${ago(receiver.loadedAt)}, asked ${ago(receiver.checkedAt)}.`);
    if (receiver.problem !== undefined) lines.push(`${safe(receiver.url)}: ${safe(receiver.problem, 300)}`);
    if (receiver.held !== undefined)
      lines.push(`Held back until weir policy accept: a set ${safe(receiver.held, 300)}`);
  }
  for (const problem of problems) lines.push(`Not in force: ${safe(problem, 400)}`);
  return [...(policies.length === 0 ? [] : [rows, '']), ...lines].join('\n');
}

function matchesOf({ matches, shadow_matches, shadow }: PolicyLine): number {
  return shadow ? shadow_matches : matches;
}
