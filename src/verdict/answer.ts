import type { Answer } from '../model/answer.ts';

/** RFC 9112 §4 allows more; HTTP/1 clients cut or choke on long reason phrases. */
const REASON_MAX = 200;

/** Builds an {@link Answer}: JSON body, its length in bytes, `x-weir-ref`, a reason phrase fit for a status line. */
export function answer(
  status: number,
  reason: string,
  body: object,
  ref: string | undefined,
  extra: readonly (readonly [string, string])[] = [],
): Answer {
  const text = `${JSON.stringify(body)}\n`;
  const headers: (readonly [string, string])[] = [
    ['content-type', 'application/json'],
    ['content-length', String(Buffer.byteLength(text))],
    ['cache-control', 'no-store'],
  ];
  if (ref !== undefined) headers.push(['x-weir-ref', ref]);
  for (const [name, value] of extra) headers.push([name, ascii(value)]);
  return { status, reason: cut(ascii(reason)), headers, body: text };
}

/** Printable ASCII; anything else becomes `?`, so that nothing can end the line. */
function ascii(text: string): string {
  return text.replaceAll('…', '...').replace(/[^\x20-\x7e]/g, '?');
}

/** Keeps the end, which carries the ref. */
function cut(text: string): string {
  if (text.length <= REASON_MAX) return text;
  const tail = text.slice(-30);
  return `${text.slice(0, REASON_MAX - tail.length - 3)}...${tail}`;
}
