import { randomBytes } from 'node:crypto';

/** `credential` looks like one and must be recognised anywhere; `anything` is a word no pattern knows, in a place that is always dropped. */
export type CanaryKind = 'credential' | 'anything';

export interface Canary {
  readonly kind: CanaryKind;
  /** Where it was put, for the complaint. */
  readonly where: string;
  /** What is sent. */
  readonly text: string;
  /** What is searched for: enough of it to be no accident, little enough to show a cut one. */
  readonly needle: string;
}

const ALPHABET = 'bcdfghjklmnpqrstvwxz0123456789';

function word(length: number): string {
  return Array.from(randomBytes(length), (byte) => ALPHABET[byte % ALPHABET.length]).join('');
}

/** Remembers every canary it makes, so that all can be looked for afterwards. */
export class Canaries {
  readonly all: Canary[] = [];

  make(kind: CanaryKind, where: string): Canary {
    // Assembled at run time and lower-case, so that it survives host names; no scanner takes this file for a leak.
    const needle = `${word(3)}q${word(10)}`;
    const text = kind === 'credential' ? `${['sk', 'ant'].join('-')}-${needle}${word(12)}` : `${needle}${word(4)}`;
    const canary = { kind, where, text, needle };
    this.all.push(canary);
    return canary;
  }

  /** Canaries (or encodings of them) that occur in `text`, as `where: excerpt`; each at most once. */
  findIn(text: string, wanted: (canary: Canary) => boolean = () => true): string[] {
    const folded = this.#index(wanted, false);
    const exact = this.#index(wanted, true);
    const found = new Map<Canary, string>();
    const search = (hay: string, index: ReadonlyMap<string, readonly Form[]>): void => {
      for (let at = 0; at + KEY <= hay.length; at++) {
        for (const form of index.get(hay.slice(at, at + KEY)) ?? []) {
          if (found.has(form.canary) || !hay.startsWith(form.text, at)) continue;
          found.set(form.canary, JSON.stringify(text.slice(Math.max(0, at - 80), at + 40)));
        }
      }
    };
    search(text.toLowerCase(), folded);
    search(text, exact);
    return [...found].map(([canary, excerpt]) => `${canary.where}: ${excerpt}`);
  }

  /** Forms by their first characters: thousands of needles in one walk through the hay. */
  #index(wanted: (canary: Canary) => boolean, exact: boolean): Map<string, Form[]> {
    const index = new Map<string, Form[]>();
    for (const canary of this.all) {
      if (!wanted(canary)) continue;
      for (const text of exact ? encoded(canary.needle) : plain(canary.needle)) {
        const key = text.slice(0, KEY);
        index.set(key, [...(index.get(key) ?? []), { canary, text }]);
      }
    }
    return index;
  }
}

interface Form {
  readonly canary: Canary;
  readonly text: string;
}

const KEY = 10;

/** As it is, in hex, reversed: in lower case. */
function plain(needle: string): string[] {
  return [needle, Buffer.from(needle).toString('hex'), [...needle].reverse().join('')];
}

/** In base64 at each of the three alignments, without the characters that depend on the neighbours. */
function encoded(needle: string): string[] {
  return [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), Buffer.from(needle)]).toString('base64');
    return text.slice(offset === 0 ? 0 : offset + 1, -4);
  });
}
