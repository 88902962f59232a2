import type { Found, ScanFor, Scanned, ScanPort } from '../../../src/model/scan.ts';

export const HOME = { empty: false, has: (host: string) => host === 'api.home.test' };
export const NOWHERE = { empty: true, has: () => false };

export function found(change: Partial<Found> = {}): Found {
  return {
    rule: 'test-key',
    name: 'Test Key',
    severity: 'critical',
    kind: 'credential',
    category: 'token',
    label: 'TEST KEY',
    home: HOME,
    start: 0,
    end: 12,
    verified: false,
    encodings: [],
    fingerprint: '0123456789abcdef',
    bytes: 12,
    ...change,
  };
}

/** Finds `KEY-` and eight letters. */
export function scanner(change: Partial<Found> = {}): ScanPort & { readonly asked: [ScanFor, string][] } {
  const asked: [ScanFor, string][] = [];
  return {
    asked,
    scan(what, bytes): Scanned {
      const text = Buffer.from(bytes).toString('latin1');
      asked.push([what, text]);
      return {
        found: [...text.matchAll(/key-[a-z]{8}/gi)].map((match) =>
          found({ start: match.index, end: match.index + 12, ...change }),
        ),
      };
    },
    nameOf: () => 'Test Key',
  };
}

export const SECRET = 'KEY-abcdefgh';
