import { randomFillSync } from 'node:crypto';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const pool = Buffer.allocUnsafe(4096);
let used = pool.length;

/**
 * A ULID: 48 bits of time, 80 of randomness, Crockford base32 (github.com/ulid/spec). Not monotonic within a
 * millisecond; order inside one is not promised anywhere.
 */
export function ulid(now: number = Date.now()): string {
  if (used + 10 > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  let time = '';
  let rest = now;
  for (let i = 0; i < 10; i++) {
    time = ALPHABET[rest % 32] + time;
    rest = Math.floor(rest / 32);
  }
  let random = '';
  for (let i = 0; i < 10; i += 5) {
    const b0 = pool[used + i] as number;
    const b1 = pool[used + i + 1] as number;
    const b2 = pool[used + i + 2] as number;
    const b3 = pool[used + i + 3] as number;
    const b4 = pool[used + i + 4] as number;
    random +=
      (ALPHABET[b0 >> 3] as string) +
      ALPHABET[((b0 & 7) << 2) | (b1 >> 6)] +
      ALPHABET[(b1 >> 1) & 31] +
      ALPHABET[((b1 & 1) << 4) | (b2 >> 4)] +
      ALPHABET[((b2 & 15) << 1) | (b3 >> 7)] +
      ALPHABET[(b3 >> 2) & 31] +
      ALPHABET[((b3 & 3) << 3) | (b4 >> 5)] +
      ALPHABET[b4 & 31];
  }
  used += 10;
  return time + random;
}

/** What people quote: the last 10 characters of an exchange id (product.md §6). */
export function refOf(id: string): string {
  return id.slice(-10);
}
