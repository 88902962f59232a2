import { Command } from 'commander';
import { AdminError } from '../admin/protocol.ts';
import { loadConfig } from '../config/load.ts';
import type { Disposition, Finding, Mode } from '../model/finding.ts';
import type { Explained, ExplainReport } from '../model/policy.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';

const REF = /^[0-9A-Za-z]{10}$/;

/** `weir policy explain <ref | METHOD URL>`: every inspector's finding, the verdict, and the action in each mode. */
export function policyExplainCommand(cli: Cli): Command {
  return new Command('explain')
    .description('why something was, or would be, let through or stopped: findings, verdict, the action in each mode')
    .argument('<ref|method>', 'the ref of a refusal or a row, or a method like POST')
    .argument('[url]', 'with a method: what would happen to this request; nothing is sent')
    .option('--agent <name>', 'with a method: whose request')
    .action(async (first: string, url: string | undefined, options: { readonly agent?: string }) => {
      const report = url === undefined ? await stored(cli, first) : await asked(cli, first, url, options.agent);
      cli.print(report, () => report.steps.map(stepText).join('\n\n'));
    });
}

async function asked(cli: Cli, method: string, url: string, named: string | undefined): Promise<ExplainReport> {
  const { config } = loadConfig({ flags: flagsOf(cli), env: cli.env, cwd: cli.cwd });
  if (!/^[A-Za-z][A-Za-z-]{0,20}$/.test(method)) throw new CliError(`${safe(method)} is no method`, EXIT.usage);
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new CliError(`${safe(url, 200)} is no http:// or https:// URL`, EXIT.usage);
  const request = { agent: named ?? config.agent, method: method.toUpperCase(), url };
  try {
    return await cli.withClient((client) => client.explain(request));
  } catch (error) {
    if (!(error instanceof AdminError && error.code === 'no-collector')) throw error;
  }
  cli.note('no collector runs: judged by the configuration alone, nothing is known of what was learned');
  const { explainConfigured } = await import('../collector.ts');
  return explainConfigured(config, cli.env, request);
}

/** A row, the CONNECT or tunnel included, with its findings. */
async function stored(cli: Cli, ref: string): Promise<ExplainReport> {
  if (!REF.test(ref))
    throw new CliError(
      'give the ten characters of a ref, or a method and a URL: weir policy explain POST https://example.org/',
      EXIT.usage,
    );
  const { config } = loadConfig({ flags: flagsOf(cli), env: cli.env, cwd: cli.cwd });
  // DuckDB's native library is loaded only here.
  const [{ storedRows, storedSource }, { actionsIn }] = await Promise.all([
    import('./stored.ts'),
    import('../collector.ts'),
  ]);
  const source = await storedSource(config);
  // A ref is letters and digits: it has been looked at.
  const key = ref.toUpperCase();
  const rows = await storedRows(source, `SELECT * FROM exchanges WHERE ref = '${key}' ORDER BY started_at`);
  if (rows.length === 0)
    throw new CliError(`no row has the ref ${key}: it is erased by now, or of another state directory`);
  const found = await storedRows(
    source,
    `SELECT * FROM findings WHERE right(exchange_id, 10) = '${key}' ORDER BY occurred_at, id`,
  );
  const steps = rows.map((row): Explained => {
    const text = (name: string): string => String(row[name] ?? '');
    const findings = found
      .filter((one) => rows.length === 1 || one['kind'] === row['kind'])
      .map((one) => findingOf((name) => String(one[name] ?? '')));
    const verdict = text('verdict') as Disposition;
    const deciding = findings.find(({ disposition }) => disposition === verdict);
    const scheme = text('scheme') === 'tcp' ? '' : `${text('scheme')}://`;
    return {
      what: `${text('method')} ${scheme}${text('host')}:${text('port')}${text('path')}`,
      agent: text('agent'),
      visibility: text('visibility') as Explained['visibility'],
      inspectors: [...new Set(findings.map(({ inspector }) => inspector))],
      findings,
      verdict,
      ...(deciding === undefined || verdict === 'allow' ? {} : { rule: deciding.rule }),
      mode: text('mode') as Mode,
      stopped: false,
      modes: actionsIn(verdict, findings, false),
    };
  });
  return { steps };
}

function findingOf(text: (name: string) => string): Explained['findings'][number] {
  return {
    inspector: text('inspector'),
    rule: text('rule'),
    severity: text('severity') as Finding['severity'],
    disposition: text('disposition') as Disposition,
    message: text('message'),
  };
}

function flagsOf(cli: Cli) {
  return { config: cli.options().config, stateDir: cli.options().stateDir };
}

function stepText(step: Explained): string {
  const { findings, modes, inspectors } = step;
  const quiet = inspectors.filter((id) => !findings.some(({ inspector }) => inspector === id));
  const lines = findings.map(
    ({ inspector, rule, disposition, message }) =>
      `  ${safe(inspector).padEnd(12)} ${disposition.padEnd(6)} ${safe(rule, 60)}: ${safe(message, 300)}`,
  );
  const actions = Object.entries(modes).map(([mode, { action, would }]) => {
    const tail = would === 'none' ? '' : ` (would ${would})`;
    return `  ${mode.padEnd(12)} ${action}${tail}${mode === step.mode ? '   ← applies here' : ''}`;
  });
  return [
    `${safe(step.what, 400)} by ${safe(step.agent)} (${step.visibility})`,
    ...lines,
    ...(quiet.length === 0 ? [] : [`  no finding   ${quiet.map((id) => safe(id)).join(', ')}`]),
    `  verdict      ${step.verdict}${step.rule === undefined ? '' : `, by ${safe(step.rule, 100)}`}`,
    ...actions,
    ...(step.stopped ? ['  the agent is stopped: refused whatever the verdict (weir mode … resume)'] : []),
  ].join('\n');
}
