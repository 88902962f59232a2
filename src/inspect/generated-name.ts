import { registrableDomain } from '../model/domain.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import { kindOf } from '../model/host.ts';
import type { Inspector } from '../model/ports.ts';
import { shapeOf } from './name-shape.ts';

export interface GeneratedNameOptions {
  /** A list or a person named this destination: its name is no news. */
  readonly expected: (exchange: Exchange) => boolean;
  /** A host as rows and people see it. */
  readonly shownHost: (host: string) => string;
}

const NONE: readonly Finding[] = [];
/** As much as 16 bytes in base 32: more than a release, a preview or a pod needs to be told apart. */
const NOTABLE = 26;
/** One label cannot hold as much (RFC 1035 §2.3.4), so somebody went on in the next: data in transit, 32 bytes and more. */
const CARRIER = 64;
/** Hosts whose shape is remembered. */
const CACHE = 4096;

/**
 * Names that carry data, and domains an algorithm made (product.md §7.2): a look-up leaks by itself, so this is asked before
 * anything is resolved. Where platforms compute names for everybody nothing is said.
 */
export function generatedNameInspector(options: GeneratedNameOptions): Inspector {
  const known = new Map<string, Finding | undefined>();
  return {
    id: 'generated-name',
    phase: 'request',
    inspect(exchange) {
      const { host } = exchange.destination;
      let finding = known.get(host);
      if (finding === undefined && !known.has(host)) {
        if (known.size >= CACHE) known.clear();
        finding = kindOf(host) === 'name' ? judgeName(host, options.shownHost) : undefined;
        known.set(host, finding);
      }
      return finding === undefined || options.expected(exchange) ? NONE : [finding];
    },
  };
}

function judgeName(host: string, shownHost: (host: string) => string): Finding | undefined {
  const { computed, domain, platform } = shapeOf(host);
  if (platform) return undefined;
  const base = { inspector: 'generated-name' } as const;
  if (computed >= NOTABLE) {
    const carrier = computed >= CARRIER;
    return {
      ...base,
      rule: 'data-in-name',
      severity: carrier ? 'high' : 'medium',
      disposition: carrier ? 'block' : 'flag',
      message: `the name ${shownHost(host)} has ${computed} computed characters: looking it up may send data`,
      ...(carrier ? { blockReason: 'data-in-name' } : {}),
    };
  }
  if (!domain) return undefined;
  const message = `the domain of ${shownHost(host)} looks made by an algorithm`;
  return { ...base, rule: 'generated-domain', severity: 'low', disposition: 'flag', message };
}

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
