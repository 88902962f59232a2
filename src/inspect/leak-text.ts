import type { Cut } from '../model/finding.ts';
import type { Found } from '../model/scan.ts';
import type { LeakPlace } from './leak-weight.ts';

/** Where a find stands, in words and in kind. */
export interface Place {
  readonly text: string;
  readonly kind: LeakPlace;
}

/** Meant for Weir and removed before the request leaves (product.md §4). */
const OURS: ReadonlySet<string> = new Set([
  'proxy-authorization',
  'proxy-connection',
  'x-weir-agent',
  'x-oktsec-agent',
]);
/** Fields that exist to carry a credential to the host they are sent to. */
const CREDENTIAL_FIELD =
  /(?:^|-)(?:authorization|api-?key|auth-token|access-token|private-token|security-token|vault-token|functions-key|subscription-key)$/i;
/** Query keys of signed URLs that name the access key (AWS SigV4 and V2, Google, Alibaba, Tencent). */
const SIGNED_BY: ReadonlySet<string> = new Set([
  'x-amz-credential',
  'awsaccesskeyid',
  'x-goog-credential',
  'googleaccessid',
  'ossaccesskeyid',
  'q-ak',
]);
const ESCAPE = /^%[0-9A-Fa-f]{2}/;
const LINE = 0x0a;
const COLON = 0x3a;
const SPACE = 0x20;
/** No pattern worth a finding is shorter. */
const SHORTEST = 8;
/** A name that is told; anything else may hold what must not be told. */
const NAME = /^[A-Za-z][A-Za-z0-9._-]{0,39}$/;

/** Fields whose value is a URL. */
const URL_FIELD = /^(?:location|content-location|referer|refresh|link|origin)$/;
/** What a server hands to its own client by design: new cookies, tokens against forged requests, session tokens of APIs. */
const HANDED_OUT =
  /^(?:set-cookie2?|authentication-info|www-authenticate|.*-(?:csrf|xsrf|subject|auth|session)-token)$/;

/** What is looked at of a head or of trailers. */
export interface HeadParts {
  readonly target?: string;
  readonly method?: string;
  readonly hostField?: string | undefined;
  /** Flat name, value list. */
  readonly fields: readonly string[];
  readonly of: 'request' | 'response' | 'trailer' | 'response-trailer';
}

const TARGET = -1;
const METHOD = -2;

/** What of a head is new, as one text, one line per piece. Filled anew for every head. */
export class HeadText {
  #buffer: Buffer = Buffer.allocUnsafe(8192);
  #length = 0;
  #parts: HeadParts = { fields: [], of: 'request' };
  /** Where each piece begins, and what it is: the index of a field, or one of the above. */
  readonly #starts: number[] = [];
  readonly #kinds: number[] = [];

  /** Nothing is new. */
  get empty(): boolean {
    return this.#length === 0;
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Target, a method nobody knows, and the fields that go on and are not among `clean` at the same place. */
  fill(parts: HeadParts, clean: readonly string[] | undefined, cleanTarget: string | undefined): void {
    const { fields, method = '', target = '', of } = parts;
    this.#parts = parts;
    this.#length = 0;
    this.#starts.length = 0;
    this.#kinds.length = 0;
    if (target.length >= SHORTEST && target !== cleanTarget) this.#line(TARGET, target);
    if (method.length >= SHORTEST) this.#line(METHOD, method);
    const request = of === 'request';
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const name = fields[i] as string;
      const value = fields[i + 1] as string;
      if (clean !== undefined && clean[i] === name && clean[i + 1] === value) continue;
      if (name.length + value.length < SHORTEST) continue;
      if (request && (OURS.has(name) || OURS.has(name.toLowerCase()))) continue;
      // The host is looked at by itself, without regard to case.
      if (request && value === parts.hostField && name.length === 4 && name.toLowerCase() === 'host') continue;
      this.#field(i, name, value);
    }
  }

