import { Command } from 'commander';
import { type Cli, EXIT, safe } from './context.ts';
import { environmentChecks } from './doctor-environment.ts';
import { stateChecks } from './doctor-state.ts';

/** One thing looked at. `fail` ends the command with 4. */
export interface Check {
  readonly name: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly message: string;
  /** What to type or change. */
  readonly next?: string;
}

/** What no check from here can see; said every time so that "ok" is not read as more than it is. */
const UNSEEN = [
  'programs that ignore the proxy variables, and raw sockets, UDP or DNS of their own',
  'agent headers inside tunnels: X-Weir-Agent cannot be removed where TLS is not intercepted',
  'other machines: run weir verify where the agent runs',
];

/** `weir doctor`: looks at this shell, the state directory and the running collector. */
export function doctorCommand(cli: Cli): Command {
  return new Command('doctor')
    .description('look for what commonly goes wrong: environment, CA trust, clock, files, collector')
    .action(async () => {
      const checks = [...environmentChecks(cli.env), ...(await stateChecks(cli))];
      cli.print({ checks, unseen: UNSEEN }, () => human(checks, cli));
      if (checks.some((check) => check.state === 'fail')) cli.exit(EXIT.found);
    });
}

function human(checks: readonly Check[], cli: Cli): string {
  const colour = { ok: 'green', warn: 'yellow', fail: 'red' } as const;
  const width = Math.max(...checks.map((check) => check.name.length));
  const lines = checks.map(({ name, state, message, next }) => {
    const advice = next === undefined ? '' : `\n${' '.repeat(width + 8)}${safe(next, 300)}`;
    return `${cli.style(colour[state], state.padEnd(4))}  ${name.padEnd(width)}  ${safe(message, 400)}${advice}`;
  });
  return [...lines, '', 'What cannot be seen from here:', ...UNSEEN.map((text) => `  ${text}`)].join('\n');
}
