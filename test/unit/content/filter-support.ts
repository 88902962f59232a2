import { createHash } from 'node:crypto';
import { createScanning } from '../../../src/collector-scan.ts';
import { type BodyFilterOptions, filterBody } from '../../../src/content/filter.ts';
import type { BodyScanned } from '../../../src/model/scan.ts';

const scanning = createScanning({
  directories: [],
  disable: [],
  candidates: 2000,
  depth: 3,
  secrets: [],
  rules: { everywhere: {}, destinations: [], agents: new Map() },
  hash: (text) => createHash('sha256').update(text).digest('hex').slice(0, 16),
});

/** The built-in patterns, compiled once. */
export function realScan(): typeof scanning {
  scanning.load();
  return scanning;
}

/** What came of a body. */
export interface Played {
  readonly bytes: Buffer;
  readonly chunks: readonly Buffer[];
  readonly scanned: BodyScanned;
  readonly replaced: number;
  /** Undefined = it ended. */
  readonly stopped: { readonly forward?: Buffer; readonly back?: Buffer } | undefined;
  readonly shape: string;
}

/** Credentials and severe data are replaced; time does not pass; everything else as a test says. */
export function filterOptions(change: Partial<Omit<BodyFilterOptions, 'out'>> = {}): Omit<BodyFilterOptions, 'out'> {
  return {
    what: 'request',
    scan: realScan(),
    budget: { left: () => true, spend: () => undefined },
    agent: 'researcher',
    now: () => 0,
    scanBytes: 0,
    holdMs: 0,
    contentType: 'application/json',
    contentEncoding: undefined,
    length: undefined,
    decodedBytes: 1 << 26,
    decodeRatio: 100,
    decodeDepth: 3,
    act: ({ kind }) => (kind === 'injection' ? 'pass' : 'replace'),
    onUnscanned: () => 'pass',
    onFailed: () => 'stop',
    ...change,
  };
}

/** Plays a body through a filter, chunk by chunk, as fast as it takes them. Rejects when it does not end within ten seconds. */
export function play(change: Partial<Omit<BodyFilterOptions, 'out'>>, chunks: Iterable<Buffer>): Promise<Played> {
  return new Promise((resolve, reject) => {
    const given: Buffer[] = [];
    const late = setTimeout(() => reject(new Error('the filter neither ended nor stopped')), 10_000);
    const done = (over: Pick<Played, 'scanned' | 'replaced' | 'stopped'>): void => {
      clearTimeout(late);
      resolve({ ...over, chunks: given, bytes: Buffer.concat(given), shape: filter.shape });
    };
    const queue = chunks[Symbol.iterator]();
    let over = false;
    const feed = (): void => {
      for (;;) {
        if (over) return;
        const { value, done: last } = queue.next();
        if (last === true) {
          filter.end();
          return;
        }
        // The filter may keep what it is given.
        if (!filter.write(Buffer.from(value))) return;
      }
    };
    const filter = filterBody({
      ...filterOptions(change),
      out: {
        data: (payload) => given.push(payload),
        drained: feed,
        end: (scanned, replaced) => done({ scanned, replaced, stopped: undefined }),
        stop: (scanned, last = {}) => {
          over = true;
          done({ scanned, replaced: 0, stopped: last });
        },
      },
    });
    feed();
  });
}

/** Cut at these places. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...sorted].map((from, i) => bytes.subarray(from, sorted[i])).filter((part) => part.length > 0);
}

/** In pieces of one size. */
export function pieces(bytes: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size));
}

/** Values that look like secrets are put together here, so that nobody takes this file for a leak. */
export const AWS = ['AK', 'IAQ3EGRIFXJZ7WVN2K'].join('');
export const GITHUB = ['ghp', '_vQ3mZ8pT1xW6rB9nK4cH7sD2fL5gJ0yAeUiO'].join('');

export function pem(lines = 24): string {
  const line = createHash('sha512').update('k').digest('base64').slice(0, 64);
  const kind = 'RSA PRIVATE KEY';
  return [`-----BEGIN ${kind}-----`, ...Array<string>(lines).fill(line), `-----END ${kind}-----`, ''].join('\n');
}
