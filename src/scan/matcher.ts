import { branches } from './branches.ts';
import { bytesOf, intersection, isEmpty } from './byte-set.ts';
import type { Node } from './expression.ts';
import { ALL, first } from './measure.ts';
import type { ByteSet } from './pattern.ts';
import { wordsLoop } from './words-loop.ts';

/**
 * Runs an expression on bytes at one place, as JavaScript's own engine would on the same bytes, with three things that one cannot do:
 * it says when the answer depends on bytes that have not come yet (`hitEnd`), so a stream can be cut anywhere without another
 * result; it counts its steps and stops at a limit, so a bad expression costs a bounded time; and it needs no string.
 */
export interface Run {
  bytes: Uint8Array;
  /** Bytes before this index do not exist (the start of the stream). */
  start: number;
  /** Bytes from this index on are not known yet, or do not exist when `final`. */
  end: number;
  final: boolean;
  hitEnd: boolean;
  steps: number;
  limit: number;
  secretStart: number;
  secretEnd: number;
  readonly counts: number[];
}

/** From a position to the end of the match, or -1. */
export type Step = (run: Run, at: number) => number;

/** An expression ready to run. */
export interface Matcher {
  /** Index behind the match that starts at `at`, or -1. Check `run.hitEnd` and `run.steps` before believing it. */
  match(run: Run, at: number): number;
}

export function createRun(): Run {
  return {
    bytes: new Uint8Array(0),
    start: 0,
    end: 0,
    final: false,
    hitEnd: false,
    steps: 0,
    limit: 0,
    secretStart: -1,
    secretEnd: -1,
    counts: [],
  };
}

const WORD = new Uint8Array(256);
for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_') WORD[letter.charCodeAt(0)] = 1;

interface Builder {
  readonly tables: Map<string, Uint8Array>;
  counters: number;
}

function tableOf(builder: Builder, set: ByteSet): Uint8Array {
  const key = set.join();
  const known = builder.tables.get(key);
  if (known) return known;
  const table = new Uint8Array(256);
  for (const byte of bytesOf(set)) table[byte] = 1;
  builder.tables.set(key, table);
  return table;
}

function oneForward(table: Uint8Array, next: Step): Step {
  return (run, at) => {
    if (at >= run.end) {
      run.hitEnd = true;
      return -1;
    }
    return table[run.bytes[at] as number] === 1 ? next(run, at + 1) : -1;
  };
}

/** Single bytes one behind the other, as words are. */
function several(tables: readonly Uint8Array[], next: Step): Step {
  const [only] = tables;
  if (tables.length === 1 && only !== undefined) return oneForward(only, next);
  return (run, at) => {
    for (let i = 0; i < tables.length; i++) {
      if (at + i >= run.end) {
        run.hitEnd = true;
        return -1;
      }
      if ((tables[i] as Uint8Array)[run.bytes[at + i] as number] !== 1) return -1;
    }
    return next(run, at + tables.length);
  };
}

function oneBackward(table: Uint8Array, next: Step): Step {
  return (run, at) => (at > run.start && table[run.bytes[at - 1] as number] === 1 ? next(run, at - 1) : -1);
}

/** Counts how often a set stands here, then gives back one by one (or takes one by one, when lazy). */
function runForward(table: Uint8Array, min: number, max: number, lazy: boolean, next: Step): Step {
  return (run, at) => {
    const room = run.end - at;
    const most = lazy ? min : max;
    let count = 0;
    while (count < most && count < room && table[run.bytes[at + count] as number] === 1) count++;
    run.steps += count + 1;
    if (count < most && count >= room) run.hitEnd = true;
    if (count < min) return -1;
    if (!lazy) {
      for (; count >= min; count--) {
        const end = next(run, at + count);
        if (end >= 0) return end;
        if (++run.steps > run.limit) return -1;
      }
      return -1;
    }
    for (;;) {
      const end = next(run, at + count);
      if (end >= 0 || count >= max) return end;
      if (count >= room) {
        run.hitEnd = true;
        return -1;
      }
      if (table[run.bytes[at + count] as number] !== 1 || ++run.steps > run.limit) return -1;
      count++;
    }
  };
}

function runBackward(table: Uint8Array, min: number, max: number, next: Step): Step {
  return (run, at) => {
    let count = 0;
    while (count < max && at - count > run.start && table[run.bytes[at - count - 1] as number] === 1) count++;
    run.steps += count + 1;
    for (; count >= min; count--) {
      const end = next(run, at - count);
      if (end >= 0) return end;
      if (++run.steps > run.limit) return -1;
    }
    return -1;
  };
}

/** As `runForward`, where what follows cannot begin with a byte of the set: giving back leads nowhere. */
function runAll(table: Uint8Array, min: number, max: number, next: Step): Step {
  return (run, at) => {
    const room = run.end - at;
    let count = 0;
    while (count < max && count < room && table[run.bytes[at + count] as number] === 1) count++;
    run.steps += count + 1;
    if (count < max && count >= room) run.hitEnd = true;
    return count < min ? -1 : next(run, at + count);
  };
}

