import { spawn } from 'node:child_process';
import { cleanEnv } from './weir.ts';

/** One step of a session on a pseudo terminal. */
export type PtyStep =
  /** Waits until the program has written this. */
  | { readonly expect: string }
  /** Types this; `\u0003` is Ctrl-C, `\u001a` Ctrl-Z. */
  | { readonly send: string }
  /** Waits until the shell sees the job stopped. */
  | { readonly stopped: true }
  /** What `fg` does: gives the terminal back and sends SIGCONT. */
  | { readonly fg: true };

export interface PtyResult {
  /** Everything that came to the terminal. */
  readonly output: string;
  /** As a shell sees it: `exit 3`, `signal 2`. */
  readonly status: string;
}

/**
 * A shell with job control in a few lines: the program is a job in a process group of its own, which has the terminal.
 * python3, because Node has no pseudo terminals and no waitpid with WUNTRACED.
 */
const SHELL = `
import base64, json, os, pty, select, signal, sys, time
spec = json.load(sys.stdin)
events_r, events_w = os.pipe()
orders_r, orders_w = os.pipe()
leader, master = pty.fork()
if leader == 0:
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        for name in ('SIGTTOU', 'SIGINT', 'SIGTSTP', 'SIGPIPE'):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        os.execvpe(spec['argv'][0], spec['argv'], spec['env'])
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            os.tcsetpgrp(0, os.getpgrp())
            os.write(events_w, b'stopped\\n')
            os.read(orders_r, 1)
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)
        else:
            text = 'exit %d' % os.WEXITSTATUS(status) if os.WIFEXITED(status) else 'signal %d' % os.WTERMSIG(status)
            os.write(events_w, (text + '\\n').encode())
            os._exit(0)
output, events, seen, deadline = b'', b'', 0, time.time() + spec['seconds']
def pump():
    global output, events
    if time.time() > deadline:
        sys.stderr.write('too late; output so far: %r, events: %r' % (output, events))
        os.kill(leader, signal.SIGKILL)
        sys.exit(1)
    for fd in select.select([master, events_r], [], [], 0.2)[0]:
        try: data = os.read(fd, 65536)
        except OSError: data = b''
        if fd == master: output += data
        else: events += data
for step in spec['steps']:
    if 'expect' in step:
        wanted = step['expect'].encode()
        while output.find(wanted, seen) < 0: pump()
        seen = output.find(wanted, seen) + len(wanted)
    elif 'send' in step: os.write(master, step['send'].encode())
    elif 'fg' in step: os.write(orders_w, b'x')
    else:
        while b'stopped\\n' not in events: pump()
        events = events.replace(b'stopped\\n', b'', 1)
while b'exit' not in events and b'signal' not in events: pump()
while select.select([master], [], [], 0.3)[0]:
    try: data = os.read(master, 65536)
    except OSError: break
    if not data: break
    output += data
print(json.dumps({'output': base64.b64encode(output).decode(), 'status': events.decode().strip()}))
`;

/** Runs `argv` on a pseudo terminal and plays the steps. Rejects when a step does not come true within a minute. */
export function onTerminal(
  argv: readonly string[],
  steps: readonly PtyStep[],
  env: Readonly<Record<string, string>> = {},
): Promise<PtyResult> {
  return new Promise((resolve, reject) => {
    const shell = spawn('python3', ['-c', SHELL], { stdio: ['pipe', 'pipe', 'pipe'] });
    let [out, err] = ['', ''];
    shell.stdout.on('data', (part: Buffer) => {
      out += part.toString('utf8');
    });
    shell.stderr.on('data', (part: Buffer) => {
      err += part.toString('utf8');
    });
    shell.on('error', reject);
    shell.on('close', (code) => {
      if (code !== 0) return reject(new Error(`the terminal session failed: ${err}`));
      const { output, status } = JSON.parse(out) as PtyResult;
      return resolve({ output: Buffer.from(output, 'base64').toString('utf8'), status });
    });
    shell.stdin.on('error', () => undefined);
    shell.stdin.end(JSON.stringify({ argv, env: cleanEnv({ TERM: 'xterm', ...env }), steps, seconds: 60 }));
  });
}
