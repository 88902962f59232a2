import type { Exchange } from '../model/exchange.ts';
import type { Cut, Finding } from '../model/finding.ts';
import { printable } from '../model/printable.ts';
import type { BodyScanned, Found, UnscannedCause } from '../model/scan.ts';
import type { LeakRules } from './leak-rules.ts';
import type { Weight } from './leak-weight.ts';

/** Something that must be told. */
export interface Leak {
  readonly found: Found;
  readonly weight: Weight;
  readonly place: string;
  readonly count: number;
  /** Where it begins in a decoded body. */
  readonly offset?: number;
  /** Where to cut so that all of them are gone; absent = that cannot be done. */
  readonly located?: 'body' | readonly Cut[];
}

/** Findings of this kind one exchange may have: more say nothing new. */
const MOST = 10;
export const OUTGOING = 'scan';
/** Of what came in: nothing leaves by it, and whoever reads a report must not think so. */
export const INCOMING = 'scan-response';

/** One finding per rule and place, the strongest first, at most ten per exchange. They never carry the secret. */
export function leakFindings(
  exchange: Exchange,
  leaks: readonly Leak[],
  shownHost: (host: string) => string,
  inspector: string = OUTGOING,
): readonly Finding[] {
  const merged = new Map<string, Gathered>();
  for (const leak of leaks) {
    const key = `${leak.found.rule} ${leak.place}`;
    const known = merged.get(key);
    if (known === undefined) merged.set(key, { ...leak, located: copyOf(leak.located) });
    else gather(known, leak);
  }
  const told = exchange.findings.filter((finding) => finding.inspector === inspector).length;
  const { method } = exchange.request;
  const where = `${printable(method, 20)} to ${shownHost(exchange.destination.host)}`;
  const all = [...merged.values()].sort((a, b) => STRENGTH[b.weight.disposition] - STRENGTH[a.weight.disposition]);
  // Where others have been told of already, what has to go, or stops it all, must still be told.
  const least = all[0] !== undefined && STRENGTH[all[0].weight.disposition] >= STRENGTH.redact ? 1 : 0;
  const shown = all.slice(0, Math.max(least, MOST - told));
  const findings = shown.map((leak) => findingOf(leak, where, inspector));
  const last = shown.at(-1);
  // What is not told has to go all the same.
  const more = all.slice(shown.length).filter((leak) => STRENGTH[leak.weight.disposition] >= STRENGTH.redact);
  if (last === undefined || more.length === 0) return findings;
  for (const { located } of more) addTo(last, located);
  return [...findings.slice(0, -1), findingOf(last, where, inspector)];
}

const STRENGTH = { allow: 0, flag: 1, redact: 2, block: 3 } as const;

/** One finding as it is put together. */
type Gathered = Omit<Leak, 'count' | 'located'> & { count: number; located: 'body' | Cut[] | undefined };

function copyOf(located: Leak['located']): Gathered['located'] {
  return typeof located === 'object' ? [...located] : located;
}

/** Another find of the same rule at the same place. */
function gather(known: Gathered, { count, located }: Leak): void {
  known.count += count;
  // One that cannot be cut out leaves the others no better.
  if (located === undefined) known.located = undefined;
  else addTo(known, located);
}

function addTo(known: Gathered, located: Leak['located']): void {
  if (typeof known.located !== 'object' || typeof located !== 'object') return;
  for (const cut of located) known.located.push(cut);
}

function findingOf(leak: Gathered, where: string, inspector: string): Finding {
  const { found, weight, count, offset, located } = leak;
  const details = [
    `${found.bytes} bytes`,
    `fingerprint ${found.fingerprint}`,
    ...(offset === undefined ? [] : [`at byte ${offset}`]),
    ...(found.encodings.length === 0 ? [] : [`encoded as ${found.encodings.join(', ')}`]),
    ...(count === 1 ? [] : [`${count} times`]),
  ];
  return {
    inspector,
    rule: found.rule,
    severity: weight.severity,
    disposition: weight.disposition,
    message: `${found.name} in ${leak.place} (${where}): ${details.join(', ')}`,
    ...(found.kind === 'credential' ? { blockReason: 'credential-leak' } : {}),
    ...(located === undefined ? {} : { located }),
  };
}

