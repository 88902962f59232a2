import { readFileSync, statSync } from 'node:fs';

/** The certificates of a PEM file, or what is wrong with it: "does not exist". */
export interface Bundle {
  /** PEM blocks, without white space inside, so that they can be compared. */
  readonly certificates: readonly string[];
  readonly problem?: string;
}

/** All roots there are make a quarter of a megabyte; what is larger is something else. */
const MAX_BYTES = 16_777_216;
const BLOCK = /-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/g;

/** Reads a bundle variable's file. Never throws. */
export function readBundle(path: string): Bundle {
  try {
    const stats = statSync(path);
    // A pipe would be waited for.
    if (!stats.isFile()) return { certificates: [], problem: 'is not a file' };
    if (stats.size > MAX_BYTES) return { certificates: [], problem: 'is too large for a bundle' };
    const certificates = certificatesOf(readFileSync(path, 'latin1'));
    return certificates.length > 0 ? { certificates } : { certificates, problem: 'holds no certificate' };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return { certificates: [], problem: missing ? 'does not exist' : 'cannot be read by this user' };
  }
}

/** The base64 texts of the PEM blocks in a text. */
export function certificatesOf(text: string): string[] {
  return [...text.matchAll(BLOCK)].map(([, body = '']) => body.replace(/\s+/g, ''));
}
