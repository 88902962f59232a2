import { Argument, Command } from 'commander';
import type { ModeVerb } from '../model/admin.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { modePreflight } from './preflight.ts';
import { confirm, preflightLines } from './raise.ts';

const VERBS: readonly string[] = ['monitor', 'redact', 'enforce', 'stop', 'resume'];

/** `weir mode [agent] monitor|redact|enforce|stop|resume`: changes the running collector at once. */
export function modeCommand(cli: Cli): Command {
  return new Command('mode')
    .description(
      'the ceiling on what is done about a verdict, live; stop is the kill switch, effective within a second',
    )
    .addArgument(new Argument('[agent]', 'one agent; without it, everybody'))
    .addArgument(new Argument('[mode]', VERBS.join(' | ')))
    .option('--yes', 'do not ask')
    .action((agent: string | undefined, mode: string | undefined, options: { yes?: boolean }) =>
      change(cli, agent, mode, options),
    );
}

async function change(
  cli: Cli,
  first: string | undefined,
  second: string | undefined,
  options: { yes?: boolean },
): Promise<void> {
  if (first === undefined) return show(cli);
  const [agent, verb] = second === undefined ? [undefined, first] : [first, second];
  if (!VERBS.includes(verb))
    throw new CliError(`${JSON.stringify(safe(verb))} is not a mode. Use one of: ${VERBS.join(', ')}`, EXIT.usage);
  const mode = verb as ModeVerb;
  if (mode === 'redact' || mode === 'enforce') {
    for (const line of preflightLines(await modePreflight(cli, agent, mode))) cli.note(line);
    if (!options.yes) await confirm(cli, `Go to ${mode}${agent === undefined ? '' : ` for ${safe(agent)}`}?`);
  }
  await cli.withClient(async (client) => {
    const result = await client.mode(agent, mode);
    cli.print(result, () => safe(result.message, 400));
  });
  return undefined;
}

async function show(cli: Cli): Promise<void> {
  const { mode, agents } = await cli.withClient((client) => client.status());
  const each = agents.map((a) => ({ agent: a.agent, mode: a.stopped ? 'stopped' : a.mode }));
  cli.print({ mode, agents: each }, () =>
    [mode, ...each.filter((a) => a.mode !== mode).map((a) => `${safe(a.agent)}: ${a.mode}`)].join('\n'),
  );
}
