import type { Cut } from '../model/finding.ts';
import type { Pieces } from '../model/pieces.ts';
import type { ScanPort } from '../model/scan.ts';

type Piece = Pick<Cut, 'part' | 'start' | 'end'>;

/** Fields everybody sends: nobody cuts a secret into them, and they would stand between the parts. */
const ORDINARY =
  /^(?:host|user-agent|accept.*|content-.*|connection|cache-control|pragma|date|te|via|upgrade.*|sec-.*|proxy-.*|if-.*|range|origin|referer|authorization|transfer-encoding|expect|dnt|priority|keep-alive|traceparent|tracestate|x-request-id|x-forwarded-.*|x-stainless-.*)$/;

/** Values of a head that one secret may have been cut into: of path and query, of cookies, of fields. */
export function headPieces(
  pieces: Pieces<Piece>,
  scan: ScanPort,
  target: string | undefined,
  fields: readonly string[],
): void {
  pieces.clear();
  if (target !== undefined && targetMay(scan, target)) targetPieces(pieces, scan, target);
  if (!fieldsMay(scan, fields)) return;
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const value = fields[i + 1] as string;
    if (kindOf(fields[i] as string) === OWN) pieces.add(value, { part: i / 2, start: 0, end: value.length });
  }
  pieces.close(scan);
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if (kindOf(fields[i] as string) === COOKIE) cookiePieces(pieces, fields[i + 1] as string, i / 2);
  }
  pieces.close(scan);
}

/** Whether a part begins as a secret does: most heads are read no further. */
function targetMay(scan: ScanPort, target: string): boolean {
  if (scan.mayBegin === undefined) return true;
  for (let i = 0; i + 2 < target.length; i++) {
    const byte = target.charCodeAt(i);
    if ((byte === SLASH || byte === EQUALS) && beginsAt(scan, target, i + 1)) return true;
  }
  return false;
}

function fieldsMay(scan: ScanPort, fields: readonly string[]): boolean {
  if (scan.mayBegin === undefined) return true;
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const kind = kindOf(fields[i] as string);
    const value = fields[i + 1] as string;
    if (kind === COOKIE || (kind === OWN && value.length > 1 && beginsAt(scan, value, 0))) return true;
  }
  return false;
}

function beginsAt(scan: ScanPort, text: string, at: number): boolean {
  return scan.mayBegin?.(text.charCodeAt(at), text.charCodeAt(at + 1), text.charCodeAt(at + 2)) !== false;
}

const SLASH = 0x2f;
const EQUALS = 0x3d;
const [COMMON, COOKIE, OWN] = [0, 1, 2];
/** What names of fields are, as they were sent: there are few, and they come again with every request. */
const KINDS = new Map<string, number>();
const MOST_NAMES = 512;

function kindOf(name: string): number {
  let kind = KINDS.get(name);
  if (kind === undefined) {
    const lower = name.toLowerCase();
    kind = lower === 'cookie' ? COOKIE : ORDINARY.test(lower) ? COMMON : OWN;
    if (KINDS.size < MOST_NAMES && name.length < 64) KINDS.set(name, kind);
  }
  return kind;
}

function targetPieces(pieces: Pieces<Piece>, scan: ScanPort, target: string): void {
  const query = target.indexOf('?');
  const path = query < 0 ? target.length : query;
  for (let from = 1; from < path; ) {
    const slash = target.indexOf('/', from);
    const end = slash < 0 || slash > path ? path : slash;
    pieces.add(target.slice(from, end), { part: 'target', start: from, end });
    from = end + 1;
  }
  pieces.close(scan);
  if (query < 0) return;
  for (let from = query + 1; from < target.length; ) {
    const ampersand = target.indexOf('&', from);
    const end = ampersand < 0 ? target.length : ampersand;
    const equals = target.indexOf('=', from);
    const start = equals < 0 || equals > end ? from : equals + 1;
    pieces.add(target.slice(start, end), { part: 'target', start, end });
    from = end + 1;
  }
  pieces.close(scan);
}

function cookiePieces(pieces: Pieces<Piece>, value: string, part: number): void {
  for (let from = 0; from < value.length; ) {
    const semicolon = value.indexOf(';', from);
    const end = semicolon < 0 ? value.length : semicolon;
    const equals = value.indexOf('=', from);
    const start = equals < 0 || equals > end ? from : equals + 1;
    pieces.add(value.slice(start, end), { part, start, end });
    from = end + 1;
  }
}

/** Where the pieces of one secret stand, in words. */
export function splitPlace(pieces: readonly Piece[], target: string | undefined, fields: readonly string[]): string {
  const [first] = pieces;
  const count = pieces.length;
  if (first?.part !== 'target') {
    const cookie = (fields[2 * ((first?.part as number) ?? 0)] ?? '').toLowerCase() === 'cookie';
    return cookie ? `${count} cookies (split)` : `${count} headers (split)`;
  }
  const query = target?.indexOf('?') ?? -1;
  return query < 0 || first.start < query ? `${count} parts of the path (split)` : `${count} query values (split)`;
}
