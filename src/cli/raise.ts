import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Config } from '../config/schema.ts';
import type { Preflight } from '../model/preflight.ts';
import { type Cli, CliError, safe } from './context.ts';
import { replayed, WEEK_MS } from './preflight.ts';
import { span } from './table.ts';

type Mode = Config['mode'];
const RANK: Readonly<Record<Mode, number>> = { monitor: 0, redact: 1, enforce: 2 };
const FILE = 'last-mode';
const MAX_EXAMPLES = 8;

/** Remembers in the state directory which mode ran last, so that the next start knows whether it raises it. */
export function rememberMode(config: Config): void {
  try {
    writeFileSync(join(config.state_dir, 'private', FILE), `${config.mode}\n`, { mode: 0o600 });
  } catch {
    // Only costs a second preflight.
  }
}

/** Shows the preflight when this start raises the mode; on a terminal it asks, otherwise it proceeds (product.md §3). */
export async function raiseMode(cli: Cli, config: Config): Promise<void> {
  const last = lastMode(config);
  if (last === undefined || RANK[config.mode] <= RANK[last]) return;
  for (const line of preflightLines(await storedPreflight(config, cli.env, last))) cli.note(line);
  await confirm(cli, `Start in ${config.mode}?`);
}

function lastMode(config: Config): Mode | undefined {
  try {
    const text = readFileSync(join(config.state_dir, 'private', FILE), 'utf8').trim();
    return Object.hasOwn(RANK, text) ? (text as Mode) : undefined;
  } catch {
    return undefined;
  }
}

/** The last week's rows, replayed under the rules that are about to start. */
async function storedPreflight(config: Config, env: NodeJS.ProcessEnv, from: Mode): Promise<Preflight> {
  const base = { from, to: config.mode, containment: 'cooperative' as const };
  const nothing = { ...base, spanMs: WEEK_MS, exchanges: 0, wouldLose: 0, examples: [], uninspectable: [] };
  const source = { stateDir: config.state_dir, directFile: config.store.path };
  // A store that cannot be read must not keep anybody from enforcing; the numbers are then zero. What is wrong with the rules the start says itself.
  return replayed(source, config, env).then(
    (found) => ({ ...base, ...found }),
    () => nothing,
  );
}

/** The preflight in lines for people. */
export function preflightLines(preflight: Preflight): string[] {
  const { from, to, exchanges, wouldLose, undecidable = 0, examples, uninspectable } = preflight;
  const lines = [
    `${from} → ${to}: of ${exchanges} requests in the last ${span(preflight.spanMs)}, ${wouldLose} would have been stopped.`,
  ];
  for (const { agent, destination, rule, count } of examples.slice(0, MAX_EXAMPLES))
    lines.push(`  ${count} × ${safe(agent)} → ${safe(destination)}${rule === '' ? '' : ` (${safe(rule)})`}`);
  if (preflight.partial)
    lines.push('only the latest were looked at: weir replay looks at all of them, and takes its time.');
  if (undecidable > 0) lines.push(`${undecidable} more cannot be told from their rows: weir replay says why.`);
  if (uninspectable.length > 0) {
    const some = uninspectable
      .slice(0, 5)
      .map((host) => safe(host))
      .join(', ');
    const more = uninspectable.length > 5 ? ', …' : '';
    lines.push(`tunnelled, so content rules cannot see inside: ${some}${more}`);
  }
  if (preflight.containment === 'cooperative')
    lines.push(
      'enforce is cooperative here: an agent can leave by not using the proxy (weir verify --containment shows how).',
    );
  return [lines.join('\n')];
}

/** Asks on a terminal; anything but yes ends the command. Without a terminal it proceeds at once. */
export async function confirm(cli: Cli, question: string): Promise<void> {
  if (!cli.stdin.isTTY || !cli.stderr.isTTY) return;
  const prompt = createInterface({ input: cli.stdin, output: cli.stderr });
  try {
    const answer = await prompt.question(`weir: ${question} [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new CliError('nothing was changed.');
  } finally {
    prompt.close();
  }
}
