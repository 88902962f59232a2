import type { Found } from '../model/scan.ts';

const BACKSLASH = 0x5c;
const U = 0x75;
/** Length of `\uXXXX`. */
const LONGEST_ESCAPE = 6;

/** A text with labels in place of what was found. JSON stays JSON: no escape is left in pieces, and a number becomes a string. */
export function replaceFound(text: Buffer, places: readonly Found[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const { start, end, label } of [...places].sort((a, b) => a.start - b.start)) {
    const bare = bareValue(text, start, end);
    const from = bare?.from ?? escapeAround(text, start)?.from ?? start;
    const to = bare?.to ?? escapeAround(text, end)?.to ?? end;
    if (to <= at) continue;
    if (from >= at) parts.push(text.subarray(at, from));
    const word = `[${label}_REDACTED]`;
    parts.push(Buffer.from(bare === undefined ? word : `"${word}"`));
    at = to;
  }
  parts.push(text.subarray(at));
  return Buffer.concat(parts);
}

/** The escape sequence of a JSON string that `at` lies inside of, not at its start. */
function escapeAround(text: Buffer, at: number): { readonly from: number; readonly to: number } | undefined {
  for (let from = at - 1; from >= Math.max(0, at - LONGEST_ESCAPE + 1); from--) {
    if (text[from] !== BACKSLASH) continue;
    let run = from;
    while (run > 0 && text[run - 1] === BACKSLASH) run--;
    // Of a run of backslashes every second one is escaped itself.
    if ((from - run) % 2 === 1) continue;
    const to = from + (text[from + 1] === U ? LONGEST_ESCAPE : 2);
    return to > at ? { from, to: Math.min(to, text.length) } : undefined;
  }
  return undefined;
}

/** The number of a JSON text that a place lies in: it stands between `:`, `[` or `,` and `,`, `]` or `}`. */
function bareValue(
  text: Buffer,
  start: number,
  end: number,
): { readonly from: number; readonly to: number } | undefined {
  let [from, to] = [start, end];
  while (NUMBER.includes(charAt(text, from - 1))) from--;
  while (NUMBER.includes(charAt(text, to))) to++;
  let [before, after] = [from - 1, to];
  while (BLANK.includes(charAt(text, before))) before--;
  while (BLANK.includes(charAt(text, after))) after++;
  if (!':[,'.includes(charAt(text, before)) || !',]}'.includes(charAt(text, after))) return undefined;
  let first = 0;
  while (BLANK.includes(charAt(text, first))) first++;
  return '{['.includes(charAt(text, first)) ? { from, to } : undefined;
}

const NUMBER = '0123456789+-.eE';
const BLANK = ' \t\r\n';

function charAt(text: Buffer, index: number): string {
  const byte = text[index];
  return byte === undefined ? 'none' : String.fromCharCode(byte);
}
