import type { WindowOptions } from '../../../src/content/window.ts';
import type { Found, PartScanPort, ScanFor } from '../../../src/model/scan.ts';

/** Finds `SECRET-<letters>` and remembers what it was given. */
export function fakeScan(): PartScanPort & { readonly texts: Buffer[] } {
  const texts: Buffer[] = [];
  const none = Number.POSITIVE_INFINITY;
  return {
    texts,
    part(what: ScanFor, bytes: Uint8Array) {
      // One that may still grow, or begin, at the end.
      const open = /(?:S|SE|SEC|SECR|SECRE|SECRET|SECRET-[a-z]*)$/.exec(Buffer.from(bytes).toString('latin1'));
      return {
        ...this.scan(what, bytes),
        settled: open?.index ?? bytes.length,
        begun: none,
        worth: none,
        sure: none,
        block: none,
      };
    },
    scan(_what: ScanFor, bytes: Uint8Array) {
      texts.push(Buffer.from(bytes));
      const text = Buffer.from(bytes).toString('latin1');
      const found = [...text.matchAll(/(?<![a-z])SECRET-[a-z]+/g)].map((match) => foundAt(match.index, match[0]));
      return { found };
    },
    nameOf: () => 'A secret',
  };
}

export function foundAt(start: number, text: string): Found {
  return {
    rule: text.toLowerCase(),
    name: 'A secret',
    severity: 'critical',
    kind: 'credential',
    category: 'token',
    label: 'SECRET',
    home: { empty: true, has: () => false },
    start,
    end: start + text.length,
    verified: false,
    encodings: [],
    fingerprint: 'f'.repeat(16),
    bytes: text.length,
  };
}

export function windowOptions(change: Partial<WindowOptions> = {}): WindowOptions {
  return {
    what: 'request',
    scan: fakeScan(),
    budget: { left: () => true, spend: () => undefined },
    agent: 'researcher',
    scanBytes: 0,
    now: () => 0,
    ...change,
  };
}
