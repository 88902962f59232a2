import { Readable, Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { Command } from 'commander';
import { type Cli, CliError, EXIT, type World } from './context.ts';
import { ACTS, type Act, AGENT, CONFIG, HOSTS, type Part, type Play } from './demo-acts.ts';
import { createAgent, type DemoAgent } from './demo-agent.ts';
import { createStage, type Stage } from './demo-stage.ts';
import { commandText, fold, partText } from './demo-words.ts';
import { dieBy } from './run-child.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** An act that was played, as --json shows it. */
interface Played {
  readonly step: number;
  readonly title: string;
  readonly parts: readonly Part[];
}

/** `weir demo`: the story of one agent, played for real on this machine's loopback, nothing left behind. */
export function demoCommand(cli: Cli): Command {
  return new Command('demo')
    .description('see it work: one agent, learned, flagged, stopped; offline, under a minute, nothing stays')
    .action(() => demo(cli));
}

async function demo(cli: Cli): Promise<void> {
  const { config, stateDir } = cli.options();
  if (config !== undefined || stateDir !== undefined)
    throw new CliError('the demo has a state directory and a configuration of its own: weir demo', EXIT.usage);
  const began = Date.now();
  const stage = createStage({ hosts: HOSTS, config: CONFIG, env: cli.env });
  const signals = onSignals(stage);
  try {
    const story = await tell(cli, stage);
    await stage.close();
    const seconds = (Date.now() - began) / 1000;
    cli.print({ ok: true, seconds, steps: story }, () => closing(cli, seconds));
  } catch (error) {
    // A signal has closed the stage and ends this process: what broke by it is no news.
    await signals.heard();
    const { message, steps } = failureOf(error);
    if (cli.options().json) cli.print({ ok: false, error: message, steps }, () => '');
    throw new CliError(message, EXIT.failure, { cause: error });
  } finally {
    await stage.close();
    signals.close();
  }
}

/** Plays all acts; without --json each part is printed as soon as it has happened. Rejects with Unplayed. */
async function tell(cli: Cli, stage: Stage): Promise<Played[]> {
  const played: Played[] = [];
  const say = (text: string): void => {
    if (!cli.options().json && text !== '') cli.stdout.write(`${text}\n`);
  };
  say(opening(cli));
  let agent: DemoAgent | undefined;
  let title = 'the start of the collector';
  try {
    await stage.raise();
    agent = createAgent(AGENT, stage.port);
    const play = playOn(cli, stage, agent);
    for (const [index, act] of ACTS.entries()) {
      title = `step ${index + 1} of ${ACTS.length} (${act.title})`;
      say(`\n${cli.style('bold', `${index + 1}  ${act.title}`)}`);
      played.push({
        step: index + 1,
        title: act.title,
        parts: await perform(act, play, (part) => say(partText(part, cli.style))),
      });
    }
    return played;
  } catch (error) {
    throw new Unplayed(`${title} did not happen: ${(error as Error).message}`, played, { cause: error });
  } finally {
    agent?.close();
  }
}

async function perform(act: Act, play: Play, print: (part: Part) => void): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const part of act.play(play)) {
    parts.push(part);
    print(part);
  }
  return parts;
}

/** A step that did not happen, and those that did. */
class Unplayed extends Error {
  readonly steps: readonly Played[];
  constructor(message: string, steps: readonly Played[], options: ErrorOptions) {
    super(message, options);
    this.steps = steps;
  }
}

function failureOf(error: unknown): { readonly message: string; readonly steps: readonly Played[] } {
  if (error instanceof Unplayed) return error;
  return { message: `the demo could not be ended: ${(error as Error).message}`, steps: [] };
}

