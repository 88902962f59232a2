import { has } from './byte-set.ts';
import { entropyOf } from './entropy.ts';
import { misses } from './landmark.ts';
import type { Run } from './matcher.ts';
import { type CompiledPattern, programOf } from './pattern.ts';
import { isPlaceholder } from './placeholder.ts';
import type { Digest, Match } from './resolve.ts';

/** What the scanner shares with its lanes: the bytes at hand and where they stand in the stream. */
export interface View {
  /** `run.bytes`, `run.end` and `run.final` describe the bytes at hand. */
  readonly run: Run;
  /** Stream offset of index 0. */
  base: number;
  /** Steps made by expressions since they were last paid for. */
  steps: number;
}

/** What a lane is given with the patterns. */
export interface Limits {
  /** Steps expressions may make before the first byte; `STEPS_PER_BYTE` more for every byte up to a candidate. */
  readonly steps: number;
  readonly digest: Digest | undefined;
}

/** A place to look at: starts `at`..`to` are still to be tried. */
interface Candidate {
  readonly pattern: CompiledPattern;
  at: number;
  readonly to: number;
  /** The gate lets `at` pass. */
  gated: boolean;
  /** The expression has been run at `at` and needed more bytes; not again before `retry` bytes are there. */
  waiting: boolean;
  retry: number;
}

/** Steps of one run of an expression, four times what the lint allows to be possible for usual lengths. */
const MOST_STEPS = 1 << 18;
/** What ordinary traffic full of numbers and tokens needs several times over (log lines 0.5); a step is two to four nanoseconds. */
const STEPS_PER_BYTE = 3;
/** In steps, because they take their time too: setting up a run, reading the secret for validator and fillers, keeping a match. */
const PER_RUN = 48;
const PER_SECRET = 100;
const PER_MATCH = 600;
/** Letters of `\n`, `\r`, `\t`, `\b`, `\f`, `\v`, `\0`. */
const ESCAPES = [...'nrtbfv0'].map((letter) => letter.charCodeAt(0));
const NO = 0;
const YES = 1;
const LATER = 2;

function isHex(byte: number | undefined): boolean {
  return byte !== undefined && ((byte >= 48 && byte <= 57) || ((byte | 32) >= 97 && (byte | 32) <= 102));
}

/** In raw JSON and URLs the letter before a secret may be the end of `\n`, `\u003d`, `\x3d` or `%3D`: no letter of a word. */
function endsEscape(bytes: Uint8Array, at: number): boolean {
  const last = bytes[at - 1] as number;
  if (bytes[at - 2] === 92) return ESCAPES.includes(last);
  if (!isHex(last) || !isHex(bytes[at - 2])) return false;
  if (bytes[at - 3] === 37 || (bytes[at - 3] === 120 && bytes[at - 4] === 92)) return true;
  return bytes[at - 5] === 117 && bytes[at - 6] === 92 && isHex(bytes[at - 3]) && isHex(bytes[at - 4]);
}

/** Boundary, first bytes and landmark: refuses nearly everything that only looks like a keyword, without running the expression. */
function gate(view: View, pattern: CompiledPattern, start: number): number {
  const { bytes, end } = view.run;
  const at = start - view.base;
  const { boundary, prefix, landmark } = programOf(pattern);
  if (at > 0 && boundary !== undefined && has(boundary, bytes[at - 1] as number)) {
    if (!endsEscape(bytes, at)) return NO;
  }
  const most = Math.min(prefix.length, end - at);
  for (let i = 0; i < most; i++) {
    const byte = bytes[at + i] as number;
    if ((((prefix[i] as Uint32Array)[byte >>> 5] as number) & (1 << (byte & 31))) === 0) return NO;
  }
  if (landmark !== undefined && misses(landmark, bytes, at, end)) return NO;
  return most === prefix.length ? YES : LATER;
}

/** As far as the bytes at hand tell, a match of the pattern can begin here. */
export function mayStart(view: View, pattern: CompiledPattern, start: number): boolean {
  return gate(view, pattern, start) !== NO;
}

/** Which patterns are worth waiting for. */
export type Counts = (pattern: CompiledPattern) => boolean;

/**
 * A match of the pattern that begins here is more than thinkable: its keyword is there, or, as any number begins with some digits,
 * half of its shortest match, issuer or country first.
 */
export function hasBegun(view: View, pattern: CompiledPattern, start: number): boolean {
  if (pattern.trigger !== 'digits') return true;
  const { prefix } = programOf(pattern);
  return 2 * (view.base + view.run.end - start) >= prefix.length && gate(view, pattern, start) !== NO;
}

/** Everything that does not depend on the place: validator, entropy, fillers. */
function accepted(pattern: CompiledPattern, secret: string): boolean {
  if (pattern.entropy > 0 && entropyOf(secret) < pattern.entropy) return false;
  if (pattern.skipPlaceholders && isPlaceholder(secret, pattern.literals)) return false;
  return pattern.validate === undefined || pattern.validate(secret);
}

/**
 * The candidates of one kind of trigger, strictly in order: when the first one needs bytes that have not come, the others wait behind
 * it. That makes the count of steps, and so the place where a limit is hit, independent of how the stream was cut.
 */
export class Lane {
  readonly #view: View;
  readonly #steps: number;
  readonly #digest: Digest | undefined;
  readonly #matches: Match[];
  #queue: Candidate[] = [];
  #head = 0;
  #spent = 0;
  #stopped = false;

  /** @param reserve - steps that are left of those before the first byte. */
  constructor(view: View, limits: Limits, matches: Match[], reserve: number) {
    this.#view = view;
    this.#steps = Math.min(limits.steps, reserve);
    this.#digest = limits.digest;
    this.#matches = matches;
  }

