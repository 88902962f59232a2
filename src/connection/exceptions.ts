import { readFileSync } from 'node:fs';
import { chmod, rename, writeFile } from 'node:fs/promises';

/** product.md §3.5: an exception lasts seven days. */
const LIFE = 7 * 86_400_000;
/** Closes without an application byte that count as a rejection: some clients send no alert (product.md §3.5). */
const STRIKES = 3;
const MAX_ENTRIES = 1000;
/** Of `exceptions.json`. */
const VERSION = 1;

/** A client kind that does not accept our certificate, or a host that wants a client certificate. */
export interface Exception {
  readonly kind: 'client' | 'host';
  readonly agent: string;
  /** JA4 of the client (`client`) or the host name (`host`). */
  readonly subject: string;
  /** Why: a TLS alert, `closed-without-data`, `client-certificate-required`, `client-incompatible`. */
  readonly reason: string;
  /** Epoch ms. */
  readonly since: number;
  readonly until: number;
}

/** What is left alone by interception for a while, and why (product.md §3.1 and §3.5). */
export interface Exceptions {
  find(agent: string, ja4: string, host: string): Exception | undefined;
  addClient(agent: string, ja4: string, reason: string): void;
  addHost(agent: string, host: string, reason: string): void;
  /** One more close without an application byte; true when that makes it an exception. */
  strike(agent: string, ja4: string): boolean;
  /** The client sent application data over a handshake with us: strikes and exception are void. */
  accepted(agent: string, ja4: string): void;
  list(): readonly Exception[];
  /** Forgets all (CA rotated: every client must be asked again). */
  clear(): void;
  /** Forgets every client kind that did not accept our certificate (`weir ca trust`: it may now). Returns how many. */
  forgetClients(): number;
  /** Forgets those of an agent, or of a host, or of both together (`weir purge`). Returns how many. */
  forget(filter: { readonly agent?: string | undefined; readonly host?: string | undefined }): number;
  /** Resolves when everything known is on disk. */
  flush(): Promise<void>;
}

export interface ExceptionsOptions {
  /** `state_dir/exceptions.json`; without it they live in memory. */
  readonly file?: string;
  /** Epoch ms. */
  readonly now?: () => number;
  readonly log?: (event: string, fields: object) => void;
  /** Name a host is kept and shown under; a label that is a secret is not written down. Default: as it is. */
  readonly shown?: (host: string) => string;
}

/** Opens the exceptions. A file that cannot be read or parsed counts as empty and is said so in the log. */
export function createExceptions(options: ExceptionsOptions = {}): Exceptions {
  return new KeptExceptions(options);
}

class KeptExceptions implements Exceptions {
  readonly #file: string | undefined;
  readonly #now: () => number;
  readonly #log: (event: string, fields: object) => void;
  readonly #shown: (host: string) => string;
  readonly #entries: Map<string, Exception>;
  readonly #strikes: Map<string, number> = new Map();
  /** Client kinds that sent application data over a handshake with us since the CA was made. */
  readonly #spoke: Map<string, true> = new Map();
  #writing: Promise<void> = Promise.resolve();
  #dirty = false;

  constructor(options: ExceptionsOptions) {
    this.#file = options.file;
    this.#now = options.now ?? Date.now;
    this.#log = options.log ?? (() => {});
    this.#shown = options.shown ?? ((host) => host);
    this.#entries = options.file === undefined ? new Map() : this.#load(options.file);
  }

