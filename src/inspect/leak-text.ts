import type { RequestFacts } from '../model/exchange.ts';
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
const LINE = 0x0a;
const COLON = 0x3a;
const SPACE = 0x20;
/** No pattern worth a finding is shorter. */
const SHORTEST = 8;
/** A name that is told; anything else may hold what must not be told. */
const NAME = /^[A-Za-z][A-Za-z0-9._-]{0,39}$/;

const TARGET = -1;
const METHOD = -2;

/** What of a head is new, as one text, one line per piece. Filled anew for every head. */
export class HeadText {
  #buffer: Buffer = Buffer.allocUnsafe(8192);
  #length = 0;
  #request: RequestFacts | undefined;
  /** Where each piece begins, and what it is: the index of a field, or one of the above. */
  readonly #starts: number[] = [];
  readonly #kinds: number[] = [];

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Target, a method nobody knows, and the fields that go upstream and are not among `clean` at the same place. */
  fill(request: RequestFacts, clean: readonly string[] | undefined, cleanTarget: string | undefined): void {
    const { fields, method } = request;
    this.#request = request;
    this.#length = 0;
    this.#starts.length = 0;
    this.#kinds.length = 0;
    if (request.target.length >= SHORTEST && request.target !== cleanTarget) this.#line(TARGET, request.target);
    if (method.length >= SHORTEST) this.#line(METHOD, method);
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const name = fields[i] as string;
      const value = fields[i + 1] as string;
      if (clean !== undefined && clean[i] === name && clean[i + 1] === value) continue;
      if (name.length + value.length < SHORTEST || OURS.has(name) || OURS.has(name.toLowerCase())) continue;
      // The host is looked at by itself, without regard to case.
      if (value === request.hostField && name.length === 4 && name.toLowerCase() === 'host') continue;
      this.#field(i, name, value);
    }
  }

  /** Where a find stands. */
  placeOf(found: Found): Place {
    let i = this.#starts.length - 1;
    while (i > 0 && (this.#starts[i] as number) > found.start) i--;
    const kind = this.#kinds[i];
    if (kind === undefined || kind === METHOD) return { text: 'the method', kind: 'request' };
    const { fields, target } = this.#request as RequestFacts;
    const at = found.start - (this.#starts[i] as number);
    if (kind === TARGET) return { text: targetPlace(target, at), kind: 'request' };
    return fieldPlace(fields[kind] as string, fields[kind + 1] as string, at, found.end - found.start);
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

function fieldPlace(name: string, value: string, at: number, length: number): Place {
  if (at + length <= name.length) return { text: 'a header name', kind: 'request' };
  const lower = name.toLowerCase();
  if (lower === 'cookie') return { text: cookiePlace(value, at - name.length - 2), kind: 'cookie' };
  const kind = CREDENTIAL_FIELD.test(lower) ? 'credential-header' : 'request';
  return { text: NAME.test(name) ? `header ${lower}` : 'a header', kind };
}

/** The part of path and query an offset lies in; keys are named only when they look like names. */
function targetPlace(target: string, at: number): string {
  const query = target.indexOf('?');
  if (query < 0 || at < query) return 'the path';
  const from = target.lastIndexOf('&', at) > query ? target.lastIndexOf('&', at) + 1 : query + 1;
  const ampersand = target.indexOf('&', from);
  const pair = target.slice(from, ampersand < 0 ? target.length : ampersand);
  const equals = pair.indexOf('=');
  if (equals < 0 || at < from + equals) return 'the query';
  const key = pair.slice(0, equals);
  return NAME.test(key) ? `query key ${key}` : 'the query';
}

function cookiePlace(value: string, at: number): string {
  const from = Math.max(value.lastIndexOf(';', Math.max(0, at)) + 1, 0);
  const equals = value.indexOf('=', from);
  const name = equals < 0 || at < equals ? '' : value.slice(from, equals).trim();
  return NAME.test(name) ? `cookie ${name}` : 'a cookie';
}
