import type { DroppableLine } from './http1-fields.ts';
import type { RequestHead } from './http1-head.ts';

const SLASH = 0x2f;
const ASTERISK = 0x2a;
const SPACE = 0x20;

/** What has to change between the agent's head and the upstream's. */
export interface RewritePlan {
  /** Index inside the target where path or query begin: the request line becomes origin-form. Undefined: it stays. */
  readonly pathAt?: number;
  /** Leave the lines that speak to a next proxy: the request goes through one inside a tunnel. */
  readonly keepProxyLines: boolean;
}

function isDropped(line: DroppableLine, plan: RewritePlan): boolean {
  return !(line.proxy && plan.keepProxyLines);
}

/**
 * Moves the start line to the right, over `scheme://authority`, which is longer than anything that must be put in its
 * place. Returns the new first byte.
 */
function toOriginForm(bytes: Buffer, head: RequestHead, pathAt: number): number {
  let at = head.targetAt + pathAt;
  if (at === head.targetEnd || bytes[at] !== SLASH) {
    at -= 1;
    bytes[at] = at + 1 === head.targetEnd && head.method === 'OPTIONS' ? ASTERISK : SLASH;
  }
  at -= 1;
  bytes[at] = SPACE;
  const start = at - head.method.length;
  bytes.copyWithin(start, head.start, head.start + head.method.length);
  return start;
}

/**
 * Closes the gaps of dropped lines by moving what precedes each of them to the right, last gap first, so that every byte
 * moves once and head and body stay one contiguous piece.
 */
function closeGaps(bytes: Buffer, from: number, lines: readonly DroppableLine[], plan: RewritePlan): number {
  let shift = 0;
  let pieceEnd = -1;
  for (let n = lines.length - 1; n >= 0; n--) {
    const line = lines[n] as DroppableLine;
    if (!isDropped(line, plan)) continue;
    if (pieceEnd >= 0) bytes.copyWithin(line.end + shift, line.end, pieceEnd);
    shift += line.end - line.at;
    pieceEnd = line.at;
  }
  if (pieceEnd >= 0) bytes.copyWithin(from + shift, from, pieceEnd);
  return from + shift;
}

/**
 * Turns the agent's head into the upstream's **inside `bytes`**, which the caller owns, without a copy of it: the request
 * line to origin-form when the plan says so, without the lines that are for us; all other bytes stay as they came.
 * `bytes[0]` is the first byte after the previous message. Returns where the upstream's head begins; it ends at
 * `head.end`, unmoved.
 */
export function rewriteInPlace(bytes: Buffer, head: RequestHead, plan: RewritePlan): number {
  const start = plan.pathAt === undefined ? 0 : toOriginForm(bytes, head, plan.pathAt);
  return head.droppable === undefined ? start : closeGaps(bytes, start, head.droppable, plan);
}

/**
 * The head for a parent proxy: absolute-form, our own Proxy-Authorization if the parent wants one, the agent's lines
 * otherwise as they came. `prefix` is `scheme://authority` when the agent's target has none.
 */
export function headForParent(
  bytes: Buffer,
  head: RequestHead,
  prefix: string,
  proxyAuthorization: string | undefined,
): Buffer {
  const plan = { keepProxyLines: false };
  // RFC 9112 §3.2.4: the absolute form of `OPTIONS *` has neither path nor query.
  const target = prefix === '' ? head.target : head.target === '*' ? prefix : prefix + head.target;
  const requestLine = Buffer.from(`${head.method} ${target} HTTP/${head.version}\r\n`, 'latin1');
  const pieces: Buffer[] = [requestLine];
  // ` HTTP/1.x` and CRLF follow the target.
  let at = head.targetEnd + 11;
  for (const line of head.droppable ?? []) {
    if (!isDropped(line, plan)) continue;
    pieces.push(bytes.subarray(at, line.at));
    at = line.end;
  }
  pieces.push(bytes.subarray(at, head.end - 2));
  if (proxyAuthorization !== undefined) {
    pieces.push(Buffer.from(`Proxy-Authorization: ${proxyAuthorization}\r\n`, 'latin1'));
  }
  pieces.push(bytes.subarray(head.end - 2, head.end));
  return Buffer.concat(pieces);
}
