import type { Finding } from '../model/finding.ts';
import { digestFinding, HOUR } from './baseline-words.ts';

/** First contacts of the running hour (product.md §6: more than 20 become one finding with the list). */
export interface Novelty {
  /** Epoch ms the hour began. */
  since: number;
  told: number;
  /** Epoch ms the first held contact came in; meaningless while `heldCount` is 0. */
  heldSince: number;
  readonly held: string[];
  heldCount: number;
  /** The flood was reported in this hour. */
  flooded: boolean;
}

/** First contacts told one by one per agent and hour. */
const TOLD_PER_HOUR = 20;
/** Hosts remembered for a digest; the rest are counted. */
const HELD = 200;

export function newNovelty(now: number): Novelty {
  return { since: now, told: 0, heldSince: 0, held: [], heldCount: 0, flooded: false };
}

function roll(novelty: Novelty, now: number): void {
  if (now - novelty.since < HOUR) return;
  novelty.since = now;
  novelty.told = 0;
  novelty.flooded = false;
}

/** True when this contact is told by itself; otherwise it waits for the hour's digest. */
export function tellNow(novelty: Novelty, host: string, risky: boolean, now: number): boolean {
  roll(novelty, now);
  if (novelty.told < TOLD_PER_HOUR || risky) {
    novelty.told++;
    return true;
  }
  if (novelty.heldCount++ === 0) novelty.heldSince = now;
  if (novelty.held.length < HELD) novelty.held.push(host);
  return false;
}

/** True once an hour. */
export function floodIsNews(novelty: Novelty, now: number): boolean {
  roll(novelty, now);
  if (novelty.flooded) return false;
  novelty.flooded = true;
  return true;
}

/** The digest that is due an hour after its first contact (or at once when `flush`). */
export function takeDigest(novelty: Novelty, now: number, flush: boolean): Finding | undefined {
  if (novelty.heldCount === 0 || (!flush && now - novelty.heldSince < HOUR)) return undefined;
  const finding = digestFinding(novelty.held, novelty.heldCount);
  novelty.held.length = 0;
  novelty.heldCount = 0;
  return finding;
}
