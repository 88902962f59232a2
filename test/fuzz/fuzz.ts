import { pick, type Random, seeded } from '../support/http1-inputs.ts';

export { pick, type Random, seeded };

/** Something to be fuzzed. */
export interface Target {
  readonly name: string;
  /** One case takes tens of milliseconds. */
  readonly slow?: boolean;
  /** Honest inputs, made by us: mutations start from them. Asked once. */
  seeds(): readonly Buffer[] | Promise<readonly Buffer[]>;
  /** Throws when a property does not hold. The same input and the same randomness always come to the same. */
  check(input: Buffer, random: Random): void | Promise<void>;
}

export interface Failure {
  readonly target: string;
  /** Of the case: `--case`. */
  readonly seed: number;
  readonly input: Buffer;
  readonly error: unknown;
}

/** Longest input: longer ones find nothing shorter ones do not. */
const MOST_BYTES = 16_384;
/** Tries to make a failing input smaller, and for how long. */
const MOST_TRIES = 2_000;
const MOST_MS = 15_000;
/** What parsers stumble over. */
const TOKENS = [
  '\r\n',
  '\n',
  '\0',
  '"',
  '\\',
  '\\u',
  '%',
  '%25',
  '=',
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  ' ',
  '-',
  '+',
  '/',
  ';',
  '0',
  '\x7f',
].concat([
  '\xff\xff\xff\xff',
  '\x80',
  '\xc3',
  '\xe2\x80\x8b',
  '\\"',
  '&#',
  '</',
  'data:',
  '://',
  '-----',
  '\xef\xbb\xbf',
]);

/** A number per case of a run, so that each can be run alone. */
export function caseSeed(seed: number, index: number): number {
  return (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) + Math.imul(index + 1, 0xc2b2ae35)) >>> 0;
}

/** The input of a case: a seed as it is, or with a few things wrong. */
export function inputOf(seeds: readonly Buffer[], seed: number): Buffer {
  const random = seeded(seed);
  let input = pick(random, seeds);
  if (random() < 0.25) return input;
  for (let times = 1 + Math.floor(random() ** 2 * 8); times > 0; times--) input = mutated(input, seeds, random);
  return input.subarray(0, MOST_BYTES);
}

function mutated(input: Buffer, seeds: readonly Buffer[], random: Random): Buffer {
  const at = Math.floor(random() * (input.length + 1));
  const end = Math.min(input.length, at + Math.floor(random() ** 3 * 200) + 1);
  const before = input.subarray(0, at);
  switch (Math.floor(random() * 9)) {
    case 0:
      return changed(input, at, (byte) => byte ^ (1 << Math.floor(random() * 8)));
    case 1:
      return changed(input, at, () => Math.floor(random() * 256));
    case 2:
      return changed(input, at, () => pick(random, [0, 1, 0x7f, 0x80, 0xff, 0x7e, 126, 127]));
    case 3:
      return Buffer.concat([before, Buffer.from(pick(random, TOKENS), 'latin1'), input.subarray(at)]);
    case 4:
      return Buffer.concat([before, input.subarray(end)]);
    case 5:
      return Buffer.concat([input.subarray(0, end), input.subarray(at, end), input.subarray(end)]);
    case 6: {
      const other = pick(random, seeds);
      return Buffer.concat([before, other.subarray(Math.floor(random() * other.length))]);
    }
    case 7:
      return before;
    default: {
      const again = input.subarray(at, end);
      return Buffer.concat([before, ...Array(Math.floor(random() * 60)).fill(again), input.subarray(at)]);
    }
  }
}

function changed(input: Buffer, at: number, to: (byte: number) => number): Buffer {
  const copy = Buffer.from(input);
  if (at < copy.length) copy[at] = to(copy[at] as number);
  return copy;
}

/** One input, cut as a network might. */
export function pieces(input: Buffer, random: Random): Buffer[] {
  const kind = random();
  const size = kind < 0.3 ? 1 : kind < 0.6 ? 1 + Math.floor(random() * 20) : 1 + Math.floor(random() * 2_000);
  const parts: Buffer[] = [];
  for (let at = 0; at < input.length; ) {
    const end = at + (kind < 0.3 ? 1 : 1 + Math.floor(random() * size));
    parts.push(Buffer.from(input.subarray(at, end)));
    at = end;
  }
  return parts;
}

/** Randomness of a check, apart from that of its input: a smaller input is tried with the same. */
function randomOf(seed: number): Random {
  return seeded(seed ^ 0x5bd1e995);
}

/** Runs one case; a failure comes with the smallest input that was found to fail as well. `began` hears of each try. */
export async function runCase(
  target: Target,
  input: Buffer,
  seed: number,
  began: (input: Buffer) => void = () => undefined,
): Promise<Failure | undefined> {
  began(input);
  const error = await fails(target, input, seed);
  if (error === undefined) return undefined;
  const smaller = await smallest(target, input, seed, began);
  return { target: target.name, seed, input: smaller, error: (await fails(target, smaller, seed)) ?? error };
}

async function fails(target: Target, input: Buffer, seed: number): Promise<unknown> {
  try {
    await target.check(input, randomOf(seed));
    return undefined;
  } catch (error) {
    return error ?? new Error('thrown: nothing');
  }
}

/** Leaves out ever smaller parts as long as it fails. */
async function smallest(target: Target, input: Buffer, seed: number, began: (input: Buffer) => void): Promise<Buffer> {
  let best = input;
  let tries = 0;
  const until = performance.now() + MOST_MS;
  for (
    let size = best.length >> 1;
    size >= 1 && tries < MOST_TRIES && performance.now() < until;
    size = Math.min(size >> 1, best.length)
  ) {
    for (let at = 0; at < best.length && tries < MOST_TRIES && performance.now() < until; tries++) {
      const without = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      began(without);
      if ((await fails(target, without, seed)) === undefined) at += size;
      else best = without;
    }
  }
  return best;
}

/** A failure as a person needs it: what went wrong and how to see it again. */
export function told({ target, seed, input, error }: Failure): string {
  const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `${target}: ${why}\n  again: npm run fuzz -- --target ${target} --case ${seed} --input ${input.toString('hex') || "''"}`;
}
