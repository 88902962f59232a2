/** What has been counted for an agent, or for an agent and a destination, since a moment. */
interface Window {
  /** Milliseconds, of the clock that was given. */
  since: number;
  sum: number;
}

/** A window as it is kept: agent, destination or null, epoch ms, sum. */
export type StoredWindow = readonly [agent: string, to: string | null, since: number, sum: number];

/** Of each kind; beyond it the oldest goes. Agents have a map of their own: destinations they invent push out no agent's sum. */
const MOST = 10_000;

/** Sums in fixed windows, per agent and per agent and destination. Outlives stages: a reload gives nobody a fresh start. */
export class Windows {
  readonly #now: () => number;
  /** Oldest first. */
  readonly #agents: Map<string, Window> = new Map();
  readonly #pairs: Map<string, Window> = new Map();
  #changed = false;

  /** @param now monotonic ms */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** The sum with this one. A window that is over begins anew. @param to host and port; absent = all of the agent's */
  add(agent: string, to: string | undefined, amount: number, windowMs: number): number {
    const [windows, key] = this.#place(agent, to);
    const at = this.#now();
    const window = windows.get(key);
    this.#changed = true;
    if (window !== undefined && at - window.since < windowMs) {
      window.sum += amount;
      return window.sum;
    }
    this.#begin(windows, key, { since: at, sum: amount });
    return amount;
  }

  /** What is counted now, and how long (ms) the window goes on. */
  of(agent: string, to: string | undefined, windowMs: number): { readonly sum: number; readonly leftMs: number } {
    const [windows, key] = this.#place(agent, to);
    const window = windows.get(key);
    if (window === undefined) return { sum: 0, leftMs: windowMs };
    const age = this.#now() - window.since;
    if (age < windowMs) return { sum: window.sum, leftMs: windowMs - age };
    windows.delete(key);
    return { sum: 0, leftMs: windowMs };
  }

  /** Something was counted since this was asked last. */
  changed(): boolean {
    const changed = this.#changed;
    this.#changed = false;
    return changed;
  }

  /** What has begun within `maxMs`, for another life. @param epoch ms, now */
  stored(maxMs: number, epoch: number): StoredWindow[] {
    const at = this.#now();
    return [...this.#agents, ...this.#pairs].flatMap(([key, { since, sum }]): StoredWindow[] => {
      if (at - since >= maxMs) return [];
      const [agent = '', to = null] = key.split(' ', 2);
      return [[agent, to, Math.round(epoch - (at - since)), sum]];
    });
  }

  /** What a former life has stored; a clock that was set back makes no window begin later than now. */
  restore(windows: readonly StoredWindow[], epoch: number): void {
    const at = this.#now();
    for (const [agent, to, since, sum] of windows) {
      const [known, key] = this.#place(agent, to ?? undefined);
      this.#begin(known, key, { since: at - Math.max(0, epoch - since), sum });
    }
  }

  /** An agent's name holds no blank. */
  #place(agent: string, to: string | undefined): readonly [Map<string, Window>, string] {
    return to === undefined ? [this.#agents, agent] : [this.#pairs, `${agent} ${to}`];
  }

  #begin(windows: Map<string, Window>, key: string, window: Window): void {
    windows.delete(key);
    if (windows.size >= MOST) windows.delete(windows.keys().next().value as string);
    windows.set(key, window);
  }
}
