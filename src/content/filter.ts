import type { ContentFilter } from '../model/ports.ts';
import type { BodyScanned, PartScanPort, UnscannedCause } from '../model/scan.ts';
import { formatOf, isEventStream, mediaType } from './body-format.ts';
import { CodedFilter } from './coded-filter.ts';
import { CodedWholeFilter } from './coded-whole-filter.ts';
import { canDecode, encodingsOf } from './decode.ts';
import { type EventRedactor, redactorOf } from './event-redactor.ts';
import { errorEvent, wholeEvents } from './event-stream.ts';
import type { FilterOptions, FilterOut } from './filter-contract.ts';
import type { HeldBytes, Holding } from './held-bytes.ts';
import type { Redactor } from './redactor.ts';
import type { RedactorOptions } from './redactor-contract.ts';

export interface BodyFilterOptions extends FilterOptions {
  readonly scan: PartScanPort;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** Bytes as declared, encoded. */
  readonly length: number | undefined;
  /** Bytes of a decoded body that are looked at. */
  readonly decodedBytes: number;
  /** Encodings inside one another, at most. */
  readonly decodeDepth: number;
  /** Where bodies that are held whole find room; absent = anywhere. */
  readonly held?: HeldBytes | undefined;
  /** The scan threw: let the rest pass unread, or end the body there. Asked once. */
  onFailed(error: unknown): 'pass' | 'stop';
}

/** A body that is declared to be no longer is held whole, so that its head can say what was done to it (product.md §7). */
const MOST_WHOLE = 1 << 20;

/** What a redactor of this body needs, and how the body is held. */
export interface BodyPlan extends Omit<RedactorOptions, 'data' | 'stopped'> {
  readonly shape: ContentFilter['shape'];
  /** As `mediaType` gives it. */
  readonly type: string;
  readonly events: boolean;
}

/** Looks at one HTTP body before it goes on. Nothing is thrown: what fails is asked about. */
export function filterBody(given: BodyFilterOptions): ContentFilter {
  const holding = given.held?.open();
  const { out } = given;
  const options: BodyFilterOptions = holding === undefined ? given : { ...given, out: closing(out, holding) };
  const type = mediaType(options.contentType);
  const format = formatOf(type);
  const events = isEventStream(type);
  const encodings = encodingsOf(options.contentEncoding);
  const fits = options.length !== undefined && options.length <= MOST_WHOLE && !events;
  // What finds no room goes on while it comes.
  const whole = fits && holding?.take(options.length ?? 0) !== false;
  const sized = encodings.length === 0 && (options.length !== undefined || format === 'binary');
  const shape = whole ? 'whole' : sized ? 'same' : 'free';
  const plan: BodyPlan = {
    ...options,
    shape,
    type,
    events,
    format,
    fixed: shape === 'same' || format === 'binary',
    patient: whole,
    onFailed: (error) => options.onFailed(error),
    ...(events ? { clean: wholeEvents } : {}),
  };
  if (encodings.length === 0) return new PlainFilter(options, plan);
  if (encodings.length > options.decodeDepth) return new UnreadFilter(options, plan, 'decode-depth');
  if (!canDecode(encodings)) return new UnreadFilter(options, plan, 'unknown-encoding');
  return whole ? new CodedWholeFilter(options, plan, encodings, holding) : new CodedFilter(options, plan, encodings);
}

/** What a body takes is free when nothing of it is wanted any more. */
function closing(out: FilterOut, holding: Holding): FilterOut {
  return {
    data: (payload) => out.data(payload),
    drained: () => out.drained(),
    end: (scanned, replaced) => {
      holding.close();
      out.end(scanned, replaced);
    },
    stop: (scanned, last) => {
      holding.close();
      out.stop(scanned, last);
    },
  };
}

/** A body that is not encoded. */
class PlainFilter implements ContentFilter {
  readonly shape: ContentFilter['shape'];
  readonly #options: BodyFilterOptions;
  readonly #redactor: Redactor | EventRedactor;
  #kept: Buffer[] = [];
  #over = false;

  constructor(options: BodyFilterOptions, plan: BodyPlan) {
    this.shape = plan.shape;
    this.#options = options;
    this.#redactor = redactorOf(plan, {
      data: (payload) => {
        if (this.shape === 'whole') this.#kept.push(payload);
        else options.out.data(payload);
      },
      stopped: () => this.#stop(plan.events),
    });
  }

  write(payload: Buffer): boolean {
    if (!this.#over) this.#redactor.write(payload);
    return true;
  }

  end(): void {
    if (this.#over) return;
    this.#redactor.end();
    // What waited may have stopped the body.
    if (this.#over) return;
    this.#over = true;
    const { out } = this.#options;
    if (this.#kept.length > 0) out.data(Buffer.concat(this.#kept));
    out.end(this.#redactor.scanned, this.#redactor.replaced);
  }

  abandon(): void {
    this.#kept = [];
    if (this.#over) return;
    this.#over = true;
    this.#redactor.abandon();
    this.#options.out.end(this.#redactor.scanned, this.#redactor.replaced);
  }

  breakOff(): void {
    if (this.#over) return;
    this.#redactor.breakOff();
    if (this.#over) return;
    this.#over = true;
    // A body that is held whole says nothing of itself: its head has not gone.
    this.#kept = [];
    this.#options.out.end(this.#redactor.scanned, this.#redactor.replaced);
  }

  #stop(events: boolean): void {
    this.#over = true;
    this.#kept = [];
    const { scanned } = this.#redactor;
    if (events) this.#options.out.stop(scanned, { forward: errorEvent(scanned) });
    else this.#options.out.stop(scanned);
  }
}

/** A body that nobody here can decode. */
class UnreadFilter implements ContentFilter {
  readonly shape: ContentFilter['shape'];
  readonly #options: BodyFilterOptions;
  readonly #cause: UnscannedCause;
  readonly #kept: Buffer[] = [];
  #asked = false;
  #over = false;

  constructor(options: BodyFilterOptions, plan: BodyPlan, cause: UnscannedCause) {
    this.shape = plan.shape === 'whole' ? 'whole' : 'same';
    this.#options = options;
    this.#cause = cause;
  }

  write(payload: Buffer): boolean {
    const { out } = this.#options;
    // A response to HEAD or a 304 names an encoding and has no body: asked with the first byte.
    if (!this.#asked && this.#options.onUnscanned(this.#cause) === 'stop') {
      this.#over = true;
      out.stop(this.#scanned());
    }
    this.#asked = true;
    if (this.#over) return true;
    if (this.shape === 'whole') this.#kept.push(payload);
    else out.data(payload);
    return true;
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    const { out } = this.#options;
    if (this.#kept.length > 0) out.data(Buffer.concat(this.#kept));
    out.end(this.#asked ? this.#scanned() : { found: [] }, 0);
  }

  abandon(): void {
    if (this.#over) return;
    this.#over = true;
    this.#options.out.end(this.#asked ? this.#scanned() : { found: [] }, 0);
  }

  #scanned(): BodyScanned {
    return { found: [], unscanned: { cause: this.#cause, offset: 0 } };
  }
}
