import type { Act, BodyScanned, Found, PartScanPort } from '../model/scan.ts';
import type { ScanBudget } from './budget.ts';
import { type Delta, type DeltaEvent, readDeltas } from './delta-event.ts';
import { DeltaText } from './delta-text.ts';
import { EventEnds } from './event-stream.ts';
import { Tally } from './tally.ts';

export interface DeltaOptions {
  readonly scan: PartScanPort;
  readonly budget: ScanBudget;
  readonly agent: string;
  readonly now: () => number;
  /** Longest time an event waits, in ms; 0 = any. */
  readonly holdMs: number;
  act(found: Found): Act;
  /** Events that may go on, in order; parts of one when it is long. */
  readonly data: (payload: Buffer) => void;
  readonly stopped: () => void;
  /** The scan threw while nobody called. */
  readonly onError: (error: unknown) => void;
}

/** Bytes of events that wait, and of one event that is read. */
const MOST_QUEUED = 64 << 10;
const MOST_EVENT = 16 << 10;
/** Bytes of text that wait for what they may become (product.md §7). */
const MOST_HELD = 4096;
/** Texts told apart in one stream; beyond it the one that has been quiet longest is over. */
const MOST_TEXTS = 64;

/** The beginning of an event whose data is no JSON object: it is nobody's piece of text, and need not be whole. */
const NO_JSON = /^(?:(?!data:)[^\n]*\n)*data:[ \t]?[^{ \t\r\n]/;

interface Piece {
  readonly delta: Delta;
  readonly text: DeltaText;
  readonly bytes: Buffer;
  readonly end: number;
}

interface Waiting {
  readonly raw: Buffer;
  readonly event: DeltaEvent | undefined;
  readonly pieces: readonly Piece[];
}

/**
 * Events whose JSON carries the text of a model piece by piece: what is spread over several is found in the text they make. An event
 * waits only as long as something is open in its text that may be a secret; then the label stands where it began.
 */
export class DeltaFilter {
  readonly #options: DeltaOptions;
  readonly #tally: Tally = new Tally();
  readonly #ends: EventEnds = new EventEnds();
  readonly #texts: Map<string, DeltaText> = new Map();
  #part: Buffer[] = [];
  #partial = 0;
  /** The event under way is too long, or too slow, to be read. */
  #unread = false;
  #queue: Waiting[] = [];
  #queued = 0;
  #timer: NodeJS.Timeout | undefined;
  #over = false;
  /** Places that carry a label now. */
  replaced = 0;

  constructor(options: DeltaOptions) {
    this.#options = options;
  }

  /** What lies in more than one event. */
  get scanned(): BodyScanned {
    return this.#tally.scanned;
  }

  write(payload: Buffer): void {
    let from = 0;
    for (const end of this.#ends.of(payload)) {
      this.#add(payload.subarray(from, end));
      this.#event();
      from = end;
      if (this.#over) return;
    }
    if (from < payload.length) this.#add(payload.subarray(from));
    if (
      this.#queue.length === 0 &&
      this.#part.length > 0 &&
      NO_JSON.test(Buffer.concat(this.#part).toString('latin1'))
    ) {
      this.#flushPart();
      this.#unread = true;
    }
    this.#wait();
  }

  /** No more comes. */
  end(): void {
    if (this.#over) return;
    this.#letGo(true);
    this.#flushPart();
    this.abandon();
  }

  /** No more comes, because it was broken off. */
  breakOff(): void {
    if (this.#over) return;
    for (const text of new Set(this.#queue.flatMap(({ pieces }) => pieces.map((piece) => piece.text)))) text.breakOff();
    this.#drain();
    const all = this.#queue.length === 0;
    if (all) this.#flushPart();
    this.abandon();
  }

  /** The rest is not looked at: what waits goes on as it is. */
  giveUp(): void {
    for (const { raw } of this.#queue.splice(0)) this.#options.data(raw);
    this.#flushPart();
    this.abandon();
  }

  abandon(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#part = [];
  }

  #add(part: Buffer): void {
    if (this.#unread) {
      this.#options.data(part);
      return;
    }
    this.#part.push(part);
    this.#partial += part.length;
    if (this.#partial <= MOST_EVENT) return;
    this.#letGo(false);
    this.#flushPart();
    this.#unread = true;
  }

  #flushPart(): void {
    const part = Buffer.concat(this.#part);
    this.#part = [];
    this.#partial = 0;
    if (part.length > 0 && !this.#over) this.#options.data(part);
  }

  /** The event under way is complete. */
  #event(): void {
    if (this.#unread) {
      this.#unread = false;
      return;
    }
    const raw = this.#part.length === 1 ? (this.#part[0] as Buffer) : Buffer.concat(this.#part);
    this.#part = [];
    this.#partial = 0;
    const event = readDeltas(raw);
    const pieces = event === undefined ? [] : event.deltas.flatMap((delta) => this.#piece(delta));
    this.#queue.push({ raw, event, pieces });
    this.#queued += raw.length;
    this.#drain();
    if (this.#over || this.#queue.length === 0) return;
    const text = this.#queue.reduce(
      (sum, one) => sum + one.pieces.reduce((all, { bytes }) => all + bytes.length, 0),
      0,
    );
    if (text > MOST_HELD || this.#queued > MOST_QUEUED) this.#letGo(false);
  }

  #piece(delta: Delta): readonly Piece[] {
    let text = this.#texts.get(delta.text);
    if (text === undefined) {
      if (this.#texts.size >= MOST_TEXTS) this.#texts.delete(this.#texts.keys().next().value as string);
      const { scan, act, holdMs } = this.#options;
      // Nobody waits for what is read on a copy: there all that is open is waited for.
      const counts = holdMs === 0 ? {} : { counts: (found: Found) => act(found) !== 'pass' };
      text = new DeltaText({ scan, act, ...counts, found: (found, pieces) => this.#found(found, pieces) });
    } else this.#texts.delete(delta.text);
    // Moved to the young end.
    this.#texts.set(delta.text, text);
    const bytes = Buffer.from(delta.value);
    const { budget, agent, now } = this.#options;
    // That it was used up is told of the body itself.
    if (!budget.left(agent)) return [];
    const began = now();
    const end = text.append(bytes);
    budget.spend(agent, now() - began);
    return [{ delta, text, bytes, end }];
  }

  #found(found: Found, pieces: number): void {
    this.#tally.add(found, found.start, () => `in the text of ${pieces} events put together`);
    if (this.#options.act(found) === 'replace') this.replaced++;
  }

  /** What is known goes on. */
  #drain(): void {
    while (!this.#over) {
      const next = this.#queue[0];
      if (next === undefined) return;
      if (next.pieces.some(({ text, end }) => end > text.stop)) {
        this.abandon();
        this.#options.stopped();
        return;
      }
      if (next.pieces.some(({ text, end }) => end > text.known)) return;
      this.#queue.shift();
      this.#queued -= next.raw.length;
      this.#options.data(written(next));
    }
  }

  /** The time is up, or too much waits. */
  #letGo(last: boolean): void {
    for (const text of new Set(this.#queue.flatMap(({ pieces }) => pieces.map((piece) => piece.text))))
      text.letGo(last);
    this.#drain();
  }

  #wait(): void {
    const waits = this.#queue.length > 0 || this.#part.length > 0;
    if (!waits || this.#over) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else if (this.#options.holdMs > 0) this.#timer ??= setTimeout(() => this.#late(), this.#options.holdMs);
  }

  #late(): void {
    this.#timer = undefined;
    try {
      this.#letGo(false);
      if (this.#part.length === 0) return;
      this.#flushPart();
      this.#unread = true;
    } catch (error) {
      this.#options.onError(error);
    }
  }
}

/** What was found in a stream, with what lies in more than one of its events. */
export function together(scanned: BodyScanned, deltas: DeltaFilter): BodyScanned {
  const known = new Set(scanned.found.map(({ found }) => found.fingerprint));
  const more = deltas.scanned.found.filter(({ found }) => !known.has(found.fingerprint));
  return more.length === 0 ? scanned : { ...scanned, found: [...scanned.found, ...more] };
}

function written({ raw, event, pieces }: Waiting): Buffer {
  let changed = false;
  for (const { delta, text, bytes, end } of pieces) {
    const value = text.written(bytes, end - bytes.length);
    if (value === undefined) continue;
    delta.set(value.toString('utf8'));
    changed = true;
  }
  return changed && event !== undefined ? event.write() : raw;
}
