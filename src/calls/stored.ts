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

/** 0600, and whole or not at all. Throws what the file system says. */
export function writeStored(file: string, stored: StoredAnswer): void {
  const next = `${file}.${process.pid}`;
  try {
    writeFileSync(next, JSON.stringify(stored), { mode: 0o600, flush: true });
    renameSync(next, file);
  } catch (error) {
    rmSync(next, { force: true });
    throw error;
  }
}
