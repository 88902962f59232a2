import { readFileSync } from 'node:fs';
import { writeWhole } from './calls/stored.ts';

type Warn = (fields: object, message: string) => void;

/**
 * A small list in `state_dir/private` that outlives the process: read once, written as a whole when it has changed. What cannot be read
 * counts as empty, what cannot be written is said once; neither stops anything.
 */
export class Kept<T> {
  readonly #file: string;
  readonly #warn: Warn;
  #said = false;

  constructor(file: string, warn: Warn) {
    this.#file = file;
    this.#warn = warn;
  }

  /** @param isOne whether it is what was written; anything else is left out */
  read(isOne: (value: unknown) => value is T): T[] {
    try {
      const { entries } = JSON.parse(readFileSync(this.#file, 'utf8')) as { entries?: unknown };
      return Array.isArray(entries) ? entries.filter(isOne) : [];
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#say(error, 'state-not-read');
      return [];
    }
  }

  write(entries: readonly T[]): void {
    try {
      // Not flushed: the traffic's thread writes it.
      writeWhole(this.#file, { version: 1, entries }, false);
      this.#said = false;
    } catch (error) {
      this.#say(error, 'state-not-kept');
    }
  }

  #say(error: unknown, message: string): void {
    if (this.#said) return;
    this.#said = true;
    this.#warn({ file: this.#file, error: String(error) }, message);
  }
}
