import type { PartScanPort } from '../model/scan.ts';
import type { BodyFormat } from './body-format.ts';
import type { FilterOptions } from './filter-contract.ts';

export interface RedactorOptions extends Omit<FilterOptions, 'out'> {
  readonly scan: PartScanPort;
  readonly format: BodyFormat;
  /** A label takes as many bytes as what it stands for. */
  readonly fixed: boolean;
  /** Nobody waits for single bytes: whatever is open is held. */
  readonly patient: boolean;
  /** What may go on, in order. */
  readonly data: (payload: Buffer) => void;
  /** Once: nothing more may go on. */
  readonly stopped: () => void;
  /** The scan threw: let the rest pass unread, or end the body there. Asked once. */
  readonly onFailed: (error: unknown) => 'pass' | 'stop';
  /** Of the bytes before a secret that stops the body, how many still go on (a whole event); default all. */
  readonly clean?: (bytes: Uint8Array) => number;
}