  /** Where a find stands. */
  placeOf(found: Found): Place {
    const piece = this.#pieceOf(found);
    const kind = this.#kinds[piece];
    if (kind === undefined || kind === METHOD) return { text: 'the method', kind: 'request' };
    const { fields, target = '', of } = this.#parts;
    const at = found.start - (this.#starts[piece] as number);
    if (kind === TARGET) return targetPlace(target, at);
    return fieldPlace(of, fields[kind] as string, fields[kind + 1] as string, at, found.end - found.start);
  }

  /** What to cut out so that a find is gone; undefined for what cannot be taken out: the method, a header's name. */
  cutOf(found: Found): Cut | undefined {
    const piece = this.#pieceOf(found);
    const kind = this.#kinds[piece];
    if (kind === undefined || kind === METHOD) return undefined;
    const { fields, target = '' } = this.#parts;
    const at = found.start - (this.#starts[piece] as number);
    const length = found.end - found.start;
    if (kind === TARGET) return urlCut('target', target, at, Math.min(at + length, target.length), found.label);
    // A match may begin with the name, as `password: …` does; what is behind it is the secret.
    const name = fields[kind] as string;
    const before = name.length + 2;
    const value = fields[kind + 1] as string;
    const [start, end] = [Math.max(0, at - before), Math.min(at + length - before, value.length)];
    if (end <= 0) return undefined;
    const part = kind / 2;
    if (URL_FIELD.test(name.toLowerCase())) return urlCut(part, value, start, end, found.label);
    return { part, start, end, label: labelOf(found.label) };
  }

  #pieceOf({ start }: Found): number {
    let i = this.#starts.length - 1;
    while (i > 0 && (this.#starts[i] as number) > start) i--;
    return i;
  }

  #line(kind: number, text: string): void {
    this.#begin(kind, text.length + 1);
    this.#length += this.#buffer.write(text, this.#length, 'latin1');
    this.#buffer[this.#length++] = LINE;
  }

  /** `name: value`, as patterns with a keyword in front of the secret know it. */
  #field(index: number, name: string, value: string): void {
    this.#begin(index, name.length + value.length + 3);
    this.#length += this.#buffer.write(name, this.#length, 'latin1');
    this.#buffer[this.#length++] = COLON;
    this.#buffer[this.#length++] = SPACE;
    this.#length += this.#buffer.write(value, this.#length, 'latin1');
    this.#buffer[this.#length++] = LINE;
  }

  #begin(kind: number, more: number): void {
    this.#starts.push(this.#length);
    this.#kinds.push(kind);
    if (this.#length + more <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe((this.#length + more) * 2);
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

const WORDS = {
  request: 'header',
  response: 'response header',
  trailer: 'trailer',
  'response-trailer': 'response trailer',
} as const;

function fieldPlace(of: HeadParts['of'], name: string, value: string, at: number, length: number): Place {
  const incoming = of === 'response' || of === 'response-trailer';
  const word = WORDS[of];
  const plain = incoming ? 'response-head' : 'request';
  if (at + length <= name.length) return { text: `a ${word} name`, kind: plain };
  const lower = name.toLowerCase();
  const from = at - name.length - 2;
  if (lower === 'cookie' && !incoming) return { text: cookiePlace(value, from), kind: 'cookie' };
  const text = NAME.test(name) ? `${word} ${lower}` : `a ${word}`;
  if (URL_FIELD.test(lower)) {
    const { kind } = targetPlace(value, from);
    return { text, kind: kind === 'signature' ? kind : plain };
  }
  if (incoming) return { text, kind: HANDED_OUT.test(lower) || CREDENTIAL_FIELD.test(lower) ? 'handed-out' : plain };
  return { text, kind: CREDENTIAL_FIELD.test(lower) ? 'credential-header' : plain };
}

/** The part of path and query an offset lies in; keys are named only when they look like names. */
function targetPlace(target: string, at: number): Place {
  const query = target.indexOf('?');
  if (query < 0 || at < query) return { text: 'the path', kind: 'request' };
  const from = target.lastIndexOf('&', at) > query ? target.lastIndexOf('&', at) + 1 : query + 1;
  const ampersand = target.indexOf('&', from);
  const pair = target.slice(from, ampersand < 0 ? target.length : ampersand);
  const equals = pair.indexOf('=');
  const key = pair.slice(0, Math.max(0, equals));
  if (equals < 0 || !NAME.test(key)) return { text: 'the query', kind: 'request' };
  if (at < from + equals) return { text: 'a query key', kind: 'request' };
  return { text: `query key ${key}`, kind: SIGNED_BY.has(key.toLowerCase()) ? 'signature' : 'request' };
}

export function labelOf(label: string): string {
  return `[${label}_REDACTED]`;
}

/** Brackets and blanks are no characters of a URL (RFC 3986 §2.2), and no `%XX` is left in pieces. */
function urlCut(part: Cut['part'], target: string, from: number, to: number, label: string): Cut {
  let [start, end] = [from, to];
  for (const back of [2, 1]) if (target[start - back] === '%' && ESCAPE.test(target.slice(start - back))) start -= back;
  for (const back of [2, 1]) {
    if (target[end - back] === '%' && ESCAPE.test(target.slice(end - back))) end += 3 - back;
  }
  return { part, start, end, label: encodeURIComponent(labelOf(label)) };
}

function cookiePlace(value: string, at: number): string {
  const from = Math.max(value.lastIndexOf(';', Math.max(0, at)) + 1, 0);
  const equals = value.indexOf('=', from);
  const name = equals < 0 || at < equals ? '' : value.slice(from, equals).trim();
  return NAME.test(name) ? `cookie ${name}` : 'a cookie';
}