/** A repetition of more than one byte: how often so far stands in `run.counts`, put back on the way out. */
function loop(builder: Builder, node: Node & { type: 'repeat' }, next: Step, behind: boolean): Step {
  const slot = builder.counters++;
  const { min, max, lazy } = node;
  const enters = tableOf(builder, behind ? ALL : first(node.item, ALL));
  const again: Step = (run, at) => {
    const count = run.counts[slot] as number;
    if (++run.steps > run.limit) return -1;
    if (lazy && count >= min) {
      const end = next(run, at);
      if (end >= 0) return end;
    }
    if (count < max && (behind || at >= run.end || enters[run.bytes[at] as number] === 1)) {
      run.counts[slot] = count + 1;
      const end = item(run, at);
      if (end >= 0) return end;
      run.counts[slot] = count;
    }
    return !lazy && count >= min ? next(run, at) : -1;
  };
  const item = build(builder, node.item, again, behind);
  return (run, at) => {
    const saved = run.counts[slot] ?? 0;
    run.counts[slot] = 0;
    const end = again(run, at);
    run.counts[slot] = saved;
    return end;
  };
}

function edge(negative: boolean, next: Step): Step {
  return (run, at) => {
    if (at >= run.end && !run.final) {
      run.hitEnd = true;
      return -1;
    }
    const before = at > run.start && WORD[run.bytes[at - 1] as number] === 1;
    const after = at < run.end && WORD[run.bytes[at] as number] === 1;
    return (before !== after) !== negative ? next(run, at) : -1;
  };
}

function look(builder: Builder, node: Node & { type: 'look' }, next: Step): Step {
  const inside = build(builder, node.item, (_run, at) => at, node.behind);
  return node.negative
    ? (run, at) => (inside(run, at) >= 0 ? -1 : next(run, at))
    : (run, at) => (inside(run, at) >= 0 ? next(run, at) : -1);
}

function secret(builder: Builder, item: Node, next: Step): Step {
  const close: Step = (run, at) => {
    const saved = run.secretEnd;
    run.secretEnd = at;
    const end = next(run, at);
    if (end < 0) run.secretEnd = saved;
    return end;
  };
  const inner = build(builder, item, close, false);
  return (run, at) => {
    const saved = run.secretStart;
    run.secretStart = at;
    const end = inner(run, at);
    if (end < 0) run.secretStart = saved;
    return end;
  };
}

function sequence(builder: Builder, items: readonly Node[], next: Step): Step {
  let after = next;
  let follow = ALL;
  let tables: Uint8Array[] = [];
  for (const item of items.toReversed()) {
    if (item.type === 'set') {
      tables.unshift(tableOf(builder, item.set));
      follow = item.set;
      continue;
    }
    if (tables.length > 0) after = several(tables, after);
    tables = [];
    const run = item.type === 'repeat' && item.item.type === 'set' && !item.lazy ? item.item.set : undefined;
    if (run !== undefined && item.type === 'repeat' && isEmpty(intersection(run, follow))) {
      after = runAll(tableOf(builder, run), item.min, item.max, after);
    } else {
      const general = build(builder, item, after, false);
      after =
        item.type === 'repeat' ? wordsLoop(item, follow, (set) => tableOf(builder, set), after, general) : general;
    }
    follow = first(item, follow);
  }
  return tables.length > 0 ? several(tables, after) : after;
}

/** The step for a node that goes on with `next`; look-behinds are read from right to left, as JavaScript does. */
function build(builder: Builder, node: Node, next: Step, behind: boolean): Step {
  switch (node.type) {
    case 'set':
      return (behind ? oneBackward : oneForward)(tableOf(builder, node.set), next);
    case 'sequence':
      return behind
        ? node.items.reduce((after, item) => build(builder, item, after, true), next)
        : sequence(builder, node.items, next);
    case 'choice':
      return branches(
        node.items.map((item) => build(builder, item, next, behind)),
        behind ? undefined : node.items.map((item) => tableOf(builder, first(item, ALL))),
      );
    case 'repeat': {
      if (node.item.type !== 'set') return loop(builder, node, next, behind);
      const table = tableOf(builder, node.item.set);
      if (behind) return runBackward(table, node.min, node.max, next);
      return runForward(table, node.min, node.max, node.lazy, next);
    }
    case 'look':
      return look(builder, node, next);
    case 'edge':
      return edge(node.negative, next);
    case 'secret':
      return behind ? build(builder, node.item, next, behind) : secret(builder, node.item, next);
  }
}

/** Compiles a tree that passed the lint. */
export function createMatcher(node: Node): Matcher {
  const step = build({ tables: new Map(), counters: 0 }, node, (_run, at) => at, false);
  return {
    match: (run, at) => {
      run.hitEnd = false;
      run.steps = 0;
      run.secretStart = -1;
      run.secretEnd = -1;
      return step(run, at);
    },
  };
}
