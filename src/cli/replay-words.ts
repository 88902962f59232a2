import { hostPort } from '../model/destination.ts';
import { type Cli, safe } from './context.ts';
import type { Progress } from './replay-run.ts';
import type { Changed, Outcome, Summary } from './replay-tally.ts';
import { clock, plural, table } from './table.ts';

interface Frame {
  readonly names: readonly string[];
  readonly mode: string;
  readonly since: number;
  readonly now: number;
  readonly diff?: boolean;
  readonly style: Cli['style'];
}

/** Rows of one kind; what is more stands in `--json`. */
const SHOWN = 40;
const HEADINGS: Readonly<Record<Outcome, string>> = {
  'newly-stopped': 'NEWLY STOPPED',
  'no-longer-stopped': 'NO LONGER STOPPED',
  undecidable: 'UNDECIDABLE',
};

/** A replay for people. */
export function replayText(summary: Summary, frame: Frame): string {
  const { exchanges, counts, unchanged, stillStopped } = summary;
  const rules = frame.names.length === 0 ? 'the configuration' : frame.names.map((name) => safe(name, 120)).join(', ');
  const mode = frame.mode === 'configured' ? 'in the modes configured' : `as if in ${frame.mode}`;
  const against = frame.diff ? ', compared with the configuration as it is' : '';
  const still = stillStopped === 0 ? '' : ` (${number(stillStopped)} of them stopped)`;
  const lines = [
    `${plural(exchanges, 'exchange')} since ${clock(frame.since)} under ${rules}, ${mode}${against}:`,
    `  ${number(unchanged)} unchanged${still}`,
    `  ${number(counts['newly-stopped'])} newly stopped`,
    `  ${number(counts['no-longer-stopped'])} no longer stopped`,
    `  ${number(counts.undecidable)} undecidable`,
  ];
  for (const outcome of Object.keys(HEADINGS) as Outcome[]) {
    const changed = summary.changed.filter((one) => one.outcome === outcome);
    if (changed.length > 0) lines.push('', HEADINGS[outcome], ...tableOf(changed, outcome, frame.style).split('\n'));
  }
  return lines.join('\n');
}

function tableOf(changed: readonly Changed[], outcome: Outcome, style: Cli['style']): string {
  const rows = table(
    changed.slice(0, SHOWN),
    [
      { name: 'COUNT', cell: ({ count }) => count, right: true },
      { name: 'AGENT', cell: ({ agent }) => agent, max: 40 },
      { name: 'DESTINATION', cell: ({ host, port }) => hostPort(host, port), max: 60 },
      outcome === 'undecidable'
        ? { name: 'WHY', cell: ({ reason }: Changed) => reason, max: 100 }
        : { name: 'RULE', cell: ({ rule }: Changed) => rule, max: 48 },
      { name: 'LAST', cell: ({ last }) => clock(last) },
      { name: 'EXAMPLES', cell: ({ examples }) => examples.join(' '), max: 40 },
    ],
    (text) => style('dim', text),
  );
  const more = changed.length - SHOWN;
  return more > 0 ? `${rows}\n… and ${more} more (--json has all of them)` : rows;
}

function number(n: number): string {
  return n.toLocaleString('en-US');
}

/** Shown at most this often. */
const EVERY_MS = 100;
const WIDTH = 30;

/** A bar on a terminal, nothing elsewhere. */
export function progress(cli: Cli): Progress & { end(): void } {
  const wanted = cli.stderr.isTTY && !cli.options().json;
  let total = 0;
  let done = 0;
  let shown = 0;
  const show = (): void => {
    if (!wanted || total === 0) return;
    const part = Math.min(1, done / total);
    const full = Math.round(part * WIDTH);
    const bar = `${'█'.repeat(full)}${'░'.repeat(WIDTH - full)}`;
    cli.stderr.write(`\r${bar} ${String(Math.floor(part * 100)).padStart(3)} % of ${number(total)}`);
  };
  return {
    begin(all) {
      total = all;
      show();
    },
    add(count) {
      done += count;
      const now = performance.now();
      if (now - shown < EVERY_MS) return;
      shown = now;
      show();
    },
    end() {
      if (wanted && total > 0) cli.stderr.write('\r\u001b[K');
    },
  };
}
