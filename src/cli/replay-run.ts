import type { Replay, Replayed } from '../collector.ts';
import type { QuerySource } from '../store/query.ts';
import { countRows, type ReplayWindow, type StoredGroup, storedGroups } from './replay-rows.ts';
import { type Summary, Tally } from './replay-tally.ts';

export interface Sides {
  readonly candidate: Replay;
  /** What it is compared with; undefined = with what happened. */
  readonly current?: Replay | undefined;
}

/** Told how many exchanges there are and have been replayed. */
export interface Progress {
  begin(total: number): void;
  add(count: number): void;
}

/**
 * Holds rules against all rows of the window. Loads the database: import it late. Rejects with QueryError.
 * @param enough asked again and again; true ends it with what was looked at
 */
export async function replayRows(
  source: QuerySource,
  { candidate, current }: Sides,
  window: ReplayWindow,
  progress?: Progress,
  enough: () => boolean = () => false,
): Promise<Summary> {
  if (progress !== undefined) progress.begin(await countRows(source, window));
  const tally = new Tally();
  const columns = new Set([...candidate.columns, ...(current?.columns ?? [])]);
  for await (const groups of storedGroups(source, columns, window)) {
    if (enough()) break;
    for (const group of groups) {
      progress?.add(group.count);
      tally.add(group, current === undefined ? happened(group) : current.judge(group), candidate.judge(group));
    }
  }
  return tally.summary();
}

function happened({ cells, findings }: StoredGroup): Replayed {
  const strongest = findings.find(({ disposition }) => disposition === 'block') ?? findings[0];
  return { verdict: undefined, stopped: cells['action'] === 'block', rule: strongest?.rule ?? '' };
}
