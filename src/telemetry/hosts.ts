/**
 * Which hosts get a metric series of their own. A host must be asked for a few times before it takes one of the slots, so
 * that a flood of random sub-domains stays under `other`. Spans keep the exact host.
 */
export interface HostSlots {
  nameFor(host: string): string;
}

const PROMOTE_AFTER = 3;

/** `slots` hosts by name, `candidates` remembered while they qualify. */
export function createHostSlots(slots = 200, candidates = 2000): HostSlots {
  const named = new Set<string>();
  const seen = new Map<string, number>();
  return {
    nameFor(host) {
      if (named.has(host)) return host;
      if (named.size >= slots) return 'other';
      const count = (seen.get(host) ?? 0) + 1;
      if (count >= PROMOTE_AFTER) {
        seen.delete(host);
        named.add(host);
        return host;
      }
      // Asked for again moves it to the young end; the oldest candidate leaves first.
      seen.delete(host);
      seen.set(host, count);
      if (seen.size > candidates) seen.delete(seen.keys().next().value as string);
      return 'other';
    },
  };
}

/** Keeps the first `max` distinct names, then `other`. For names that are ours or the operator's. */
export function createNameCap(max: number): (name: string) => string {
  const known = new Set<string>();
  return (name) => {
    if (name === '' || known.has(name)) return name;
    if (known.size >= max) return 'other';
    known.add(name);
    return name;
  };
}
