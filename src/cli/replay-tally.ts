import type { Replayed } from '../collector.ts';
import type { StoredGroup } from './replay-rows.ts';

export type Outcome = 'newly-stopped' | 'no-longer-stopped' | 'undecidable';

/** Exchanges of one agent and destination with which the same happens for the same reason. Times epoch ms. */
export interface Changed {
  readonly outcome: Outcome;
  readonly agent: string;
  readonly host: string;
  readonly port: number;
  /** What stops it, or has stopped it; of what is undecidable: what may. */
  readonly rule: string;
  /** Why it is undecidable. */
  readonly reason?: string;
  readonly count: number;
  readonly first: number;
  readonly last: number;
  /** Refs, the latest first, at most three. */
  readonly examples: readonly string[];
}

export interface Summary {
  readonly exchanges: number;
  readonly unchanged: number;
  /** Of those: stopped before and after. */
  readonly stillStopped: number;
  readonly counts: Readonly<Record<Outcome, number>>;
  /** Most frequent first, by outcome. */
  readonly changed: readonly Changed[];
}

const EXAMPLES = 3;
const ORDER: readonly Outcome[] = ['newly-stopped', 'no-longer-stopped', 'undecidable'];

interface Sum {
  readonly changed: Changed;
  count: number;
  first: number;
  last: number;
  examples: { readonly at: number; readonly ref: string }[];
}

/** Adds up what became of every group. */
export class Tally {
  readonly #sums = new Map<string, Sum>();
  #exchanges = 0;
  #stillStopped = 0;

  /** @param before whether it is stopped as things are; undefined = not known either */
  add(group: StoredGroup, before: Replayed, after: Replayed): void {
    this.#exchanges += group.count;
    const outcome = outcomeOf(before, after);
    if (outcome === undefined) {
      if (after.stopped === true) this.#stillStopped += group.count;
      return;
    }
    const rule = outcome === 'no-longer-stopped' ? before.rule : after.rule || before.rule;
    const reason = outcome === 'undecidable' ? (after.reason ?? before.reason ?? '') : undefined;
    const agent = String(group.cells['agent']);
    const host = String(group.cells['host']);
    const port = Number(group.cells['port']);
    const key = JSON.stringify([outcome, agent, host, port, rule, reason]);
    let sum = this.#sums.get(key);
    if (sum === undefined) {
      const changed = { outcome, agent, host, port, rule, ...(reason === undefined ? {} : { reason }) };
      sum = {
        changed: { ...changed, count: 0, first: 0, last: 0, examples: [] },
        count: 0,
        first: group.first,
        last: group.last,
        examples: [],
      };
      this.#sums.set(key, sum);
    }
    sum.count += group.count;
    sum.first = Math.min(sum.first, group.first);
    sum.last = Math.max(sum.last, group.last);
    for (const ref of group.refs) sum.examples.push({ at: group.last, ref });
    if (sum.examples.length > EXAMPLES) sum.examples = latest(sum.examples);
  }

  summary(): Summary {
    const changed = [...this.#sums.values()].map(
      ({ changed, count, first, last, examples }): Changed => ({
        ...changed,
        count,
        first,
        last,
        examples: latest(examples).map(({ ref }) => ref),
      }),
    );
    const counted = (outcome: Outcome): number =>
      changed.reduce((sum, one) => (one.outcome === outcome ? sum + one.count : sum), 0);
    const counts = {
      'newly-stopped': counted('newly-stopped'),
      'no-longer-stopped': counted('no-longer-stopped'),
      undecidable: counted('undecidable'),
    };
    const all = ORDER.reduce((sum, outcome) => sum + counts[outcome], 0);
    return {
      exchanges: this.#exchanges,
      unchanged: this.#exchanges - all,
      stillStopped: this.#stillStopped,
      counts,
      changed: changed.sort(
        (a, b) => ORDER.indexOf(a.outcome) - ORDER.indexOf(b.outcome) || b.count - a.count || byName(a, b),
      ),
    };
  }
}

/** The same rows give the same text. */
function byName(a: Changed, b: Changed): number {
  const key = ({ agent, host, port, rule }: Changed): string => JSON.stringify([agent, host, port, rule]);
  return key(a) < key(b) ? -1 : 1;
}

function latest(examples: Sum['examples']): Sum['examples'] {
  return examples.sort((a, b) => b.at - a.at).slice(0, EXAMPLES);
}

function outcomeOf(before: Replayed, after: Replayed): Outcome | undefined {
  if (before.stopped === undefined || after.stopped === undefined) return 'undecidable';
  if (before.stopped === after.stopped) return undefined;
  return after.stopped ? 'newly-stopped' : 'no-longer-stopped';
}
