import { bytesOf } from './byte-set.ts';
import type { Node } from './expression.ts';
import { lengths } from './measure.ts';

/**
 * Proves that every match contains a keyword and finds where: the expression is walked together with an automaton that reads keywords,
 * each automaton state with the range of positions it can be reached at. A way through the expression ends where a keyword is complete.
 */
export interface Reading {
  /** State after a byte in a state; 0 is the start. */
  step(state: number, byte: number): number;
  /** Keywords that are complete in this state, with their length in bytes. */
  complete(state: number): readonly (readonly [keyword: number, length: number])[];
}

/** First and last position, relative to the start of a match, at which something can begin. */
export type Range = readonly [from: number, to: number];

/** States under way, each with the positions it can be reached at. */
type Front = Map<number, Range>;

interface Walk {
  readonly reading: Reading;
  readonly found: Map<number, Range>;
}

/** How far the place of a keyword may vary: every place more is one more start to try. */
const VARIATION = 64;
const FAR = `a keyword must stand at a place that varies by at most ${VARIATION} bytes from the start of a match`;

function widened(a: Range | undefined, b: Range): Range {
  return a ? [Math.min(a[0], b[0]), Math.max(a[1], b[1])] : b;
}

function merge(into: Front, from: Front): Front {
  for (const [state, range] of from) into.set(state, widened(into.get(state), range));
  return into;
}

function readSet(walk: Walk, front: Front, bytes: readonly number[]): Front {
  const out: Front = new Map();
  for (const [state, [from, to]] of front) {
    if (to - from > VARIATION) throw new Error(FAR);
    for (const byte of bytes) {
      const next = walk.reading.step(state, byte);
      const complete = walk.reading.complete(next);
      for (const [keyword, length] of complete) {
        walk.found.set(keyword, widened(walk.found.get(keyword), [from + 1 - length, to + 1 - length]));
      }
      if (complete.length === 0) out.set(next, widened(out.get(next), [from + 1, to + 1]));
    }
  }
  return out;
}

function repeat(walk: Walk, front: Front, node: Node & { type: 'repeat' }): Front {
  let at = front;
  const out: Front = new Map(node.min === 0 ? front : []);
  for (let i = 1; i <= node.max && at.size > 0; i++) {
    at = through(walk, at, node.item);
    if (i < node.min) continue;
    merge(out, at);
    const ranges = [...out.values()];
    // Wide enough to be refused by the next byte read, or to be the end without a keyword: no need to count on.
    if (ranges.some(([from, to]) => to - from > VARIATION)) break;
  }
  return out;
}

/** A look-behind at the very start may hold the keyword: `(?<=/services/)…`. */
function behind(walk: Walk, front: Front, item: Node): Front {
  const [min, max] = lengths(item);
  const before = through(walk, new Map([[0, [-max, -min] as const]]), item);
  if (before.size === 0) return new Map();
  return new Map([...before.keys()].map((state) => [state, front.get(0) as Range]));
}

function isStart(front: Front): boolean {
  const range = front.get(0);
  return front.size === 1 && range !== undefined && range[0] === 0 && range[1] === 0;
}

function through(walk: Walk, front: Front, node: Node): Front {
  switch (node.type) {
    case 'set':
      return readSet(walk, front, bytesOf(node.set));
    case 'sequence':
      return node.items.reduce((at, item) => through(walk, at, item), front);
    case 'choice':
      return node.items.map((item) => through(walk, front, item)).reduce((a, b) => merge(new Map(a), b));
    case 'repeat':
      return repeat(walk, front, node);
    case 'secret':
      return through(walk, front, node.item);
    case 'edge':
      return front;
    case 'look':
      return node.behind && !node.negative && isStart(front) ? behind(walk, front, node.item) : front;
  }
}

/** Walks an expression. `rest` are the states a match can end in without a complete keyword. Throws as `locate` does. */
export function explore(node: Node, reading: Reading): { found: ReadonlyMap<number, Range>; rest: readonly number[] } {
  const walk: Walk = { reading, found: new Map() };
  const rest = through(walk, new Map([[0, [0, 0] as const]]), node);
  return { found: walk.found, rest: [...rest.keys()] };
}

/**
 * @returns where each keyword can begin relative to the start of a match (negative: before it); keywords no match contains are missing.
 * @throws Error when a match without any keyword exists, or one whose place varies too much.
 */
export function locate(node: Node, reading: Reading): ReadonlyMap<number, Range> {
  const { found, rest } = explore(node, reading);
  if (rest.length > 0) throw new Error('a match without any of its keywords (or its trigger) is possible');
  if ([...found.values()].some(([from, to]) => to - from > VARIATION)) throw new Error(FAR);
  return found;
}
