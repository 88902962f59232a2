import { Command } from 'commander';
import type { LogLine, LogQuery } from '../model/admin.ts';
import { type Cli, safe } from './context.ts';
import { bytes } from './table.ts';
import { parseCount, parseTime } from './time.ts';

interface LogOptions {
  readonly follow?: boolean;
  readonly agent?: string;
  readonly blocked?: boolean;
  readonly since?: number;
  readonly limit?: number;
}

/** `weir logs [-f]`: one line per exchange and finding, newest last. */
export function logsCommand(cli: Cli): Command {
  return new Command('logs')
    .description('exchanges and findings, newest last')
    .option('-f, --follow', 'go on with what happens now')
    .option('--agent <name>', 'one agent only')
    .option('--blocked', 'only what was blocked or would have been')
    .option('--since <when>', '30m, 2h, 7d or a date', (text: string) => parseTime(text))
    .option('-n, --limit <lines>', 'at most this many', parseCount)
    .action((options: LogOptions) => logs(cli, options));
}

async function logs(cli: Cli, { follow, ...rest }: LogOptions): Promise<void> {
  const query: LogQuery = rest;
  const write = (line: LogLine): boolean =>
    cli.stdout.write(`${cli.options().json ? JSON.stringify(line) : logText(line, cli)}\n`);
  await cli.withClient(async (client) => {
    for (const line of await client.logs(query)) write(line);
    if (!follow) return;
    const abort = new AbortController();
    process.once('SIGINT', () => abort.abort());
    for await (const line of client.follow(query, abort.signal)) {
      if ('missed' in line) cli.note(`${line.missed} lines were left out: this terminal is slower than the traffic`);
      else if (!write(line)) await new Promise((resolve) => cli.stdout.once('drain', resolve));
    }
  });
}

/** One line for people: time, agent, what, where, result, findings. */
function logText(line: LogLine, cli: Pick<Cli, 'style'>): string {
  const time = cli.style('dim', new Date(line.at).toTimeString().slice(0, 8));
  const parts = [time, safe(line.agent, 63).padEnd(12)];
  if (line.method !== undefined || line.destination !== undefined) {
    parts.push(safe(line.method, 16).padEnd(7), `${safe(line.destination, 80)}${safe(line.path, 120)}`);
    if (line.status !== undefined) parts.push(String(line.status));
    else if (line.outcome !== undefined) parts.push(safe(line.outcome));
    if (line.requestBytes || line.responseBytes)
      parts.push(`↑${bytes(line.requestBytes ?? 0)} ↓${bytes(line.responseBytes ?? 0)}`);
    if (line.durationMs !== undefined) parts.push(`${Math.round(line.durationMs)} ms`);
  }
  if (line.action === 'block') parts.push(cli.style('red', 'blocked'));
  else if (line.action === 'redact') {
    const would = line.would === 'block' ? ' (would block)' : '';
    parts.push(cli.style('yellow', `redacted${would}`));
  } else if (line.would !== undefined && line.would !== 'none')
    parts.push(cli.style('yellow', `would ${safe(line.would)}`));
  const what = line.message ?? line.rules.join(', ');
  if (what !== '') parts.push(`[${safe(what, 200)}]`);
  return parts.join('  ');
}
