import { hostPort } from '../model/destination.ts';
import { compileHostPattern, matchPattern } from '../model/glob.ts';
import type { AgentStat } from '../model/record.ts';
import type { Entry } from './suggest-list.ts';
import type { RowGroup } from './suggest-rows.ts';

/** What a list would have stopped of what went through. */
export interface Stopped {
  /** Exchanges that were not blocked when they happened. */
  readonly exchanges: number;
  readonly stopped: number;
  /** Of the stopped ones: to destinations a person ignored, which are never suggested. */
  readonly ignored: number;
  /** Most frequent first, without the ignored ones. */
  readonly examples: readonly { readonly destination: string; readonly count: number }[];
}

const EXAMPLES = 3;

/** Evaluates a list over the rows of its agent, as the destination inspector does; with `names`, by host alone. */
export function stoppedBy(
  entries: readonly Entry[],
  groups: readonly RowGroup[],
  stat: AgentStat,
  names = false,
): Stopped {
  const ignored = new Set(
    stat.destinations.filter(({ status }) => status === 'ignored').map(({ host, port }) => hostPort(host, port)),
  );
  const allows = compiled(entries, names);
  const lost = new Map<string, number>();
  const sums = { exchanges: 0, stopped: 0, ignored: 0 };
  for (const group of groups) {
    const count = group.count - group.blocked;
    sums.exchanges += count;
    if (count === 0 || allows(group)) continue;
    sums.stopped += count;
    const destination = hostPort(group.host, group.port);
    if (ignored.has(destination)) sums.ignored += count;
    else lost.set(destination, (lost.get(destination) ?? 0) + count);
  }
  const examples = Array.from(lost, ([destination, count]) => ({ destination, count })).sort(
    (a, b) => b.count - a.count || (a.destination < b.destination ? -1 : 1),
  );
  return { ...sums, examples: examples.slice(0, EXAMPLES) };
}

function compiled(entries: readonly Entry[], names: boolean): (group: RowGroup) => boolean {
  const exact = new Map<string, Entry[]>();
  const wide: { readonly entry: Entry; readonly matches: (host: string) => boolean }[] = [];
  for (const entry of entries) {
    if (entry.host.startsWith('*.')) {
      const pattern = compileHostPattern(entry.host);
      wide.push({ entry, matches: (host) => matchPattern(pattern, host) });
    } else exact.set(entry.host, [...(exact.get(entry.host) ?? []), entry]);
  }
  return (group) => {
    const own = exact.get(group.host) ?? [];
    const others = wide.filter(({ matches }) => matches(group.host)).map(({ entry }) => entry);
    return [...own, ...others].some((entry) => names || (entry.port === group.port && methodOk(entry, group)));
  };
}

/** A rule about a method lets a CONNECT pass whose content will be read, and no tunnel. */
function methodOk({ methods }: Entry, { kind, method }: RowGroup): boolean {
  return methods.length === 0 || kind === 'connect' || methods.includes(method);
}
