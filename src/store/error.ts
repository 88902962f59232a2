/** Why the store cannot be used; the recorder goes on without it and tries again. */
export type StoreReason = 'locked' | 'newer' | 'unwritable';

/** Thrown by `openStore` and, when the file is lost while running, by every call. `message` is the sentence for people. */
export class StoreError extends Error {
  readonly reason: StoreReason;
  /** Process that holds the file, when `reason` is `locked` and it is known. */
  readonly pid: number | undefined;
  constructor(reason: StoreReason, message: string, options?: ErrorOptions & { readonly pid?: number | undefined }) {
    super(message, options);
    this.name = 'StoreError';
    this.reason = reason;
    this.pid = options?.pid;
  }
}

/** Message of anything thrown, one line. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split('\n').find((line) => line.trim() !== '') ?? '').trim();
}

/** PID in DuckDB's `Conflicting lock is held in /path/to/program (PID 123)`. */
export function lockHolder(error: unknown): { readonly pid: number | undefined } | undefined {
  const text = messageOf(error);
  if (!/could not set lock on file|conflicting lock/i.test(text)) return undefined;
  const pid = /\(PID (\d+)\)/.exec(text)?.[1];
  return { pid: pid === undefined ? undefined : Number(pid) };
}

/** No space, quota or file size left, or a directory that may not be written: waiting helps, moving the file does not. */
export function isDiskError(error: unknown): boolean {
  return /no space left|disk quota|file too large|read-only file system|permission denied|too many open files|input\/output error|out of memory/i.test(
    messageOf(error),
  );
}

/** DuckDB has shut the database down; only opening it anew helps. */
export function isFatal(error: unknown): boolean {
  return /^FATAL|^INTERNAL|database has been invalidated|connection (has been|was) closed|instance (has been|was) closed/i.test(
    messageOf(error),
  );
}
