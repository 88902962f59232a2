/** What bodies that are held whole take together, on one thread (`limits.held_bytes`). */
export interface HeldBytes {
  /** Of one more body. */
  open(): Holding;
}

export interface Holding {
  /** False = there is no room for them, and they are not counted. */
  take(bytes: number): boolean;
  /** The body is gone: all that was taken is free. May be called again. */
  close(): void;
}

export function createHeldBytes(most: number): HeldBytes {
  let held = 0;
  return {
    open() {
      let mine = 0;
      return {
        take(bytes) {
          if (held + bytes > most) return false;
          held += bytes;
          mine += bytes;
          return true;
        },
        close() {
          held -= mine;
          mine = 0;
        },
      };
    },
  };
}
