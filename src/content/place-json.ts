/** Where in a JSON text something stands. */
export interface JsonPlace {
  /** `messages[2].content`; keys that do not look like names are `…`. */
  readonly path: string;
  /** It is (in) a key. */
  readonly inKey: boolean;
  /** Where the string around it begins, behind its quote; undefined outside of strings. */
  readonly string: number | undefined;
}

interface Frame {
  readonly array: boolean;
  index: number;
  keyFrom: number;
  keyTo: number;
  wantsKey: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const DEEPEST = 100;
/** Parts of a path that are told, the innermost. */
const MOST_PARTS = 8;
/** A key that is told: longer ones may be what must not be told. */
const KEY = /^[A-Za-z_$@][\w$@.:-]{0,30}$/;
const LONG_WORD = /[A-Za-z0-9]{20}/;

/**
 * Reads from a value's beginning (or between values) to a place in it; undefined when that place is in no array and no object.
 * @param inside - what is read begins between two members of an object.
 */
export function jsonPlace(bytes: Uint8Array, from: number, at: number, inside = false): JsonPlace | undefined {
  const stack: Frame[] = inside ? [frame(false)] : [];
  for (let i = from; i < at; i++) {
    const top = stack[stack.length - 1];
    switch (bytes[i]) {
      case QUOTE: {
        const end = stringEnd(bytes, i + 1, at);
        if (end >= at && stack.length === 0) return undefined;
        if (end >= at) return { path: pathOf(bytes, stack), inKey: top?.wantsKey === true, string: i + 1 };
        if (top?.wantsKey === true) [top.keyFrom, top.keyTo] = [i + 1, end];
        i = end;
        break;
      }
      case 0x7b:
      case 0x5b:
        if (stack.length === DEEPEST) return undefined;
        stack.push(frame(bytes[i] === 0x5b));
        break;
      case 0x7d:
      case 0x5d:
        stack.pop();
        // An object around the one that was begun in.
        if (inside && stack.length === 0) stack.push(frame(false));
        break;
      case 0x2c:
        if (top?.array === true) top.index++;
        else if (top !== undefined) top.wantsKey = true;
        break;
      case 0x3a:
        if (top !== undefined) top.wantsKey = false;
        break;
    }
  }
  return stack.length === 0 ? undefined : { path: pathOf(bytes, stack), inKey: false, string: undefined };
}

function frame(array: boolean): Frame {
  return { array, index: 0, keyFrom: 0, keyTo: 0, wantsKey: !array };
}

/** Where its closing quote is, or `most`. */
function stringEnd(bytes: Uint8Array, from: number, most: number): number {
  let at = from;
  while (at < most && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}

function pathOf(bytes: Uint8Array, stack: readonly Frame[]): string {
  let path = '';
  for (const frame of stack.slice(-MOST_PARTS)) {
    if (frame.array) path += `[${frame.index}]`;
    else if (!frame.wantsKey) path += `${path === '' ? '' : '.'}${nameOf(bytes, frame)}`;
  }
  return stack.length > MOST_PARTS ? `….${path}` : path;
}

function nameOf(bytes: Uint8Array, { keyFrom, keyTo }: Frame): string {
  const key = Buffer.from(bytes.subarray(keyFrom, Math.min(keyTo, keyFrom + 64))).toString('latin1');
  return KEY.test(key) && !LONG_WORD.test(key) ? key : '…';
}
