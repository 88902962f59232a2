import { readFileSync, writeFileSync } from 'node:fs';
import { Command } from 'commander';
import type { AccountStat } from '../model/account.ts';
import type { BaselineVerb } from '../model/admin.ts';
import type { AgentStat, DestinationStat } from '../model/record.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { readLearned } from './learned.ts';
import { bytes, clock, plural, table } from './table.ts';

/** `weir baseline …`: what is normal for each agent, and the verbs that correct it. */
export function baselineCommand(cli: Cli): Command {
  const parent = new Command('baseline').description('what is normal for each agent');
  const add = (name: string, text: string): Command => parent.command(name).description(text);
  add('show', 'what was learned')
    .argument('[agent]')
    .action((agent?: string) => show(cli, agent));
  for (const [verb, text] of [
    ['accept', 'this destination is normal'],
    ['ignore', 'never flag and never suggest this destination'],
  ] as const)
    add(verb, text)
      .argument('<agent>')
      .argument('<destination...>', 'host or host:port')
      .action((agent: string, destinations: string[]) => edit(cli, verb, agent, destinations));
  add('forget', 'unlearn destinations, or the whole agent')
    .argument('<agent>')
    .argument('[destination...]', 'host or host:port; none = everything')
    .action((agent: string, destinations: string[]) => edit(cli, 'forget', agent, destinations));
  add('lock', 'learn nothing more')
    .argument('<agent>')
    .option('--off', 'learn again')
    .action((agent: string, options: { off?: boolean }) => edit(cli, options.off ? 'unlock' : 'lock', agent, []));
  add('export', 'one agent as JSON, for import or baseline.seed')
    .argument('<agent>')
    .argument('[file]')
    .action((agent: string, file?: string) => exportOne(cli, agent, file));
  add('import', 'take over an exported baseline')
    .argument('<agent>')
    .argument('<file>', 'file, or - for standard input')
    .action((agent: string, file: string) => importOne(cli, agent, file));
  return parent;
}

async function show(cli: Cli, agent?: string): Promise<void> {
  const { stats, sentence } = await readLearned(cli, agent);
  cli.print(stats, () =>
    stats.length === 0 ? 'Nothing is learned yet.' : stats.map((stat) => one(stat, sentence(stat.agent))).join('\n\n'),
  );
}

function one(stat: AgentStat, sentence?: string): string {
  const head =
    sentence ??
    `${stat.agent}: ${stat.requests} requests, ${plural(stat.destinations.length, 'destination')}${stat.locked ? ', locked' : ''}`;
  const credentials = new Map<string, number>();
  const tenants: AccountStat[] = [];
  for (const account of stat.accounts ?? []) {
    if (account.kind === 'tenant') tenants.push(account);
    else credentials.set(account.place, (credentials.get(account.place) ?? 0) + 1);
  }
  const lines = table(stat.destinations, [
    { name: 'DESTINATION', cell: (d) => `${d.host}:${d.port}`, max: 80 },
    { name: 'STATUS', cell: (d) => d.status },
    { name: 'COUNT', cell: (d) => d.count, right: true },
    { name: 'OUT', cell: (d) => bytes(d.requestBytes), right: true },
    { name: 'IN', cell: (d) => bytes(d.responseBytes), right: true },
    { name: 'METHODS', cell: (d) => d.methods.join(' ') },
    { name: 'FIRST', cell: (d) => clock(d.firstSeen) },
    { name: 'LAST', cell: (d) => clock(d.lastSeen) },
    ...(credentials.size === 0
      ? []
      : [{ name: 'KEYS', cell: (d: DestinationStat) => several(credentials.get(d.host)), right: true }]),
  ]);
  return [safe(head, 300), lines, ...written(tenants)].join('\n');
}

/** As many values at one place are no longer judged (`MANY` in inspect/account.ts). */
const MANY = 32;

function several(count: number | undefined): string {
  return count === undefined ? '' : count > MANY ? 'many' : String(count);
}

/** Which tenants are written to, a line for each service. */
function written(tenants: readonly AccountStat[]): string[] {
  const services = new Map<string, string[]>();
  for (const { place, value } of tenants) services.set(place, [...(services.get(place) ?? []), value]);
  return Array.from(services, ([service, values]) => {
    const shown = values.length > MANY ? `many, e.g. ${values.slice(0, 3).join(', ')}` : values.join(', ');
    return safe(`writes at ${service} to: ${shown}`, 500);
  });
}

async function edit(
  cli: Cli,
  verb: BaselineVerb,
  agent: string,
  destinations: readonly string[],
  document?: AgentStat,
): Promise<void> {
  const request = { verb, agent, destinations, ...(document === undefined ? {} : { document }) };
  const result = await cli.withClient((client) => client.baseline(request));
  cli.print(result, () => safe(result.message, 400));
}

async function exportOne(cli: Cli, agent: string, file?: string): Promise<void> {
  const [stat] = await cli.withClient((client) => client.baselines(agent));
  if (!stat) throw new CliError(`nothing is learned of ${safe(agent)}. Who is known: weir status`);
  const text = `${JSON.stringify({ weirBaseline: 1, exportedAt: new Date().toISOString(), ...stat }, undefined, 2)}\n`;
  if (file === undefined) cli.stdout.write(text);
  else writeFileSync(file, text, { mode: 0o600 });
}

async function importOne(cli: Cli, agent: string, file: string): Promise<void> {
  const document = readExport(file);
  await edit(cli, 'import', agent, [], { ...document, agent });
}

/** Reads an export; refuses anything else, naming the file. */
function readExport(file: string): AgentStat {
  try {
    const value = JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8')) as Partial<AgentStat>;
    if (
      Array.isArray(value.destinations) &&
      value.destinations.every((d) => typeof d.host === 'string' && Number.isInteger(d.port))
    )
      return value as AgentStat;
  } catch (error) {
    throw new CliError(`${file} cannot be read as an exported baseline: ${(error as Error).message}`, EXIT.usage);
  }
  throw new CliError(`${file} is not an exported baseline (weir baseline export AGENT)`, EXIT.usage);
}
