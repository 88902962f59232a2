import type { BodyScanned } from '../model/scan.ts';

const LINE_FEED = 10;
const RETURN = 13;

/** Finds where events end: behind an empty line (WHATWG HTML §9.2.5). Lines that end with a return alone are one line here. */
export class EventEnds {
  /** The line under way has no byte but a return so far. */
  #empty = true;
  /** The event under way has a line. */
  #any = false;

  /** Offsets behind the events that end in the next bytes. */
  of(bytes: Uint8Array): readonly number[] {
    const ends: number[] = [];
    for (let from = 0; from < bytes.length; ) {
      const at = bytes.indexOf(LINE_FEED, from);
      const to = at < 0 ? bytes.length : at;
      if (to > from && !(to === from + 1 && bytes[from] === RETURN)) this.#empty = false;
      if (at < 0) break;
      if (this.#empty && this.#any) ends.push(at + 1);
      this.#any = !this.#empty;
      this.#empty = true;
      from = at + 1;
    }
    return ends;
  }
}

/** Bytes up to the end of the last whole event. */
export function wholeEvents(bytes: Uint8Array): number {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = 0;
  for (const blank of ['\n\n', '\n\r\n']) {
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
