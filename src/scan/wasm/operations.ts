import { LIST, LIST_END } from './memory';

/** Operations, three u32 each: what, from, to. */
export const HEX: u32 = 1;
export const BASE32: u32 = 2;
export const BASE64: u32 = 3;
export const LINES: u32 = 4;
export const SEPARATED: u32 = 5;


let list: usize = LIST;
/** Separated pairs come last but are found on the way: from the end of the list downwards. */
let last: usize = LIST_END;
let full: bool = false;

export function put(what: u32, from: i32, to: i32): void {
  if (list + 12 > last) {
    full = true;
    return;
  }
  store<u32>(list, what);
  store<u32>(list, from, 4);
  store<u32>(list, to, 8);
  list += 12;
}

export function putLast(from: i32, to: i32): void {
  if (list + 8 > last) {
    full = true;
    return;
  }
  last -= 8;
  store<u32>(last, from);
  store<u32>(last, to, 4);
}

/** An empty list. */
export function reset(): void {
  list = LIST;
  last = LIST_END;
  full = false;
}

export function isFull(): bool {
  return full;
}

/** Puts what came last behind the others. Returns how many numbers there are, or -1 = the list is full. */
export function close(): i32 {
  for (let entry = LIST_END; entry > last && !full; entry -= 8) {
    put(SEPARATED, <i32>load<u32>(entry - 8), <i32>load<u32>(entry - 4));
  }
  return full ? -1 : <i32>((list - LIST) >> 2);
}
