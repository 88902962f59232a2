import { COLON, CR, HTAB, LF, LOOSE_VALUE, SP, TOKEN, VALUE } from './http1-chars.ts';

/** Why a head is not taken. `detail` is a constant of ours: it never quotes the network. */
export interface HeadFault {
  readonly ok: false;
  readonly code: 'bad-request' | 'ambiguous-framing' | 'head-too-large';
  readonly detail: string;
}

/** Makes a {@link HeadFault}. */
export function fault(code: HeadFault['code'], detail: string): HeadFault {
  return { ok: false, code, detail };
}

/** A line we never pass on: `at`…`end` covers the line with its CRLF; `proxy` says it speaks to the next proxy (RFC 9110 §11.7). */
export interface DroppableLine {
  readonly at: number;
  readonly end: number;
  readonly proxy: boolean;
}

/** What a field section says about framing and persistence. One object per head, filled by {@link scanFields}. */
export interface FieldScan {
  /** Flat [name, value, …], latin1, in order, values without surrounding OWS. */
  readonly fields: string[];
  /** Index after the empty line. */
  end: number;
  /** Of Content-Length; -1 without one. */
  contentLength: number;
  contentLengths: number;
  /** Fields called Transfer-Encoding, and whether the last of them is exactly `chunked`. */
  codings: number;
  chunked: boolean;
  hosts: number;
  host: string | undefined;
  close: boolean;
  keepAlive: boolean;
  upgrade: string | undefined;
  expectContinue: boolean;
  droppable: DroppableLine[] | undefined;
}

/** An empty {@link FieldScan}; always the same shape, so that property access stays monomorphic. */
export function emptyScan(): FieldScan {
  return {
    fields: [],
    end: 0,
    contentLength: -1,
    contentLengths: 0,
    codings: 0,
    chunked: false,
    hosts: 0,
    host: undefined,
    close: false,
    keepAlive: false,
    upgrade: undefined,
    expectContinue: false,
    droppable: undefined,
  };
}

