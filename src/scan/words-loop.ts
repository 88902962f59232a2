import { intersection, isEmpty } from './byte-set.ts';
import type { Node } from './expression.ts';
import type { Run, Step } from './matcher.ts';
import type { ByteSet } from './pattern.ts';

/** A repetition of sets, greedy. */
type Row = Extract<Node, { type: 'repeat' }> & { readonly item: { readonly type: 'set'; readonly set: ByteSet } };

function isRow(node: Node | undefined): node is Row {
  return node?.type === 'repeat' && !node.lazy && node.min > 0 && node.item.type === 'set';
}

const disjoint = (a: ByteSet, b: ByteSet): boolean => isEmpty(intersection(a, b));

/** Where words begin that may be the last; a stack, because what follows a gap can hold another one. */
const starts: number[] = [];

/**
 * The gap of phrases, `(?:[a-z']{1,14}[\s,]{1,3}){0,4}` before a word: letters, what separates them, and again. When what follows begins
 * with no separator, a text can be cut into such words in one way only, so it is read once, and what follows is only tried where its
 * first byte stands; the general loop would set out from every word again.
 * @param follow - bytes what follows can begin with.
 * @param tableOf - of a set: 1 = in it.
 * @returns undefined when the repetition is none of these.
 */
export function wordsLoop(
  node: Extract<Node, { type: 'repeat' }>,
  follow: ByteSet,
  tableOf: (set: ByteSet) => Uint8Array,
  next: Step,
): Step | undefined {
  if (node.lazy || node.item.type !== 'sequence') return undefined;
  const [letters, gaps, more] = node.item.items;
  if (!isRow(letters) || !isRow(gaps) || more !== undefined) return undefined;
  if (!disjoint(letters.item.set, gaps.item.set) || !disjoint(gaps.item.set, follow)) return undefined;
  const { min, max } = node;
  const letter = tableOf(letters.item.set);
  const gap = tableOf(gaps.item.set);
  const goesOn = tableOf(follow);
  return (run, from) => {
    const base = starts.length;
    let at = from;
    for (let count = 0; ; count++) {
      if (count >= min && (at >= run.end || goesOn[run.bytes[at] as number] === 1)) starts.push(at);
      if (count >= max) break;
      const end = rowEnd(run, at, letters, letter);
      if (end < 0) break;
      at = rowEnd(run, end, gaps, gap);
      if (at < 0) break;
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
