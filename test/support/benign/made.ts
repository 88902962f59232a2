/** Values that look like those of real traffic and are the same in every run. */
export interface Maker {
  readonly next: (below: number) => number;
  readonly pick: <T>(list: readonly T[]) => T;
  readonly hex: (length: number) => string;
  readonly noise: (bytes: number) => Buffer;
  readonly digits: (length: number) => string;
  readonly uuid: () => string;
  readonly camel: () => string;
  /** Letters and digits of both cases. */
  readonly word: (length: number) => string;
  readonly base64: (bytes: number) => string;
  readonly base64url: (bytes: number) => string;
}

export const WORDS =
  'render queue stream parser widget cache buffer index table vector signal router module worker socket thread layout'.split(
    ' ',
  );

const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

export function many(count: number, one: (i: number) => string, joint = '\n'): string {
  return Array.from({ length: count }, (_, i) => one(i)).join(joint);
}

/** A linear congruential generator, constants of POSIX `rand48`'s short form. */
export function maker(seed: number): Maker {
  let state = seed;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  const pick = <T>(list: readonly T[]): T => list[next(list.length)] as T;
  const hex = (length: number): string => many(length, () => '0123456789abcdef'[next(16)] as string, '');
  const noise = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, () => next(256)));
  return {
    next,
    pick,
    hex,
    noise,
    digits: (length) => many(length, () => String(next(10)), ''),
    uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}`,
    camel: () => `${pick(WORDS)}${pick(WORDS).replace(/^./, (one) => one.toUpperCase())}`,
    word: (length) => many(length, () => ALPHANUMERIC[next(62)] as string, ''),
    base64: (bytes) => noise(bytes).toString('base64'),
    base64url: (bytes) => noise(bytes).toString('base64url'),
  };
}
