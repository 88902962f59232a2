/** Collects what is wrong: path in the file, policy name, key, and the rest of the sentence. */
export type Problems = (path: readonly PropertyKey[], policy: string | undefined, key: string, text: string) => void;

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Longer than any expression or message may be. */
const MAX_TEXT = 65_536;
const MAX_ENTRIES = 1000;

/** The keys of one map, read one by one; everything that is wrong is reported, and `failed` remembers that something was. */
export class Fields {
  readonly #row: Readonly<Record<string, unknown>>;
  readonly #path: readonly PropertyKey[];
  readonly #report: Problems;
  readonly #prefix: string;
  #failed = false;
  #name: string | undefined;

  constructor(row: Readonly<Record<string, unknown>>, path: readonly PropertyKey[], report: Problems, prefix = '') {
    this.#row = row;
    this.#path = path;
    this.#report = report;
    this.#prefix = prefix;
    const name = Object.hasOwn(row, 'name') ? row['name'] : undefined;
    this.#name = typeof name === 'string' ? name.slice(0, 200) : undefined;
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Written, and not null: both mean the default. */
  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  #get(key: string): unknown {
    return Object.hasOwn(this.#row, key) ? (this.#row[key] ?? undefined) : undefined;
  }

  wrong(key: string, text: string): void {
    this.#failed = true;
    this.#report([...this.#path, key], this.#name, this.#prefix + key, text);
  }

  /** Reports every key that is not among `allowed`; names `shown`. */
  known(allowed: readonly string[], shown: readonly string[]): void {
    for (const key of Object.keys(this.#row)) {
      if (!allowed.includes(key)) this.wrong(key, `is not known here — known: ${shown.join(', ')}`);
    }
  }

  text(key: string, { required = false, max = MAX_TEXT } = {}): string | undefined {
    const value = this.#get(key);
    if (value === undefined) {
      if (required) this.wrong(key, 'is missing');
      return undefined;
    }
    if (typeof value !== 'string') this.wrong(key, 'must be a text');
    else if (required && value.trim() === '') this.wrong(key, 'is empty');
    else if (value.length > max) this.wrong(key, `is longer than ${max} characters`);
    else return value;
    return undefined;
  }

  flag(key: string, otherwise: boolean): boolean {
    const value = this.#get(key);
    if (value === undefined || typeof value === 'boolean') return value ?? otherwise;
    this.wrong(key, 'must be true or false');
    return otherwise;
  }

  whole(key: string, least: number, most: number): number | undefined {
    const value = this.number(key);
    if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return value;
    this.wrong(key, `must be a whole number from ${least} to ${most}`);
    return undefined;
  }

  number(key: string): number | undefined {
    const value = this.#get(key);
    if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value;
    this.wrong(key, 'must be a number');
    return undefined;
  }

  texts(key: string): readonly string[] {
    const value = this.#get(key) ?? [];
    if (
      Array.isArray(value) &&
      value.length <= MAX_ENTRIES &&
      value.every((entry) => typeof entry === 'string' && entry !== '')
    ) {
      return value;
    }
    this.wrong(key, `must be a list of at most ${MAX_ENTRIES} texts`);
    return [];
  }

  /** The map under `key`; an empty one when it is missing. */
  inner(key: string): Fields {
    const value = this.#get(key) ?? {};
    if (!isMap(value)) this.wrong(key, 'must be a map');
    const report: Problems = (path, _, at, text) => {
      this.#failed = true;
      this.#report(path, this.#name, at, text);
    };
    return new Fields(isMap(value) ? value : {}, [...this.#path, key], report, `${this.#prefix}${key}.`);
  }
}