  /** Candidates cost more than allowed: what came after is not looked at. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Steps that are left at a stream offset. */
  left(offset: number): number {
    return this.#stopped ? 0 : Math.max(0, this.#steps + offset * STEPS_PER_BYTE - this.#spent);
  }

  /** Stream offset of the first start that is not decided, or Infinity. */
  get open(): number {
    let least = Number.POSITIVE_INFINITY;
    for (let i = this.#head; i < this.#queue.length; i++) least = Math.min(least, (this.#queue[i] as Candidate).at);
    return least;
  }

  /** Stream offset of the first open start of a pattern that counts and may be on its way, or Infinity. */
  begun(counts: Counts): number {
    let least = Number.POSITIVE_INFINITY;
    for (let i = this.#head; i < this.#queue.length; i++) {
      const { pattern, at } = this.#queue[i] as Candidate;
      if (at < least && hasBegun(this.#view, pattern, at) && counts(pattern)) least = at;
    }
    return least;
  }

  /**
   * Stream offset of the first open start whose first bytes are all those of its pattern, or Infinity; `least` leaves out patterns
   * whose longest match is shorter.
   */
  sure(least: number, counts: Counts): { readonly at: number; readonly pattern?: CompiledPattern } {
    let first: { readonly at: number; readonly pattern?: CompiledPattern } = { at: Number.POSITIVE_INFINITY };
    for (let i = this.#head; i < this.#queue.length; i++) {
      const { pattern, at } = this.#queue[i] as Candidate;
      if (pattern.max < least || at >= first.at || gate(this.#view, pattern, at) !== YES) continue;
      if (counts(pattern)) first = { at, pattern };
    }
    return first;
  }

  /** Bytes from this stream offset on are still needed, or Infinity. */
  get needed(): number {
    let least = Number.POSITIVE_INFINITY;
    for (let i = this.#head; i < this.#queue.length; i++) {
      const { at, pattern } = this.#queue[i] as Candidate;
      least = Math.min(least, at - pattern.before - 1);
    }
    return least;
  }

  /** A trigger was seen at `trigger`, to which the starts `from`..`to` can belong (all stream offsets). */
  offer(pattern: CompiledPattern, from: number, to: number, trigger: number): void {
    if (this.#stopped) return;
    let at = Math.max(from, 0);
    if (from < trigger) {
      const { base, run } = this.#view;
      const { lead } = programOf(pattern);
      let back = trigger - base;
      while (back > at - base && has(lead, run.bytes[back - 1] as number)) back--;
      at = back + base;
    }
    let passes = NO;
    for (; at <= to; at++) {
      passes = gate(this.#view, pattern, at);
      if (passes !== NO) break;
    }
    if (at > to) return;
    const candidate: Candidate = { pattern, at, to, gated: passes === YES, waiting: false, retry: 0 };
    if (this.#head < this.#queue.length || !this.#advance(candidate)) this.#queue.push(candidate);
  }

  /** Goes on with what waited, now that more bytes are there. */
  drain(): void {
    while (!this.#stopped && this.#head < this.#queue.length && this.#advance(this.#queue[this.#head] as Candidate)) {
      this.#head++;
    }
    if (this.#head === this.#queue.length || this.#stopped) {
      if (this.#queue.length > 0) this.#queue = [];
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** True = decided. */
  #advance(candidate: Candidate): boolean {
    const { run } = this.#view;
    for (; candidate.at <= candidate.to; candidate.at++, candidate.gated = false) {
      const passes = candidate.gated ? YES : gate(this.#view, candidate.pattern, candidate.at);
      if (passes === LATER && !run.final) return false;
      if (passes !== YES) continue;
      const found = this.#try(candidate);
      if (found === LATER) return false;
      if (found === YES || this.#stopped) return true;
    }
    return true;
  }

  #try(candidate: Candidate): number {
    const { run, base } = this.#view;
    if (candidate.waiting && base + run.end < candidate.retry && !run.final) return LATER;
    const at = candidate.at - base;
    run.limit = MOST_STEPS;
    const end = programOf(candidate.pattern).matcher.match(run, at);
    this.#view.steps += run.steps;
    candidate.waiting = run.hitEnd && !run.final;
    if (candidate.waiting) {
      // Long ones are not tried again for every few bytes: that would read them over and over.
      const length = run.end - at;
      candidate.retry = base + run.end + (length < 1024 ? 1 : length >> 3);
      return LATER;
    }
    // Only what was decided counts: how often a stream made it wait does not.
    this.#spent += run.steps + PER_RUN;
    this.#stopped = run.steps > MOST_STEPS || this.#spent > this.#steps + candidate.at * STEPS_PER_BYTE;
    return !this.#stopped && end >= 0 && this.#accept(candidate.pattern, at, end) ? YES : NO;
  }

  #accept(pattern: CompiledPattern, at: number, end: number): boolean {
    const { run, base } = this.#view;
    const grouped = run.secretEnd >= 0;
    const from = grouped ? run.secretStart : at;
    const to = grouped ? run.secretEnd : end;
    const { buffer, byteOffset } = run.bytes;
    const secret = Buffer.from(buffer as ArrayBuffer, byteOffset + from, to - from);
    const text = secret.toString('latin1');
    const passes = accepted(pattern, text);
    const price = PER_SECRET + (passes ? PER_MATCH : 0);
    this.#spent += price;
    this.#view.steps += price;
    if (!passes) return false;
    this.#matches.push({
      pattern,
      start: base + from,
      end: base + to,
      verified: pattern.validate !== undefined || pattern.confirm?.(text) === true,
      encodings: [],
      digest: this.#digest?.(secret),
      bytes: to - from,
    });
    return true;
  }
}
