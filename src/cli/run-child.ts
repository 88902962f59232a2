import { spawn } from 'node:child_process';
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { constants as os } from 'node:os';
import { delimiter, join } from 'node:path';
import { CliError, safe } from './context.ts';

/** How shells say it (POSIX 2.8.2): not found, found and not executable. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;
/** How often the command is looked at for having stopped itself (ms). */
const STOPPED_MS = 250;

/** What became of the command: one of the two. */
export interface ChildEnd {
  readonly code?: number;
  readonly signal?: NodeJS.Signals;
}

export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  readonly cwd: string;
  readonly signals: SignalDesk;
  readonly onStarted: (pid: number) => void;
}

/**
 * Runs the command with our own stdin, stdout, stderr and process group: it has the terminal as if we were not there.
 * Rejects with CliError when it cannot be started.
 */
export function runChild({ command, args, env, cwd, signals, onStarted }: ChildOptions): Promise<ChildEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', env, cwd });
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (child.pid === undefined) reject(cannotStart(command, error.code));
    });
    const { pid } = child;
    if (pid === undefined) return;
    signals.hand((signal) => void child.kill(signal));
    const following = followStops(pid);
    child.once('exit', (code, signal) => {
      clearInterval(following);
      signals.takeBack();
      resolve(signal === null ? { code: code ?? 1 } : { signal });
    });
    onStarted(pid);
  });
}

/** Says before anything is started that there is no such command. Throws CliError with the shell's exit codes. */
export function checkCommand(command: string, env: NodeJS.ProcessEnv, cwd: string): void {
  if (command === '') throw cannotStart(command, 'ENOENT');
  const candidates = command.includes('/')
    ? [command.startsWith('/') ? command : join(cwd, command)]
    : (env['PATH'] ?? '/usr/bin:/bin').split(delimiter).map((directory) => join(directory || cwd, command));
  const there = candidates.filter((file) => isFile(file));
  if (there.length === 0) throw cannotStart(command, 'ENOENT');
  if (!there.some(isExecutable)) throw cannotStart(command, 'EACCES');
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function cannotStart(command: string, code: string | undefined): CliError {
  const name = JSON.stringify(safe(command));
  if (code === 'ENOENT')
    return new CliError(
      `${name} is not there: no such command on PATH, or the interpreter it names is missing.`,
      NOT_FOUND,
    );
  if (code === 'EACCES')
    return new CliError(`${name} cannot be executed: permission denied (chmod +x?).`, NOT_EXECUTABLE);
  return new CliError(`${name} could not be started: ${code ?? 'unknown failure'}.`, NOT_EXECUTABLE);
}

/** The signals of this process during a run: before and after the command ours, while it runs the command's. */
export interface SignalDesk {
  /** From now on SIGTERM and SIGHUP are passed on; SIGINT and SIGQUIT reach the command through the terminal. */
  hand(pass: (signal: NodeJS.Signals) => void): void;
  /** They end us again, after `cleanup`. */
  takeBack(): void;
  /** Default handling again. */
  close(): void;
}

const OURS = ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP'] as const;

/** Opens the desk. `cleanup` removes what must not stay when a signal ends us; it runs synchronously. */
export function openSignalDesk(cleanup: () => void): SignalDesk {
  let pass: ((signal: NodeJS.Signals) => void) | undefined;
  // Without a terminal SIGINT was meant for one process, us (a CI runner, a service manager), and the command gets it too.
  const terminal = processStat('self')?.terminal !== 0;
  const heard = (signal: NodeJS.Signals): void => {
    if (pass === undefined) {
      cleanup();
      close();
      dieBy(signal);
    } else if (signal === 'SIGTERM' || signal === 'SIGHUP' || !terminal) pass(signal);
  };
  const close = (): void => {
    for (const signal of OURS) process.removeListener(signal, heard);
  };
  for (const signal of OURS) process.on(signal, heard);
  return {
    hand: (to) => {
      pass = to;
    },
    takeBack: () => {
      pass = undefined;
    },
    close,
  };
}

/** Ends this process the way the command ended, so that a shell sees what it would have seen. */
export function dieBy(signal: NodeJS.Signals): void {
  process.removeAllListeners(signal);
  // Some default actions do not end a process; and a signal may be blocked.
  process.exitCode = 128 + (os.signals[signal] ?? 0);
  process.kill(process.pid, signal);
}

/**
 * A program that answers Ctrl-Z itself (an editor, a TUI) stops only itself, and the shell, whose child we are, would wait
 * for us: so we stop too, as sudo does, while our process group has the terminal. Linux; elsewhere such a program stops alone.
 */
function followStops(pid: number): NodeJS.Timeout | undefined {
  if (process.platform !== 'linux') return undefined;
  return setInterval(() => {
    const child = processStat(String(pid));
    if (child?.state !== 'T') return;
    const own = processStat('self');
    if (own !== undefined && own.group === own.foreground) process.kill(process.pid, 'SIGSTOP');
  }, STOPPED_MS).unref();
}

/** State, process group, controlling terminal (0: none) and its foreground group, from proc(5) `stat`; Linux. */
function processStat(pid: string): { state: string; group: number; terminal: number; foreground: number } | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name stands in parentheses and may hold anything, parentheses too.
    const [state = '', , group, , terminal, foreground] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state, group: Number(group), terminal: Number(terminal), foreground: Number(foreground) };
  } catch {
    return undefined;
  }
}
