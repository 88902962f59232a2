import { Command } from 'commander';
import type { StatusReport } from '../model/admin.ts';
import type { HookStatus } from '../model/notify.ts';
import { type Cli, EXIT, safe } from './context.ts';
import { bytes, clock, plural, span, table } from './table.ts';

/** `weir status`: the report of the running collector; the human form shows the same facts. */
export function statusCommand(cli: Cli): Command {
  return new Command('status')
    .description('what runs, what is read, what each agent does, what is wrong')
    .action(async () => {
      const report = await cli.withClient((client) => client.status());
      cli.print(report, () => humanStatus(report, cli));
      if (report.problems.some((problem) => problem.severity === 'error')) cli.exit(EXIT.found);
    });
}

/** The report in lines for people. */
function humanStatus(report: StatusReport, cli: Pick<Cli, 'style'>, now: number = Date.now()): string {
  return [
    head(report, cli, now),
    agents(report, cli, now),
    exceptions(report),
    losses(report),
    ...report.problems.map(({ severity, message, next }) => {
      const sign =
        severity === 'error'
          ? cli.style('red', 'problem')
          : severity === 'warn'
            ? cli.style('yellow', 'warning')
            : 'note';
      return `${sign}  ${safe(message, 400)}${next === undefined ? '' : `\n         ${safe(next, 400)}`}`;
    }),
  ]
    .filter((part) => part !== '')
    .join('\n\n');
}

function head(report: StatusReport, cli: Pick<Cli, 'style'>, now: number): string {
  const listeners = report.listeners.map(
    ({ address, agent, tls }) => `${address}${tls ? ' (TLS)' : ''}${agent ? ` → ${agent}` : ''}`,
  );
  const others = [
    report.adminAddress && `admin ${report.adminAddress}`,
    report.healthAddress && `health ${report.healthAddress}`,
  ];
  const rows: readonly (readonly [string, string | undefined])[] = [
    [
      'mode',
      `${cli.style('bold', report.mode)} · ${report.containment}${report.verified ? '' : ' · not verified yet: weir verify'}`,
    ],
    ['listens', [...listeners, ...others.filter(Boolean)].join(', ')],
    ['reads', safe(report.reads, 300)],
    ['policies', report.policies && safe(report.policies.replace(/^policies: /, ''), 300)],
    ['spans', safe(report.telemetry.sentence, 300)],
    ['tells', report.notifications?.map(told).join('; ')],
    ['rows', safe(report.store.sentence, 300)],
    ['trust', report.caBundle],
    ['state', report.stateDir],
    ['config', report.configFile ?? 'none (defaults)'],
  ];
  const lines = rows.filter(([, text]) => text).map(([name, text]) => `  ${name.padEnd(8)} ${text}`);
  return [`weir ${report.version}  pid ${report.pid}  up ${span(now - report.since)}`, ...lines].join('\n');
}

function told({ origin, delivered, waiting, dead }: HookStatus): string {
  return `${safe(origin)}: ${delivered} told, ${waiting} waiting, ${dead} given up`;
}

function agents(report: StatusReport, cli: Pick<Cli, 'style'>, now: number): string {
  if (report.agents.length === 0) return 'No agent has connected yet. Point one here: weir env --agent NAME';
  const heading = (text: string): string => cli.style('dim', text);
  const list = table(
    report.agents,
    [
      { name: 'AGENT', cell: (a) => a.agent, max: 63 },
      { name: 'BY', cell: (a) => a.identifiedBy },
      { name: 'MODE', cell: (a) => (a.stopped ? 'stopped' : a.mode) },
      { name: 'BASELINE', cell: (a) => a.baseline.state },
      { name: 'REQUESTS', cell: (a) => a.requests, right: true },
      { name: 'OUT', cell: (a) => bytes(a.requestBytes), right: true },
      { name: 'IN', cell: (a) => bytes(a.responseBytes), right: true },
      { name: 'WOULD BLOCK', cell: (a) => a.wouldBlock, right: true },
      { name: 'BLOCKED', cell: (a) => a.blocked, right: true },
      {
        name: 'LAST SEEN',
        cell: (a) => (a.lastSeen === undefined ? '–' : `${span(now - a.lastSeen)} ago`),
        right: true,
      },
    ],
    heading,
  );
  // Names nobody configured may share a baseline.
  const baselines = new Set(report.agents.map((a) => `  ${safe(a.baseline.sentence, 300)}`));
  return [list, ...baselines].join('\n');
}

function exceptions(report: StatusReport): string {
  if (report.exceptions.length === 0) return '';
  const lines = report.exceptions.map(
    (e) =>
      `  ${safe(e.agent)}: ${safe(e.subject)} is tunnelled until ${clock(e.until)} (${safe(e.reason)})\n      ${safe(e.fix, 200)}`,
  );
  return ['not intercepted although configured', ...lines].join('\n');
}

function counts(map: Readonly<Record<string, number>>): string {
  const parts = Object.entries(map).filter(([, n]) => n > 0);
  return parts.map(([reason, n]) => `${safe(reason)} ${n}`).join(', ');
}

function losses(report: StatusReport): string {
  const lines = [
    `started ${report.started}, open ${report.open}, ${plural(report.connections, 'connection')}, journal ${bytes(report.journalBytes)}`,
  ];
  const { identity } = report;
  if (identity !== undefined) {
    const lost = Object.values(identity.dropped).reduce((sum, count) => sum + count, 0);
    lines.push(
      `  since the first start: ${identity.started} begun ${identity.holds ? '=' : '≠'} ${identity.exported} exported + ${identity.journalled} waiting + ${identity.open} open + ${identity.sampledOut} sampled out + ${lost} dropped`,
    );
  }
  const dropped = counts(report.dropped);
  if (dropped !== '') lines.push(`  dropped before the journal: ${dropped}`);
  for (const c of report.consumers) {
    const lost = counts(c.dropped);
    const failing = c.failing === undefined ? '' : `  failing: ${safe(c.failing, 200)}`;
    lines.push(
      `  ${safe(c.name).padEnd(10)} exported ${c.exported}, waiting ${c.journalled}, sampled out ${c.sampledOut}, dropped ${lost === '' ? 0 : lost}${failing}`,
    );
  }
  const limits = counts(report.limitsReached);
  if (limits !== '') lines.push(`  limits reached: ${limits}`);
  return lines.join('\n');
}
