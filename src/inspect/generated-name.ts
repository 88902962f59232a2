import { registrableDomain } from '../model/domain.ts';

/** Labels shorter than this say nothing about who made them. */
const SHORTEST = 20;
/** Longer labels are data rather than names (RFC 1035 allows 63). */
const LONGEST_NAME = 45;

/**
 * A host whose own labels look computed rather than chosen: data carried in a look-up, or a domain made by an algorithm. Labels
 * left of a shared platform's suffix are often random for good reasons; the caller asks only about first contacts.
 */
export function looksGenerated(host: string): boolean {
  const own = host.length - registrableDomain(host).length;
  let start = 0;
  while (start < host.length) {
    let end = host.indexOf('.', start);
    if (end < 0) end = host.length;
    const label = host.slice(start, end);
    if (label.length >= SHORTEST && !label.startsWith('xn--')) {
      if (label.length > LONGEST_NAME || isRandom(label)) return true;
    }
    // The first label of the registrable domain is the last one somebody chose.
    if (start >= own) return false;
    start = end + 1;
  }
  return false;
}

/** Hexadecimal throughout, or digits mixed into next to no vowels. */
function isRandom(label: string): boolean {
  let digits = 0;
  let vowels = 0;
  let hex = 0;
  let letters = 0;
  for (let i = 0; i < label.length; i++) {
    const c = label.charCodeAt(i);
    if (c >= 0x30 && c <= 0x39) digits++;
    else if (c >= 0x61 && c <= 0x7a) {
      letters++;
      if (c <= 0x66) hex++;
      if (c === 0x61 || c === 0x65 || c === 0x69 || c === 0x6f || c === 0x75) vowels++;
    }
  }
  if (digits > 0 && digits + hex === label.length) return true;
  return digits * 5 >= label.length && vowels * 5 < letters;
}
