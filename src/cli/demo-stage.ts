import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AdminClient } from '../admin/client.ts';
import { AdminError } from '../admin/protocol.ts';
import type { ConfigInput } from '../config/schema.ts';
import { type Origin, openOrigin } from './demo-origin.ts';
import { lines } from './demo-words.ts';
import { bin } from './keep.ts';

/** A wait that takes longer than this is a step that did not happen; all of them together must stay below a minute (ms). */
const WAIT_MS = 20_000;
const WHOLE_MS = 55_000;
const POLL_MS = 50;
/** A collector that does not end when asked is ended (ms). */
const PATIENCE_MS = 4000;
const LAST_WORDS = 2000;
/** A socket's path holds 104 bytes on macOS, its name and the directory's are 24 of them. */
const MAX_BASE = 75;

/** What the collector of the demo gets from the environment: nothing that would steer it, and no proxy. */
const PASSED = /^(?:PATH|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|DYLD_\w+)$/;

export interface StageOptions {
  /** Invented names, each with a server of its own on loopback. */
  readonly hosts: readonly string[];
  /** What is not about where things are. */
  readonly config: Pick<ConfigInput, 'baseline' | 'agents'>;
  readonly env: NodeJS.ProcessEnv;
}

/** A collector with servers to talk to and a state directory, all of them gone after `close`. */
export interface Stage {
  /** Starts everything. Rejects with Error worded for people. */
  raise(): Promise<void>;
  /** The following throw before `raise`. */
  readonly dir: string;
  readonly configFile: string;
  readonly port: number;
  readonly client: AdminClient;
  origin(host: string): Origin;
  /** Asks until `probe` gives something. Rejects with Error when that takes too long or the collector has ended. */
  wait<T>(what: string, probe: () => Promise<T | undefined>): Promise<T>;
  /** Ends everything and removes the directory; idempotent, at any time. */
  close(): Promise<void>;
}

export function createStage(options: StageOptions): Stage {
  return new Loopback(options);
}

class Loopback implements Stage {
  readonly #options: StageOptions;
  readonly #origins = new Map<string, Origin>();
  readonly #until = Date.now() + WHOLE_MS;
  #dir = '';
  #port = 0;
  #child: ChildProcess | undefined;
  #client: AdminClient | undefined;
  #exited: Promise<void> = Promise.resolve();
  #gone: string | undefined;
  #words = '';
  #closing: Promise<void> | undefined;
  /** The last resort: a reader that went away (`weir demo | head`) ends this process at once. */
  readonly #atExit = (): void => {
    this.#child?.kill('SIGKILL');
    this.#remove();
  };

  constructor(options: StageOptions) {
    this.#options = options;
  }

  get dir(): string {
    return this.#dir;
  }

  get configFile(): string {
    return join(this.#dir, 'weir.yaml');
  }

  get port(): number {
    return this.#port;
  }

  get client(): AdminClient {
    if (this.#client === undefined) throw new Error('the collector was not started');
    return this.#client;
  }

  origin(host: string): Origin {
    const origin = this.#origins.get(host);
    if (origin === undefined) throw new Error(`there is no server for ${host}`);
    return origin;
  }

  async raise(): Promise<void> {
    process.once('exit', this.#atExit);
    // mkdtemp makes it 0700.
    this.#dir = mkdtempSync(join(tmpdir().length > MAX_BASE ? '/tmp' : tmpdir(), 'weir-demo-'));
    for (const host of this.#options.hosts) {
      const origin = await openOrigin();
      this.#origins.set(host, origin);
      if (this.#closing !== undefined) await origin.close();
      this.#goOn();
    }
    writeFileSync(this.configFile, `${JSON.stringify(this.#config(), undefined, 2)}\n`, { mode: 0o600 });
    this.#start();
    // Loaded here: every command of weir loads this file.
    const { createAdminClient } = await import('../admin/client.ts');
    this.#client = createAdminClient({ stateDir: this.#dir, actor: 'cli demo' });
    this.#port = await this.wait('the collector to listen', async () => {
      const { listeners, identity } = await this.client.status();
      const address = listeners[0]?.address;
      // Without an identity the recorder is not up yet: what happens now would be told late.
      return address === undefined || identity === undefined ? undefined : Number(address.split(':').at(-1));
    });
  }

  async wait<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
    const until = Math.min(Date.now() + WAIT_MS, this.#until);
    for (;;) {
      this.#goOn();
      if (this.#gone !== undefined) throw new Error(`the collector has ended (${this.#gone})${this.#lastWords()}`);
      const found = await probe().catch((error: unknown) => {
        // It is on its way up, or its end is noticed by the next look.
        if (error instanceof AdminError && error.code === 'no-collector') return undefined;
        throw error;
      });
      if (found !== undefined) return found;
      if (Date.now() > until) throw new Error(`waited in vain for ${what}${this.#lastWords()}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#child?.kill('SIGTERM');
    const hard = setTimeout(() => this.#child?.kill('SIGKILL'), PATIENCE_MS);
    await Promise.all([this.#exited, this.#client?.close(), ...[...this.#origins.values()].map((o) => o.close())]);
    clearTimeout(hard);
    this.#remove();
    process.removeListener('exit', this.#atExit);
  }

  #goOn(): void {
    if (this.#closing !== undefined) throw new Error('the demo was interrupted');
  }

  #config(): ConfigInput {
    const resolve = Object.fromEntries([...this.#origins].map(([host, { port }]) => [host, `127.0.0.1:${port}`]));
    return {
      listen: '127.0.0.1:0',
      telemetry: { endpoint: 'none' },
      upstream: { proxy: 'none', resolve },
      // A full disk is no reason to show nothing; a few kilobytes are written.
      store: { flush_ms: 50, min_free_bytes: 0 },
      limits: { drain_s: 1 },
      ...this.#options.config,
    };
  }

  #start(): void {
    const args = ['--disable-sigusr1', bin(), 'start', '--config', this.configFile, '--state-dir', this.#dir];
    const { env } = this.#options;
    const passed = Object.fromEntries(Object.entries(env).filter(([name]) => PASSED.test(name)));
    // The compiled code is where this process has put its own; everything else belongs below the state directory.
    const home = env['HOME'] || this.#dir;
    const cache = env['XDG_CACHE_HOME'] || join(home, '.cache');
    const child = spawn(process.execPath, [...args, '--log-level', 'warn'], {
      env: { ...passed, HOME: this.#dir, XDG_CACHE_HOME: cache },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      const gone = (how: string): void => {
        this.#gone ??= how;
        resolve();
      };
      child.once('error', (error) => {
        if (child.pid === undefined) gone(error.message);
      });
      child.once('exit', (code, signal) => gone(signal ?? `exit code ${code}`));
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#words = (this.#words + text).slice(-LAST_WORDS);
    });
    child.stderr?.on('error', () => undefined);
  }

  #lastWords(): string {
    const words = this.#words.trim();
    return words === '' ? '' : `. Its last words:\n${lines(words)}`;
  }

  #remove(): void {
    if (this.#dir === '') return;
    // A collector ended a moment ago may still be writing.
    for (let left = 20; left > 0; left--) {
      try {
        rmSync(this.#dir, { recursive: true, force: true });
      } catch {
        // Looked at below.
      }
      if (!existsSync(this.#dir)) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS);
    }
  }
}
