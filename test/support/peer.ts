import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** How one side saw the connection end. `open` = it has not ended. */
export type Ending = 'open' | 'fin' | 'rst';

/** What one end of a connection received, byte for byte, and how it ended. */
export interface Capture {
  readonly bytes: Buffer;
  readonly ending: Ending;
}

const PATIENCE_MS = 10_000;

/**
 * One end of a raw connection under script control: every byte received is kept, nothing is interpreted. Reads consume
 * from a cursor, so a script says "until the blank line, then 10 bytes"; a read that cannot be met rejects with what came.
 */
export class Peer {
  readonly #stream: Duplex;
  readonly #raw: Socket;
  readonly #chunks: Buffer[] = [];
  #joined: Buffer = Buffer.alloc(0);
  #cursor = 0;
  #ending: Ending = 'open';
  #wake: (() => void)[] = [];

  constructor(stream: Duplex, raw: Socket, first?: Buffer) {
    this.#stream = stream;
    this.#raw = raw;
    if (first !== undefined && first.length > 0) this.#chunks.push(first);
    stream.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#changed();
    });
    stream.on('end', () => this.#finish('fin'));
    stream.on('error', (error: NodeJS.ErrnoException) => this.#finish(isReset(error) ? 'rst' : 'fin'));
    raw.on('error', (error: NodeJS.ErrnoException) => this.#finish(isReset(error) ? 'rst' : 'fin'));
    // The TLS layer reports a reset after its transport has closed: give it a moment to say so.
    raw.on('close', () => setTimeout(() => this.#finish('fin'), 50));
  }

  get ending(): Ending {
    return this.#ending;
  }

  /** Everything received so far. */
  get received(): Buffer {
    if (this.#chunks.length > 0) this.#joined = Buffer.concat([this.#joined, ...this.#chunks.splice(0)]);
    return this.#joined;
  }

  get capture(): Capture {
    return { bytes: this.received, ending: this.#ending };
  }

  /** Writes and resolves when the kernel has taken it; an already dead connection is not an error here (the captures tell). */
  send(data: string | Buffer): Promise<void> {
    const bytes = typeof data === 'string' ? Buffer.from(data, 'latin1') : data;
    return new Promise((resolve) => {
      if (this.#stream.destroyed || this.#stream.writableEnded) resolve();
      else this.#stream.write(bytes, () => resolve());
    });
  }

  /** Stops and goes on reading. */
  pause(): void {
    this.#stream.pause();
  }
  resume(): void {
    this.#stream.resume();
  }

  /** Ends this side's writing (FIN, and close_notify inside TLS). */
  fin(): void {
    this.#stream.end();
  }

  /** Resets the transport under whatever runs on it. */
  rst(): void {
    // Not inside the other side's read callback: both ends live in this process, and Node would report that as an end.
    setTimeout(() => this.#raw.resetAndDestroy(), 10);
  }

  destroy(): void {
    this.#stream.destroy();
    this.#raw.destroy();
  }

  /** The next bytes up to and including `marker`. */
  async until(marker: string): Promise<Buffer> {
    const wanted = Buffer.from(marker, 'latin1');
    let from = this.#cursor;
    let at = -1;
    await this.#waitFor(
      () => {
        const all = this.received;
        at = all.indexOf(wanted, from);
        from = Math.max(this.#cursor, all.length - wanted.length);
        return at >= 0;
      },
      `until ${JSON.stringify(marker)}`,
    );
    return this.#take(at + wanted.length);
  }

  /** Exactly the next `count` bytes. */
  async bytes(count: number): Promise<Buffer> {
    await this.#waitFor(() => this.received.length >= this.#cursor + count, `${count} bytes`);
    return this.#take(this.#cursor + count);
  }

  /** Resolves when the other side has ended; rejects after the patience of the harness. */
  async ended(): Promise<Ending> {
    await this.#waitFor(() => this.#ending !== 'open', 'the end of the connection', true);
    return this.#ending;
  }

  #take(end: number): Buffer {
    const part = this.received.subarray(this.#cursor, end);
    this.#cursor = end;
    return part;
  }

  #finish(ending: Ending): void {
    if (this.#ending === 'open') this.#ending = ending;
    this.#changed();
  }

  #changed(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }

  async #waitFor(met: () => boolean, what: string, endIsFine = false): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!met()) {
      if (this.#ending !== 'open' && !endIsFine) throw new Error(this.#complaint(what, `ended (${this.#ending})`));
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(this.#complaint(what, `${PATIENCE_MS} ms passed`));
      await this.#nextChange(left);
    }
  }

  #nextChange(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #complaint(what: string, why: string): string {
    const rest = this.received.subarray(this.#cursor, this.#cursor + 200).toString('latin1');
    return `waited for ${what}, but ${why}; unread: ${JSON.stringify(rest)}`;
  }
}

function isReset(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET' || error.code === 'EPIPE';
}

/** A readable complaint when two byte strings differ, or undefined when they are equal. */
export function difference(expected: Buffer, got: Buffer): string | undefined {
  if (expected.equals(got)) return undefined;
  let at = 0;
  while (at < expected.length && at < got.length && expected[at] === got[at]) at++;
  const show = (bytes: Buffer): string =>
    JSON.stringify(bytes.subarray(Math.max(0, at - 40), at + 60).toString('latin1'));
  return `differ at byte ${at} (expected ${expected.length} bytes, got ${got.length})\n  expected …${show(expected)}\n  got      …${show(got)}`;
}
