/** What can be told of: what was or would have been stopped, news, everything an inspector noticed, what people changed. */
export const NOTIFY_EVENTS = ['block', 'would-block', 'redact', 'first-seen', 'finding', 'audit'] as const;
export type NotifyEvent = (typeof NOTIFY_EVENTS)[number];

export interface NotifyTarget {
  readonly url: string;
  readonly secret?: string;
  readonly on: readonly NotifyEvent[];
  /** URL of the parent proxy to tell it through; absent = directly. */
  readonly proxy?: string | undefined;
}

/** What the recorder thread is given. */
export interface NotifyData {
  readonly targets: readonly NotifyTarget[];
  /** Ports Weir listens on. */
  readonly ownPorts: readonly number[];
}

/** What became of notifications to one address. */
export interface HookStatus {
  /** Without path and query: either may be a credential. */
  readonly origin: string;
  readonly delivered: number;
  readonly waiting: number;
  /** Given up: tried to the end, or the queue was full. */
  readonly dead: number;
  readonly lastError?: string;
}
