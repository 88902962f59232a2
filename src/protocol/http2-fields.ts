import { constants, type OutgoingHttpHeaders, sensitiveHeaders } from 'node:http2';
import type { Answer } from '../model/answer.ts';
import type { Connection } from '../model/connection.ts';
import { type Destination, hostPort } from '../model/destination.ts';
import type { RequestFacts } from '../model/exchange.ts';
import type { HeadEdits } from '../model/ports.ts';

/** Field list as `node:http2` gives and takes it: flat [name, value, …], with never-indexed names beside it (RFC 7541 §7.1.3). */
export type RawFields = string[] & { [sensitiveHeaders]?: string[]; host?: string };

export const END_STREAM = constants.NGHTTP2_FLAG_END_STREAM;

/** Meant for a proxy, or naming the agent to Weir: never for the upstream (product.md §4 "The headers are removed"). */
const REMOVED = new Set(['proxy-authorization', 'proxy-connection', 'x-weir-agent', 'x-oktsec-agent']);

/** Index of the first regular field: pseudo-header fields come first (RFC 9113 §8.3; nghttp2 refuses anything else). */
export function regularFrom(raw: readonly string[]): number {
  let i = 0;
  while (i < raw.length && (raw[i] as string).charCodeAt(0) === 0x3a) i += 2;
  return i;
}

/** What the corridor judges: pseudo-header fields named, regular fields flat in order. */
export function requestFacts(raw: readonly string[], connection: Connection, scheme: 'http' | 'https'): RequestFacts {
  const regular = regularFrom(raw);
  let method = '';
  let path = '';
  let authority: string | undefined;
  let upgrade: string | undefined;
  for (let i = 0; i < regular; i += 2) {
    const value = raw[i + 1] as string;
    switch (raw[i]) {
      case ':method':
        method = value;
        break;
      case ':path':
        path = value;
        break;
      case ':authority':
        authority = value;
        break;
      case ':protocol':
        upgrade = value;
        break;
    }
  }
  let host: string | undefined;
  for (let i = regular; i < raw.length; i += 2) {
    if (raw[i] === 'host') host = raw[i + 1];
  }
  const outer = connection.authority;
  const hostField = outer === undefined ? (authority ?? host) : tellingHost(authority, host, outer);
  return {
    method,
    scheme,
    authority: outer === undefined ? (hostField ?? '') : hostPort(outer.host, outer.port),
    ...(hostField === undefined ? {} : { hostField }),
    target: path,
    protocol: '2',
    fields: raw.slice(regular),
    ...(upgrade === undefined ? {} : { upgrade }),
  };
}

/** `:authority` and Host should agree (RFC 9113 §8.3.1). When they do not, the one that is not the connection's is judged. */
function tellingHost(authority: string | undefined, host: string | undefined, outer: Destination): string | undefined {
  if (authority === undefined || host === undefined || host === authority) return authority ?? host;
  return names(authority, outer) ? host : authority;
}

function names(field: string, { host, port }: Destination): boolean {
  const bare = host.includes(':') ? `[${host}]` : host;
  const plain = field.toLowerCase();
  return plain === bare || plain === `${bare}:${port}`;
}

/**
 * The request fields as they go upstream: the very array when nothing is to be removed. Pseudo-header order, duplicates
 * and never-indexed marks are kept.
 */
export function upstreamFields(raw: RawFields, headers: object): RawFields {
  let fields = raw;
  for (let i = raw.length - 2; i >= 0; i -= 2) {
    if (!REMOVED.has(raw[i] as string)) continue;
    if (fields === raw) fields = [...raw] as RawFields;
    fields.splice(i, 2);
  }
  marked(fields, headers);
  // Without this property Node adds an `:authority` of its own to a request that names its host in Host only.
  if (!fields.includes(':authority')) fields.host = '';
  return fields;
}

/** Value of the first field of this name (lower-case). */
export function fieldOf(raw: readonly string[], name: string): string | undefined {
  for (let i = 0; i < raw.length; i += 2) if (raw[i] === name) return raw[i + 1];
  return undefined;
}

/** A copy with what was found in it taken out: `values` counts regular fields only, as the corridor saw them. */
export function editedFields(raw: RawFields, edits: HeadEdits): RawFields {
  const fields = [...raw] as RawFields;
  const regular = regularFrom(raw);
  if (edits.target !== undefined) {
    for (let i = 0; i < regular; i += 2) if (raw[i] === ':path') fields[i + 1] = edits.target;
  }
  for (const [index, value] of edits.values ?? []) fields[regular + 2 * index + 1] = value;
  return fields;
}

/** A copy with new values of fields of this name, or without them. */
export function withField(raw: RawFields, name: string, value: string | undefined): RawFields {
  const fields = [] as string[] as RawFields;
  for (let i = 0; i < raw.length; i += 2) {
    if (raw[i] !== name) fields.push(raw[i] as string, raw[i + 1] as string);
    else if (value !== undefined) fields.push(name, value);
  }
  return fields;
}

/** Trailers (flat) with new values by index. */
export function editedTrailers(
  raw: readonly string[],
  values: ReadonlyMap<number, string> | undefined,
): readonly string[] {
  if (values === undefined) return raw;
  const fields = [...raw];
  for (const [index, value] of values) fields[2 * index + 1] = value;
  return fields;
}

/** Carries the never-indexed marks of a received field object over to its raw array. */
export function marked(fields: RawFields, headers: object): RawFields {
  const sensitive = (headers as { [sensitiveHeaders]?: string[] })[sensitiveHeaders];
  if (sensitive !== undefined && sensitive.length > 0) fields[sensitiveHeaders] = [...sensitive];
  return fields;
}

/**
 * Trailers and 1xx fields, for which Node takes objects only: names in order of first appearance, duplicates together.
 * Null prototype, because the names come from the network.
 */
export function fieldObject(raw: readonly string[]): OutgoingHttpHeaders {
  const fields: Record<string, string | string[]> = Object.create(null);
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    const known = fields[name];
    if (known === undefined) fields[name] = value;
    else if (typeof known === 'string') fields[name] = [known, value];
    else known.push(value);
  }
  return fields;
}

/** Our own answer as HTTP/2 fields (RFC 9113 §8.2.2: no connection-specific ones). */
export function answerFields(answer: Answer): string[] {
  const fields = [':status', String(answer.status)];
  for (const [name, value] of answer.headers) {
    const lower = name.toLowerCase();
    if (lower !== 'connection' && lower !== 'keep-alive' && lower !== 'proxy-connection') fields.push(lower, value);
  }
  return fields;
}
