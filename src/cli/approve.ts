import { Command, InvalidArgumentError } from 'commander';
import { type Cli, safe } from './context.ts';

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const HOUR = '1h';

/** `30m`, `1h`, `7d` as milliseconds. */
function parseSpan(text: string): number {
  const match = /^(\d{1,5})([smhd])$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * (UNIT_MS[match[2] as string] as number);
  if (ms <= 0) throw new InvalidArgumentError('Write 30m, 1h or 7d.');
  return ms;
}

/** `weir approve <ref> [--for 1h]`: lets pass what a policy asked a person for. */
export function approveCommand(cli: Cli): Command {
  return new Command('approve')
    .description('let pass what a policy wants approved: this agent, method, host and path, for a while')
    .argument('<ref>', 'the ref of the refusal')
    .option('--for <span>', '30m, 1h, 7d', parseSpan, parseSpan(HOUR))
    .action(async (ref: string, options: { readonly for: number }) => {
      const result = await cli.withClient((client) => client.approve(ref, options.for));
      cli.print(result, () => {
        const until = new Date(result.until).toLocaleString();
        return `${safe(result.agent)} may ${safe(result.request, 300)} until ${until} (policy ${safe(result.policy)})`;
      });
    });
}
