import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { createAuthority } from './certs.ts';
import { listening } from './origins.ts';
import { CHECKOUT } from './readme.ts';
import { cleanEnv, eventually } from './weir.ts';

/** Where `weir ca trust` would write; hidden from the commands that run in namespaces of their own. */
const ANCHORS = [
  '/etc/pki/ca-trust/source/anchors',
  '/etc/ca-certificates/trust-source/anchors',
  '/etc/pki/trust/anchors',
  '/usr/local/share/ca-certificates',
];

/** One command as it ran. */
export interface Typed {
  readonly command: string;
  readonly code: number;
  /** Both streams, in the order they were written. */
  readonly output: string;
}

/** A machine of its own for the commands of a README: home, configuration, origins. */
export interface Sandbox {
  readonly home: string;
  readonly stateDir: string;
  /** Types commands into one shell, in the checkout. `fast`: npm is replaced by a shell script that knows package.json's scripts. */
  type(
    commands: readonly string[],
    how?: { readonly fast?: boolean; readonly wrap?: readonly string[] },
  ): Promise<Typed[]>;
  /** Starts a command that does not end by itself, and waits until its output satisfies `enough`. */
  follow(command: string, enough: (output: string) => boolean): Promise<Following>;
  /** Another home on the same machine, with the same origins. */
  another(): Promise<Sandbox>;
  /** Ends every collector of this home and removes it. */
  close(): Promise<void>;
}

export interface Following {
  output(): string;
  /** SIGTERM to the program (and to npm, when that stands before it); resolves when all have ended. */
  stop(): Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

/** Namespaces for what must not reach the real network or the real trust store; undefined where they cannot be had. */
export function fence(): readonly string[] | undefined {
  const anchors = ANCHORS.filter((path) => existsSync(path));
  const hide = anchors.map((path) => `mount -t tmpfs none ${path}`);
  const wrap = ['unshare', '-rmn', 'sh', '-c', `ip link set lo up && ${hide.join(' && ')} && exec "$@"`, 'sh'];
  if (anchors.length === 0) return undefined;
  try {
    execFileSync(wrap[0] ?? '', [...wrap.slice(1), 'true'], { stdio: 'ignore' });
    return wrap;
  } catch {
    return undefined;
  }
}

/** Origins for example.org and github.com, and a first home. */
export async function openSandbox(page: string): Promise<Sandbox> {
  const authority = createAuthority();
  const answer = (message: IncomingMessage, response: ServerResponse): void => {
    message.resume();
    response.end(page);
  };
  const plain = createHttpServer(answer);
  const tls = createHttpsServer({ ...authority.issue(['example.org', 'github.com']) }, answer);
  tls.on('tlsClientError', () => undefined);
  const ports = { plain: await listening(plain), tls: await listening(tls) };
  // One port for both, because `upstream.resolve` maps a host whatever its port: 0x16 begins a TLS handshake (RFC 8446 §5.1).
  const door = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (first: Buffer) => {
      const inner = connect(first[0] === 0x16 ? ports.tls : ports.plain, '127.0.0.1');
      inner.on('error', () => socket.destroy());
      inner.write(first);
      socket.pipe(inner).pipe(socket);
    });
  });
  await listening(door);
  const servers: Server[] = [door, plain, tls];
  const shared = await mkdtemp(join(tmpdir(), 'weir-readme-'));
  await writeFile(join(shared, 'origin.pem'), authority.cert);
  const origin = `127.0.0.1:${(door.address() as AddressInfo).port}`;
  await prepare(shared, origin);
  const first = await openHome(shared);
  return {
    ...first,
    close: async () => {
      await first.close();
      for (const server of servers) server.close();
      plain.closeAllConnections();
      tls.closeAllConnections();
      await rm(shared, { recursive: true, force: true });
    },
  };
}

/** The configuration, and programs that stand before the real ones. */
async function prepare(shared: string, origin: string): Promise<void> {
  const upstream = {
    ca_file: join(shared, 'origin.pem'),
    resolve: { 'example.org': origin, 'github.com': origin },
    proxy: 'none',
  };
  await writeFile(join(shared, 'weir.yaml'), stringify({ upstream }), { mode: 0o600 });
  const { scripts } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const begin = `#!/bin/sh\ncd '${CHECKOUT}' || exit 1\n`;
  const cases = Object.entries(scripts).map(([name, script]) => `  ${name}) exec ${script} "$@" ;;`);
  const npm = [
    'if [ "$1" = run ]; then shift; [ "$1" = -s ] && shift; fi',
    'name=$1; shift; [ "$1" = -- ] && shift',
    `case "$name" in\n${cases.join('\n')}\n  *) echo "no script $name" >&2; exit 64 ;;\nesac`,
  ].join('\n');
  const fake = {
    'fast/npm': `${begin}${npm}\n`,
    'always/weir': `${begin}exec ${scripts['weir']} "$@"\n`,
    'always/update-ca-certificates': '#!/bin/sh\n',
    'always/update-ca-trust': '#!/bin/sh\n',
  };
  for (const [path, text] of Object.entries(fake)) {
    await mkdir(join(shared, path, '..'), { recursive: true });
    await writeFile(join(shared, path), text);
    await chmod(join(shared, path), 0o755);
  }
}

