import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import type { Config } from '../config/schema.ts';
import type { Preflight } from '../model/admin.ts';
import { hostPort } from '../model/destination.ts';
import { type Cli, CliError, safe } from './context.ts';
import { span } from './table.ts';

type Mode = Config['mode'];
const RANK: Readonly<Record<Mode, number>> = { monitor: 0, redact: 1, enforce: 2 };
const FILE = 'last-mode';
const WEEK_MS = 7 * 24 * 3600 * 1000;
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
  const since = Date.now() - WEEK_MS;
  const base = { from, to: config.mode, spanMs: WEEK_MS, containment: 'cooperative' as const };
  const nothing = { ...base, exchanges: 0, wouldLose: 0, examples: [], uninspectable: [] };
  // A store that cannot be read must not keep anybody from enforcing; the numbers are then zero. What is wrong with the rules the start says itself.
  return replayed(config, env, since).then(
    (found) => ({ ...base, ...found }),
    () => nothing,
  );
}

type Replayed = Pick<Preflight, 'exchanges' | 'wouldLose' | 'undecidable' | 'examples' | 'uninspectable'>;

async function replayed(config: Config, env: NodeJS.ProcessEnv, since: number): Promise<Replayed> {
  const [{ configuredPolicies, createReplay }, { replayRows }, { storedRows }] = await Promise.all([
    import('../collector.ts'),
    import('./replay-run.ts'),
    import('./stored.ts'),
  ]);
  const source = { stateDir: config.state_dir, directFile: config.store.path };
  const { set: policies } = await configuredPolicies(config, env);
  const candidate = await createReplay({ config, policies, mode: 'configured' });
  const { exchanges, counts, changed } = await replayRows(source, { candidate }, { since });
  const tunnelled = await storedRows(
    source,
    `SELECT host, count(*)::DOUBLE AS n FROM exchanges WHERE visibility = 'tunnel' AND epoch_ms(started_at) > ${since}
     GROUP BY ALL ORDER BY n DESC LIMIT 20`,
  );
  const lost = changed.filter(({ outcome }) => outcome === 'newly-stopped').slice(0, MAX_EXAMPLES);
  return {
    exchanges,
    wouldLose: counts['newly-stopped'],
    undecidable: counts.undecidable,
    examples: lost.map(({ agent, host, port, rule, count }) => ({
      agent,
      destination: hostPort(host, port),
      rule,
      count,
    })),
    uninspectable: tunnelled.map((row) => String(row['host'])),
  };
}

/** The preflight in lines for people. */
export function preflightLines(preflight: Preflight): string[] {
  const { from, to, exchanges, wouldLose, undecidable = 0, examples, uninspectable } = preflight;
  const lines = [
    `${from} → ${to}: of ${exchanges} requests in the last ${span(preflight.spanMs)}, ${wouldLose} would have been stopped.`,
  ];
  for (const { agent, destination, rule, count } of examples.slice(0, MAX_EXAMPLES))
    lines.push(`  ${count} × ${safe(agent)} → ${safe(destination)}${rule === '' ? '' : ` (${safe(rule)})`}`);
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
