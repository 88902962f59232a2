import { intersection, isEmpty, union } from './byte-set.ts';
import type { Node } from './expression.ts';
import type { Run, Step } from './matcher.ts';
import { ALL, first } from './measure.ts';
import type { ByteSet } from './pattern.ts';

/** A repetition of one set: bytes of a word, or those that separate words. */
interface Row {
  readonly set: ByteSet;
  readonly min: number;
  readonly max: number;
  /** First bytes of what is longer than a byte and may separate as well: a tag, a written line end, a wide blank. */
  readonly other: ByteSet;
}

const NONE: ByteSet = new Uint32Array(8);
const disjoint = (a: ByteSet, b: ByteSet): boolean => isEmpty(intersection(a, b));

function rowOf(node: Node | undefined): Row | undefined {
  if (node?.type !== 'repeat' || node.lazy || node.min === 0) return undefined;
  const { item, min, max } = node;
  if (item.type === 'set') return { set: item.set, min, max, other: NONE };
  if (item.type !== 'choice') return undefined;
  const sets = item.items.filter((one) => one.type === 'set').map(({ set }) => set);
  const others = item.items.filter((one) => one.type !== 'set').map((one) => first(one, ALL));
  return { set: sets.reduce(union, NONE), min, max, other: others.reduce(union, NONE) };
}

/** Where words begin that may be the last; a stack, because what follows a gap can hold another one. */
const starts: number[] = [];

/**
 * The gap of phrases, `(?:[a-z']{1,14}[\s,]{1,3}){0,4}` before a word: letters, what separates them, and again. When what follows begins
 * with no separator, a text can be cut into such words in one way only, so it is read once, and what follows is only tried where its
 * first byte stands; the general loop sets out from every word again. It is taken where something longer may separate two words.
 * @param follow - bytes what follows can begin with.
 * @param tableOf - of a set: 1 = in it.
 * @param general - the same loop, for any repetition.
 * @returns `general` when the repetition is none of these.
 */
export function wordsLoop(
  node: Extract<Node, { type: 'repeat' }>,
  follow: ByteSet,
  tableOf: (set: ByteSet) => Uint8Array,
  next: Step,
  general: Step,
): Step {
  if (node.lazy || node.item.type !== 'sequence' || node.item.items.length !== 2) return general;
  const [letters, gaps] = node.item.items.map(rowOf);
  if (letters === undefined || gaps === undefined || !isEmpty(letters.other)) return general;
  if (!disjoint(letters.set, union(gaps.set, gaps.other)) || !disjoint(gaps.set, union(follow, gaps.other))) {
    return general;
  }
  const { min, max } = node;
  const letter = tableOf(letters.set);
  const gap = tableOf(gaps.set);
  const other = tableOf(gaps.other);
  const goesOn = tableOf(follow);
  return (run, from) => {
    const base = starts.length;
    let at = from;
    for (let count = 0; ; count++) {
      if (count >= min && (at >= run.end || goesOn[run.bytes[at] as number] === 1)) starts.push(at);
      if (count >= max) break;
      const end = rowEnd(run, at, letters, letter);
      if (end < 0) break;
      at = end < run.end && other[run.bytes[end] as number] === 1 ? end : rowEnd(run, end, gaps, gap);
      if (at < 0) break;
      if (at < run.end && other[run.bytes[at] as number] === 1) {
        starts.length = base;
        return general(run, from);
      }
    }
    let end = -1;
    while (end < 0 && starts.length > base && ++run.steps <= run.limit) end = next(run, starts.pop() as number);
    starts.length = base;
    return end;
  };
}

/** Behind the row that stands here, or -1. */
function rowEnd(run: Run, from: number, { min, max }: Row, table: Uint8Array): number {
  const { bytes, end } = run;
  const most = Math.min(end, from + max);
  let at = from;
  while (at < most && table[bytes[at] as number] === 1) at++;
  run.steps += at - from + 1;
  if (at === end && at < from + max) run.hitEnd = true;
  return at - from < min ? -1 : at;
}