async function openHome(shared: string): Promise<Sandbox> {
  const home = await mkdtemp(join(shared, 'home-'));
  const stateDir = join(home, '.local/state/weir');
  const started = new Set<ChildProcess>();
  const launch = (argv: readonly string[], fast: boolean): ChildProcess => {
    const [program = '', ...args] = argv;
    const child = spawn(program, args, {
      cwd: CHECKOUT,
      env: environment(shared, home, fast),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    started.add(child);
    child.once('close', () => started.delete(child));
    return child;
  };
  return {
    home,
    stateDir,
    type: (commands, { fast = true, wrap = [] } = {}) =>
      typed(launch([...wrap, 'bash', '-c', script(commands)], fast), commands),
    follow: (command, enough) =>
      follow(launch(['bash', '-c', `exec ${command}`], command !== 'npm start'), stateDir, command, enough),
    another: () => openHome(shared),
    close: async () => {
      for (const child of started) child.kill('SIGKILL');
      await endCollectors(stateDir);
      await rm(home, { recursive: true, force: true });
    },
  };
}

function environment(shared: string, home: string, fast: boolean): Record<string, string> {
  const env = cleanEnv({
    HOME: home,
    XDG_CONFIG_HOME: join(home, '.config'),
    XDG_STATE_HOME: join(home, '.local/state'),
    XDG_CACHE_HOME: join(home, '.cache'),
    WEIR_CONFIG: join(shared, 'weir.yaml'),
    WEIR_LISTEN: '127.0.0.1:0',
    CURL_CA_BUNDLE: join(shared, 'origin.pem'),
    NODE_COMPILE_CACHE: join(shared, 'compiled'),
    npm_config_cache: join(shared, 'npm'),
    npm_config_update_notifier: 'false',
  });
  for (const name of Object.keys(env))
    if (/^(NODE_TEST_|NODE_OPTIONS|npm_(lifecycle|package|command))/.test(name)) delete env[name];
  const before = [join(shared, 'always'), join(CHECKOUT, 'node_modules/.bin')];
  return { ...env, PATH: [...(fast ? [join(shared, 'fast')] : []), ...before, env['PATH'] ?? ''].join(':') };
}

/** Marks on a descriptor of its own would not be in order with the output, so they stand in it. */
function script(commands: readonly string[]): string {
  return commands.map((command) => `{ ${command}\n}\nprintf '\\036%s\\036' $?`).join('\n');
}

async function typed(child: ChildProcess, commands: readonly string[]): Promise<Typed[]> {
  let all = '';
  const read = (part: Buffer): void => {
    all += part.toString('utf8');
  };
  child.stdout?.on('data', read);
  child.stderr?.on('data', read);
  await new Promise((resolve) => child.once('close', resolve));
  const parts = all.split('\u001e');
  return commands.map((command, i) => ({
    command,
    code: Number(parts[2 * i + 1] ?? Number.NaN),
    output: parts[2 * i] ?? '',
  }));
}

async function follow(
  child: ChildProcess,
  stateDir: string,
  command: string,
  enough: (output: string) => boolean,
): Promise<Following> {
  let output = '';
  const read = (part: Buffer): void => {
    output += part.toString('utf8');
  };
  child.stdout?.on('data', read);
  child.stderr?.on('data', read);
  let ended = false;
  const end = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('close', (code, signal) => {
      ended = true;
      resolve({ code, signal });
    });
  });
  await eventually(
    () => {
      if (ended) throw new Error(`${command} ended by itself:\n${output}`);
      return enough(output);
    },
    `first lines of ${command}: ${output}`,
    30_000,
  );
  return {
    output: () => output,
    stop: async () => {
      // npm passes no signal on to a grandchild in every version; the collector is asked who it is.
      const pid = command === 'npm start' ? await ownerOf(join(stateDir, 'weir.sock')) : child.pid;
      if (pid !== undefined) process.kill(pid, 'SIGTERM');
      return end;
    },
  };
}

async function endCollectors(stateDir: string): Promise<void> {
  for (const name of ['keep.sock', 'weir.sock']) {
    const path = join(stateDir, name);
    const pid = await ownerOf(path);
    if (pid === undefined) continue;
    try {
      process.kill(pid, 'SIGTERM');
    } catch {
      // Gone already.
    }
    await eventually(async () => (await ownerOf(path)) === undefined, `${name} closed`, 20_000);
  }
}

/** Pid of the Weir that answers on a socket. */
async function ownerOf(socketPath: string): Promise<number | undefined> {
  if (!existsSync(socketPath)) return undefined;
  return new Promise((resolve) => {
    const asked = request({ socketPath, path: '/healthz', agent: false, timeout: 5000 }, (response) => {
      response.resume();
      resolve(Number(response.headers['x-weir-pid']) || undefined);
    });
    asked.on('timeout', () => asked.destroy());
    asked.on('error', () => resolve(undefined));
    asked.end();
  });
}