const CAUSES: Readonly<Record<UnscannedCause, string>> = {
  'unknown-encoding': 'its Content-Encoding is not known',
  'broken-encoding': 'it is not what its Content-Encoding says',
  'decode-depth': 'it is encoded more often than body.decode_depth',
  'decode-ratio': 'it expands beyond body.decode_ratio',
  'decoded-bytes': 'it decodes to more than is looked at (body.decoded_bytes)',
  'decoder-behind': 'it came faster than it could be decoded',
  'held-bytes': 'what is held back already is all that may be (limits.held_bytes)',
  'scan-bytes': 'it is longer than body.scan_bytes',
  candidates: 'it holds more than body.candidates places that look like a secret, or costs too much to read',
  'cpu-budget': 'the agent used up body.seconds_per_minute',
  'long-frame': 'a WebSocket frame or message in it is longer than 1 MiB',
  'broken-frames': 'what it holds are no WebSocket frames',
  'too-late': 'decoding it took too long',
};

export interface BodyTold {
  readonly rules: LeakRules;
  readonly shownHost: (host: string) => string;
  /** What it asks for that not all of a body could be looked at, the same in every mode; default flag. */
  readonly unscanned?: (agent: string) => 'flag' | 'block';
  /** The body was looked at before it went on: what was found is taken out, or stopped it. Else it had been forwarded already. */
  readonly held?: true;
}

/**
 * What was found in a body. Of one that has been forwarded already, a finding that asks for a block cannot be obeyed any more: its
 * record says `verdict: block`, `action: forward`, `would: block` in every mode (`verdict/enforce.ts`, `enforceLate`).
 */
export function bodyFindings(
  exchange: Exchange,
  direction: 'request' | 'response',
  scanned: BodyScanned,
  { rules, shownHost, unscanned: asks, held }: BodyTold,
): readonly Finding[] {
  const leaks: Leak[] = [];
  const body = `the ${direction} body`;
  const located = held === undefined ? {} : ({ located: 'body' } as const);
  for (const { found, offset, count, place: inside, apart } of scanned.found) {
    const place = inside === undefined ? body : `${body}, ${inside}`;
    const weight = rules.weigh(found, direction === 'request' ? 'body' : 'response', exchange);
    if (weight !== undefined) leaks.push({ found, weight, place, offset, count, ...(apart ? {} : located) });
  }
  const inspector = direction === 'request' ? OUTGOING : INCOMING;
  const findings = leaks.length === 0 ? [] : leakFindings(exchange, leaks, shownHost, inspector);
  return scanned.unscanned === undefined
    ? findings
    : [...findings, unscanned(direction, scanned.unscanned, asks?.(exchange.identity.agent))];
}

/** A head that holds more places that look like a secret than are looked at. */
export function unscannedHead(
  direction: 'request' | 'response',
  cause: UnscannedCause,
  disposition: 'flag' | 'block',
): Finding {
  return unscanned(direction, { cause: cause === 'cpu-budget' ? 'candidates' : cause, offset: 0 }, disposition, 'head');
}

function unscanned(
  direction: string,
  { cause, offset }: NonNullable<BodyScanned['unscanned']>,
  disposition: 'flag' | 'block' = 'flag',
  part: 'head' | 'body' = 'body',
): Finding {
  return {
    inspector: OUTGOING,
    rule: 'unscanned',
    severity: disposition === 'block' ? 'medium' : 'info',
    disposition,
    ...(disposition === 'block' ? { blockReason: 'unscanned' } : {}),
    message:
      part === 'head'
        ? `not all of the ${direction} head was scanned (${cause}): ${CAUSES[cause]}`
        : `the ${direction} body was not scanned from byte ${offset} on (${cause}): ${CAUSES[cause]}`,
  };
}
