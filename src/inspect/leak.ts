import type { Connection } from '../model/connection.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import type { Inspector } from '../model/ports.ts';
import type { Found, ScanFor, ScanPort } from '../model/scan.ts';
import { HeadText, type Place } from './leak-text.ts';
import { weigh } from './leak-weight.ts';
import { type Leak, leakFindings } from './leak-words.ts';

export interface LeakOptions {
  readonly scan: ScanPort;
  /** Whether this agent's requests are looked at (`agents.X.scan.requests`). */
  readonly wanted: (agent: string) => boolean;
  /** A host as rows and people see it. */
  readonly shownHost: (host: string) => string;
}

/** What gave no finding on a connection last time: keep-alive requests repeat themselves. */
interface Clean {
  host: string;
  authority: string | undefined;
  hostField: string | undefined;
  target: string | undefined;
  fields: readonly string[] | undefined;
}

const NONE: readonly Finding[] = [];
/** Shorter names hold no secret: the shortest known forms have 16 characters and more. */
const SHORTEST_HOST = 16;

/**
 * Secrets in what is known before anything is resolved or dialled: host name, method, path, query, header names and values,
 * cookies (product.md §7.2, §7.4). What repeats on a connection and gave no finding is not looked at again.
 */
export function leakInspector(options: LeakOptions): Inspector {
  const known = new WeakMap<Connection, Clean>();
  const text = new HeadText();
  return {
    id: 'scan',
    phase: 'request',
    inspect(exchange) {
      if (!options.wanted(exchange.identity.agent)) return NONE;
      const { connection, destination } = exchange;
      let clean = known.get(connection);
      if (clean === undefined || clean.host !== destination.host) {
        clean = {
          host: destination.host,
          authority: undefined,
          hostField: undefined,
          target: undefined,
          fields: undefined,
        };
        known.set(connection, clean);
      }
      const leaks = hostLeaks(options, exchange, clean);
      if (exchange.kind === 'exchange') headLeaks(options, exchange, clean, text, leaks);
      return leaks.length === 0 ? NONE : leakFindings(exchange, leaks, options.shownHost);
    },
  };
}

/** Inside a CONNECT the tunnel's own name has been looked at; a Host field that names another one has not. */
function hostLeaks(options: LeakOptions, exchange: Exchange, clean: Clean): Leak[] {
  const { request, connection, kind } = exchange;
  const inner = kind === 'exchange' && connection.via === 'connect';
  const leaks: Leak[] = [];
  if (!inner && clean.authority !== request.authority) {
    if (!hostLeak(options, request.authority, 'the host name', leaks)) clean.authority = request.authority;
  }
  const { hostField } = request;
  if (hostField !== undefined && hostField !== clean.hostField && hostField !== request.authority) {
    const outer = exchange.destination.host;
    const same = hostField === outer || hostField.startsWith(`${outer}:`);
    if (same || !hostLeak(options, hostField, 'the Host field', leaks)) clean.hostField = hostField;
  }
  return leaks;
}

/** A name is cut into labels and loses its case on the way; so it is read whole, joined, and as base32 that was lower-cased. */
function hostLeak(options: LeakOptions, name: string, place: string, leaks: Leak[]): boolean {
  if (name.length < SHORTEST_HOST) return false;
  const joined = name.replaceAll('.', '');
  const bytes = Buffer.from(`${name}\n${joined}\n${joined.toUpperCase()}\n`, 'latin1');
  const before = leaks.length;
  collect(options.scan, 'host', bytes, '', () => ({ text: place, kind: 'host' }), leaks);
  return leaks.length > before;
}

function headLeaks(options: LeakOptions, exchange: Exchange, clean: Clean, text: HeadText, leaks: Leak[]): void {
  const { request, destination } = exchange;
  const before = leaks.length;
  text.fill(request, clean.fields, clean.target);
  const { bytes } = text;
  if (bytes.length > 0)
    collect(options.scan, 'request', bytes, destination.host, (found) => text.placeOf(found), leaks);
  if (leaks.length > before) return;
  clean.fields = request.fields;
  clean.target = request.target;
}

function collect(
  scan: ScanPort,
  what: ScanFor,
  bytes: Uint8Array,
  host: string,
  placeOf: (found: Found) => Place,
  leaks: Leak[],
): void {
  for (const found of scan.scan(what, bytes).found) {
    const place = placeOf(found);
    const weight = weigh(found, place.kind, host);
    if (weight !== undefined) leaks.push({ found, weight, place: place.text, count: 1 });
  }
}