  find(agent: string, ja4: string, host: string): Exception | undefined {
    if (this.#entries.size === 0) return undefined;
    return this.#current(keyOf('client', agent, ja4)) ?? this.#current(keyOf('host', agent, this.#shown(host)));
  }

  addClient(agent: string, ja4: string, reason: string): void {
    this.#add('client', agent, ja4, reason);
  }

  addHost(agent: string, host: string, reason: string): void {
    this.#add('host', agent, this.#shown(host), reason);
  }

  strike(agent: string, ja4: string): boolean {
    const key = keyOf('client', agent, ja4);
    // Pools open connections they never use: a client that has spoken over our certificate does not reject it.
    if (this.#spoke.has(key)) return false;
    const count = (this.#strikes.get(key) ?? 0) + 1;
    this.#strikes.delete(key);
    if (count >= STRIKES) {
      this.#add('client', agent, ja4, 'closed-without-data');
      return true;
    }
    this.#strikes.set(key, count);
    dropOldest(this.#strikes);
    return false;
  }

  accepted(agent: string, ja4: string): void {
    const key = keyOf('client', agent, ja4);
    this.#strikes.delete(key);
    this.#spoke.set(key, true);
    dropOldest(this.#spoke);
    if (this.#entries.delete(key)) this.#save();
  }

  list(): readonly Exception[] {
    const now = this.#now();
    return [...this.#entries.values()].filter((entry) => entry.until > now);
  }

  clear(): void {
    this.#strikes.clear();
    this.#spoke.clear();
    this.#entries.clear();
    this.#save();
  }

  forgetClients(): number {
    this.#strikes.clear();
    const clients = this.list().filter(({ kind }) => kind === 'client');
    for (const { kind, agent, subject } of clients) this.#entries.delete(keyOf(kind, agent, subject));
    if (clients.length > 0) this.#save();
    return clients.length;
  }

  forget({ agent, host }: Parameters<Exceptions['forget']>[0]): number {
    if (agent === undefined && host === undefined) return 0;
    const before = this.#entries.size;
    for (const [key, entry] of this.#entries) {
      if (agent !== undefined && entry.agent !== agent) continue;
      if (host !== undefined && (entry.kind !== 'host' || entry.subject !== host)) continue;
      this.#entries.delete(key);
    }
    if (this.#entries.size < before) this.#save();
    return before - this.#entries.size;
  }

  async flush(): Promise<void> {
    await this.#writing;
  }

  #current(key: string): Exception | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.until > this.#now()) return entry;
    this.#entries.delete(key);
    return undefined;
  }

  #add(kind: 'client' | 'host', agent: string, subject: string, reason: string): void {
    const since = this.#now();
    const entry: Exception = { kind, agent, subject, reason, since, until: since + LIFE };
    const key = keyOf(kind, agent, subject);
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    dropOldest(this.#entries);
    this.#log('interception-exception', { kind, agent, subject, reason });
    this.#save();
  }

  /** Writes are serialised and folded: however many changes wait, one file is written for them. */
  #save(): void {
    const file = this.#file;
    if (file === undefined || this.#dirty) return;
    this.#dirty = true;
    this.#writing = this.#writing.then(async () => {
      this.#dirty = false;
      const fresh = `${file}.new`;
      try {
        await writeFile(fresh, JSON.stringify({ version: VERSION, exceptions: this.list() }), { mode: 0o600 });
        await chmod(fresh, 0o600);
        await rename(fresh, file);
      } catch (error) {
        this.#log('exceptions-not-saved', { file, error: (error as Error).message });
      }
    });
  }

  #load(file: string): Map<string, Exception> {
    const entries = new Map<string, Exception>();
    try {
      const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
      const { version, exceptions: list } = parsed as { version?: unknown; exceptions?: unknown };
      if (Number(version) > VERSION) throw new Error(`it is of version ${version}, this Weir knows ${VERSION}`);
      for (const item of Array.isArray(list) ? list.slice(0, MAX_ENTRIES) : []) {
        if (isException(item)) entries.set(keyOf(item.kind, item.agent, item.subject), item);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        this.#log('exceptions-not-loaded', { file, error: (error as Error).message });
      }
    }
    return entries;
  }
}

function keyOf(kind: string, agent: string, subject: string): string {
  return `${kind}\n${agent}\n${subject}`;
}

function dropOldest(map: Map<string, unknown>): void {
  if (map.size > MAX_ENTRIES) map.delete(map.keys().next().value as string);
}

function isException(value: unknown): value is Exception {
  if (typeof value !== 'object' || value === null) return false;
  const item = value as Record<string, unknown>;
  return (
    (item['kind'] === 'client' || item['kind'] === 'host') &&
    typeof item['agent'] === 'string' &&
    typeof item['subject'] === 'string' &&
    typeof item['reason'] === 'string' &&
    Number.isFinite(item['since']) &&
    Number.isFinite(item['until'])
  );
}
