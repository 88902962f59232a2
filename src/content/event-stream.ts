import type { BodyScanned } from '../model/scan.ts';

/** Bytes up to the end of the last whole event (WHATWG HTML §9.2.6: events end with an empty line). */
export function wholeEvents(bytes: Uint8Array): number {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = 0;
  for (const blank of ['\n\n', '\r\n\r\n', '\r\r']) {
    const at = view.lastIndexOf(blank, undefined, 'latin1');
    if (at >= 0) end = Math.max(end, at + blank.length);
  }
  return end;
}

/** What a reader of the stream is told in place of the rest. The empty line before it ends what was begun. */
export function errorEvent({ found, unscanned }: BodyScanned): Buffer {
  const names = [...new Set(found.map((one) => one.found.name))].slice(0, 5).join(', ');
  const what = names === '' ? `it could not be scanned (${unscanned?.cause ?? 'failed'})` : names;
  const error = { type: 'blocked', message: `Blocked by Weir: the rest of this response was withheld: ${what}` };
  return Buffer.from(`\n\nevent: error\ndata: ${JSON.stringify({ type: 'error', error })}\n\n`);
}