/** `bytes[at…]` is `name` (lower-case letters and `-`) without regard to case; the caller compared the length. */
function isName(bytes: Uint8Array, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    if (((bytes[at + i] as number) | 0x20) !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** RFC 9110 §8.6: 1*DIGIT and nothing else. -1 for anything else or what a JavaScript number cannot hold. */
function parseLength(value: string): number {
  if (value.length === 0) return -1;
  let length = 0;
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
    if (length > Number.MAX_SAFE_INTEGER) return -1;
  }
  return length;
}

function noteConnection(scan: FieldScan, value: string): void {
  const options = value.toLowerCase();
  if (options === 'keep-alive') scan.keepAlive = true;
  else if (options === 'close') scan.close = true;
  else {
    for (const option of options.split(',')) {
      const token = option.trim();
      if (token === 'close') scan.close = true;
      else if (token === 'keep-alive') scan.keepAlive = true;
    }
  }
}

function noteContentLength(scan: FieldScan, value: string, response: boolean): HeadFault | undefined {
  const length = parseLength(value);
  if (length < 0) return fault('ambiguous-framing', 'Content-Length is not one decimal number');
  scan.contentLengths += 1;
  // A repeated equal length in a response has one reading (RFC 9110 §8.6); in a request llhttp and others refuse it.
  if (scan.contentLengths > 1 && (!response || length !== scan.contentLength)) {
    return fault('ambiguous-framing', 'more than one Content-Length');
  }
  scan.contentLength = length;
  return undefined;
}

/** Exactly `chunked`, right up to the line end: parsers (llhttp among them) read `chunked` and a tab as another coding. */
function noteCoding(scan: FieldScan, value: string, lastByte: number): void {
  scan.codings += 1;
  scan.chunked = value.length === 7 && value.toLowerCase() === 'chunked' && (lastByte | 0x20) === 0x64;
}

function drop(scan: FieldScan, at: number, end: number, proxy: boolean): void {
  const line = { at, end, proxy };
  if (scan.droppable === undefined) scan.droppable = [line];
  else scan.droppable.push(line);
}

/** The few names that mean something to a relay, told apart by length first. */
function note(
  scan: FieldScan,
  bytes: Uint8Array,
  at: number,
  length: number,
  value: string,
  response: boolean,
  lineEnd: number,
): HeadFault | undefined {
  switch (length) {
    case 4:
      if (isName(bytes, at, 'host')) {
        scan.hosts += 1;
        scan.host = value;
      }
      return undefined;
    case 6:
      if (isName(bytes, at, 'expect')) scan.expectContinue = value.toLowerCase() === '100-continue';
      return undefined;
    case 7:
      if (isName(bytes, at, 'upgrade')) scan.upgrade = scan.upgrade === undefined ? value : `${scan.upgrade}, ${value}`;
      return undefined;
    case 10:
      if (isName(bytes, at, 'connection')) noteConnection(scan, value);
      return undefined;
    case 12:
      if (!response && isName(bytes, at, 'x-weir-agent')) drop(scan, at, lineEnd, false);
      return undefined;
    case 14:
      if (isName(bytes, at, 'content-length')) return noteContentLength(scan, value, response);
      if (!response && isName(bytes, at, 'x-oktsec-agent')) drop(scan, at, lineEnd, false);
      return undefined;
    case 16:
      if (!response && isName(bytes, at, 'proxy-connection')) drop(scan, at, lineEnd, true);
      return undefined;
    case 17:
      if (isName(bytes, at, 'transfer-encoding')) noteCoding(scan, value, bytes[lineEnd - 3] as number);
      return undefined;
    case 19:
      if (!response && isName(bytes, at, 'proxy-authorization')) drop(scan, at, lineEnd, true);
      return undefined;
    default:
      return undefined;
  }
}

function badName(bytes: Uint8Array, at: number, i: number): HeadFault {
  const byte = bytes[i] as number;
  if (byte === SP || byte === HTAB) {
    return i === at
      ? fault('ambiguous-framing', 'a line is folded (obs-fold, RFC 9112 §5.2)')
      : fault('ambiguous-framing', 'white space between a field name and its colon (RFC 9112 §5.1)');
  }
  if (byte === LF || byte === CR) return fault('ambiguous-framing', 'a line does not end in CRLF or has no colon');
  return fault('bad-request', 'a field name is not a token');
}

function badValue(byte: number): HeadFault {
  if (byte === LF) return fault('ambiguous-framing', 'a line ends in a bare LF (RFC 9112 §2.2)');
  if (byte === CR) return fault('ambiguous-framing', 'a bare CR inside a line (RFC 9112 §2.2)');
  if (byte === 0) return fault('ambiguous-framing', 'a NUL byte in a field value (RFC 9110 §5.5)');
  return fault('bad-request', 'a control byte in a field value');
}

/** Where the field section lies. */
export interface FieldSection {
  readonly bytes: Uint8Array;
  /** latin1 text of the head, whose first character is byte `base`. */
  readonly text: string;
  readonly base: number;
  /** First byte of the first field line. */
  readonly at: number;
  /** Most field lines taken. */
  readonly maxFields: number;
  /** Responses are read leniently where that cannot move a boundary. */
  readonly response: boolean;
}

/**
 * Reads field lines up to and including the empty line, which the caller knows to exist: every inner loop ends at its CR
 * at the latest, so no bounds are checked.
 */
export function scanFields(section: FieldSection, scan: FieldScan): HeadFault | undefined {
  const { bytes, text, base, maxFields, response } = section;
  const allowed = response ? LOOSE_VALUE : VALUE;
  const fields = scan.fields;
  const most = maxFields * 2;
  let i = section.at;
  while (bytes[i] !== CR || bytes[i + 1] !== LF) {
    const at = i;
    while (TOKEN[bytes[i] as number] === 1) i++;
    const nameEnd = i;
    if (nameEnd === at || bytes[i] !== COLON) return badName(bytes, at, i);
    i++;
    while (bytes[i] === SP || bytes[i] === HTAB) i++;
    const valueAt = i;
    while (allowed[bytes[i] as number] === 1) i++;
    if (bytes[i] !== CR || bytes[i + 1] !== LF) return badValue(bytes[i] as number);
    let valueEnd = i;
    while (valueEnd > valueAt && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    i += 2;
    if (fields.length >= most) return fault('head-too-large', 'too many fields');
    const value = text.slice(valueAt - base, valueEnd - base);
    fields.push(text.slice(at - base, nameEnd - base), value);
    const failed = note(scan, bytes, at, nameEnd - at, value, response, i);
    if (failed !== undefined) return failed;
  }
  scan.end = i + 2;
  return undefined;
}
