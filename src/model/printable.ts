/** Characters that may not reach a terminal, log, table, label or block body as they are. */
const INVISIBLE =
  // C0, DEL, C1, soft hyphen, Arabic letter mark, Mongolian separator, zero-width and bidi controls, line and paragraph
  // separators, word joiner … invisible operators, bidi isolates, BOM, interlinear annotation, tags (used to smuggle text).
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb]|[\u{e0000}-\u{e0fff}]|[\ud800-\udfff]/gu;

const CUT = '…';

function visible(character: string): string {
  return `<U+${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}>`;
}

/**
 * Makes a string from the network fit for people and for one line: control, ESC, bidi, zero-width characters, line breaks
 * and lone surrogates become `<U+202E>`; longer than `max` UTF-16 units is cut and ends in `…`.
 */
export function printable(text: string, max = 200): string {
  const length = text.length;
  if (length <= max) {
    let index = 0;
    while (index < length) {
      const code = text.charCodeAt(index);
      if (code < 0x20 || code > 0x7e) break;
      index++;
    }
    if (index === length) return text;
  }
  // Cutting first bounds the work; an escape only makes text longer, so nothing that fits is lost.
  const shown = (length > max ? text.slice(0, max) : text).replace(INVISIBLE, visible);
  if (length <= max && shown.length <= max) return shown;
  let end = Math.max(0, max - 1);
  // Neither half a surrogate pair nor half an escape stays at the end.
  const last = shown.charCodeAt(end - 1);
  if (last >= 0xd800 && last <= 0xdbff) end--;
  const open = shown.lastIndexOf('<U+', end);
  if (open >= 0 && open > end - 10 && shown.indexOf('>', open) >= end) end = open;
  return shown.slice(0, end) + CUT;
}
