import { Command } from 'commander';
import { ConfigError } from '../config/problem.ts';
import { type Cli, EXIT, safe } from './context.ts';
import { clockCheck } from './doctor-clock.ts';
import { deadChecks } from './doctor-dead.ts';
import { environmentChecks } from './doctor-environment.ts';
import { policyChecks } from './doctor-policies.ts';
import { lookAround } from './doctor-scene.ts';
import { collectorChecks, stateChecks } from './doctor-state.ts';
import { telemetryChecks } from './doctor-telemetry.ts';
import { trustChecks } from './doctor-trust.ts';
import { type Unseen, unseenHere, unseenLines } from './doctor-unseen.ts';

interface Looked {
  readonly name: string;
  readonly message: string;
}

/** One thing looked at. `fail` ends the command with 4. What is not `ok` says in `next` what to type or change. */
export type Check =
  | (Looked & { readonly state: 'ok'; readonly next?: string })
  | (Looked & { readonly state: 'warn' | 'fail'; readonly next: string });

/** `weir doctor`: looks at this shell, the state directory, the running collector, and says what it cannot see. */
export function doctorCommand(cli: Cli): Command {
  return new Command('doctor')
    .description('look for what commonly goes wrong: environment, CA trust, clock, files, collector')
    .action(async () => {
      const { checks, ...unseen } = await examine(cli);
      cli.print({ checks, ...unseen }, () => human(checks, unseen, cli));
      if (checks.some((check) => check.state === 'fail')) cli.exit(EXIT.found);
    });
}

async function examine(cli: Cli): Promise<{ readonly checks: readonly Check[] } & Unseen> {
  const scene = await lookAround(cli).catch(configCheck);
  const shell = [...environmentChecks(cli.env), ...(await deadChecks(cli.env))];
  if ('state' in scene)
    return { checks: [...shell, clockCheck(Date.now(), undefined), scene], ...unseenHere(cli.env, undefined) };
  const checks = [
    ...shell,
    clockCheck(scene.now, scene.config.state_dir),
    ...stateChecks(scene),
    ...(await collectorChecks(scene)),
    ...trustChecks(scene),
    ...policyChecks(scene),
    ...(await telemetryChecks(scene)),
  ];
  return { checks, ...unseenHere(cli.env, scene) };
}

/** A configuration that cannot be read leaves the state directory unknown: the rest is looked at without it. */
function configCheck(error: unknown): Check {
  if (!(error instanceof ConfigError)) throw error;
  const { problems } = error;
  const message = `${problems.length} mistake${problems.length === 1 ? '' : 's'}: ${problems[0]?.message}`;
  return { name: 'config', state: 'fail', message, next: 'weir check' };
}

function human(checks: readonly Check[], unseen: Unseen, cli: Cli): string {
  const colour = { ok: 'green', warn: 'yellow', fail: 'red' } as const;
  const width = Math.max(...checks.map((check) => check.name.length));
  const lines = checks.map(({ name, state, message, next }) => {
    const advice = next === undefined ? '' : `\n${' '.repeat(width + 8)}${safe(next, 300)}`;
    return `${cli.style(colour[state], state.padEnd(4))}  ${name.padEnd(width)}  ${safe(message, 400)}${advice}`;
  });
  const cannot = unseenLines(unseen).flatMap((text) => text.split('\n').map((line) => `  ${safe(line, 300)}`));
  return [...lines, '', 'What cannot be seen from here:', ...cannot].join('\n');
}