function playOn(cli: Cli, stage: Stage, agent: DemoAgent): Play {
  const typeOnce = async (args: readonly string[]): Promise<Part & { readonly output: string }> => {
    const command = commandText(args);
    const { code, output } = await typed(cli, stage, args);
    if (code !== EXIT.ok) throw new Error(`${command} ended with ${code}: ${output.trim()}`);
    return { command, output };
  };
  return {
    stage,
    send: (ask) => agent.send(ask),
    typeOnce,
    type: (args, expected) =>
      stage.wait(`“${expected.trim()}” in the output of ${commandText(args)}`, async () => {
        const part = await typeOnce(args);
        return stripVTControlCharacters(part.output).includes(expected) ? part : undefined;
      }),
  };
}

/** Runs a command line in this process, against the collector of the stage; both output streams as one, in order. */
async function typed(
  cli: Cli,
  stage: Stage,
  args: readonly string[],
): Promise<{ readonly code: number; readonly output: string }> {
  let output = '';
  const sink = new Writable({
    decodeStrings: false,
    write: (chunk: string | Buffer, _, done) => {
      output += chunk.toString();
      done();
    },
  });
  const isTTY = !cli.options().json && cli.stdout.isTTY === true;
  const stream = Object.assign(sink, { isTTY }) as unknown as NodeJS.WriteStream;
  // Without a terminal to answer on nothing is asked.
  const stdin = Readable.from([]) as unknown as NodeJS.ReadStream;
  const { NO_COLOR, TERM } = cli.env;
  const env = {
    HOME: stage.dir,
    XDG_CONFIG_HOME: stage.dir,
    ...(NO_COLOR === undefined ? {} : { NO_COLOR }),
    ...(TERM === undefined ? {} : { TERM }),
  };
  const world: World = { env, stdin, stdout: stream, stderr: stream, cwd: stage.dir };
  const where = ['--config', stage.configFile, '--state-dir', stage.dir];
  const colour = cli.options().color === false ? ['--no-color'] : [];
  // Loaded here: main.ts knows every command, this one too.
  const { run } = await import('./main.ts');
  return { code: await run([...args, ...where, ...colour], world), output };
}

/** Ctrl-C and friends close the stage, then end this process as they would have; the second one at once. */
function onSignals(stage: Stage): { heard(): Promise<void>; close(): void } {
  let ending: Promise<void> | undefined;
  const close = (): void => {
    for (const signal of SIGNALS) process.removeListener(signal, hear);
  };
  const hear = (signal: NodeJS.Signals): void => {
    if (ending !== undefined) process.exit(1);
    ending = stage.close().finally(() => {
      close();
      dieBy(signal);
    });
    ending.catch(() => undefined);
  };
  for (const signal of SIGNALS) process.on(signal, hear);
  return {
    close,
    heard: async () => {
      // The signal arrives after this process's own end has been asked for: nothing may be said until then.
      if (ending !== undefined) await ending.then(() => new Promise<never>(() => undefined));
    },
  };
}

function opening(cli: Cli): string {
  return fold(
    [
      `${cli.style('bold', 'Weir demo')}: an agent called ${AGENT}, a real collector, ${HOSTS.length} invented hosts, all on loopback.`,
      'Everything below happens now; what stands after $ is what you would type.',
    ].join('\n'),
  );
}

function closing(cli: Cli, seconds: number): string {
  const checkout = import.meta.url.endsWith('.ts');
  const rows = [
    ['weir run -- <your agent>', 'your agent through Weir, with a receipt at its end'],
    [checkout ? 'npm start' : 'weir start', 'a collector for everybody, on 127.0.0.1:8080'],
    ['weir report', 'where agents went, what is new, what leaves'],
    ['README.md', 'start, learn, enforce; what is read inside https, and when'],
  ] as const;
  return [
    '',
    cli.style('bold', 'Now yours'),
    ...rows.map(([command, what]) => `  ${cli.style('cyan', command.padEnd(26))}${what}`),
    ...(checkout ? ['In this checkout weir is: npm run -s weir --'] : []),
    `That took ${seconds.toFixed(1)} s. The collector, the hosts and their rows are gone.`,
  ].join('\n');
}
