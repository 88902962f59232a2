import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** The last good answer of a receiver. */
export interface StoredAnswer {
  /** Base address it came from: another receiver's policies are not taken for this one's. */
  readonly url: string;
  /** Epoch ms. */
  readonly at: number;
  readonly etag?: string;
  readonly answer: unknown;
}

/** undefined when there is none, it cannot be read, or it is another receiver's. */
export function readStored(file: string, url: string): StoredAnswer | undefined {
  try {
    const stored = JSON.parse(readFileSync(file, 'utf8')) as StoredAnswer;
    return stored.url === url && typeof stored.at === 'number' ? stored : undefined;
  } catch {
    return undefined;
  }
}

export function writeStored(file: string, stored: StoredAnswer): void {
  writeWhole(file, stored, true);
}

/** As JSON, 0600, and whole or not at all. Throws what the file system says. @param flush wait until the disk has it */
export function writeWhole(file: string, value: unknown, flush: boolean): void {
  const next = `${file}.${process.pid}`;
  try {
    writeFileSync(next, JSON.stringify(value), { mode: 0o600, flush });
    renameSync(next, file);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
}
