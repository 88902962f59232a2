import type { Act, BodyScanned, Found, ScanFor, ScanPort, UnscannedCause } from '../model/scan.ts';
import type { ScanBudget } from './budget.ts';

/** Where a filter puts what may pass, and in the end what it found. At most one of `end` and `stop`, also when it is abandoned. */
export interface FilterOut {
  /** Payload that may go on, in order. The callee's from now on. */
  data(payload: Buffer): void;
  /** `write` has returned false, and more is wanted now. */
  drained(): void;
  /** All has been given, or nothing is wanted any more. `replaced`: places that carry a label now. */
  end(scanned: BodyScanned, replaced: number): void;
  /** Nothing more may pass: `act` or `onUnscanned` said so. `last`: last bytes for the receiver and the sender, as in `FilterSink`. */
  stop(scanned: BodyScanned, last?: { readonly forward?: Buffer; readonly back?: Buffer } | undefined): void;
}

/** What every filter is given. It has no opinion: `act` and `onUnscanned` do. */
export interface FilterOptions {
  readonly what: ScanFor;
  readonly scan: ScanPort;
  readonly budget: ScanBudget;
  readonly agent: string;
  /** Milliseconds of any clock that does not go back. */
  readonly now: () => number;
  /** Bytes of one body that are looked at; 0 = all. */
  readonly scanBytes: number;
  /** Decoded to encoded, at most. */
  readonly decodeRatio: number;
  /** Longest time bytes wait because of an open candidate, in ms; 0 = any. 250 in responses (product.md §7). */
  readonly holdMs: number;
  readonly out: FilterOut;
  act(found: Found): Act;
  /** The rest cannot be looked at: let it pass unread, or end the body there. Asked once. */
  onUnscanned(cause: UnscannedCause): 'pass' | 'stop';
}
