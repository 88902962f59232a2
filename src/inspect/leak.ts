import type { Connection } from '../model/connection.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Cut, Finding } from '../model/finding.ts';
import type { HostSet } from '../model/glob.ts';
import { Pieces } from '../model/pieces.ts';
import type { Inspector } from '../model/ports.ts';
import type { Scanned, ScanPort } from '../model/scan.ts';
import type { LeakRules } from './leak-rules.ts';
import { headPieces, splitPlace } from './leak-split.ts';
import { HeadText, labelOf } from './leak-text.ts';
import { mayGo } from './leak-weight.ts';
import { INCOMING, type Leak, leakFindings, OUTGOING, unscannedHead } from './leak-words.ts';

export interface LeakOptions {
  readonly scan: ScanPort;
  readonly rules: LeakRules;
  /** Whether this agent's requests are looked at (`agents.X.scan.requests`). */
  readonly wanted: (agent: string) => boolean;
  /** What a head asks for that holds too much to be looked at (product.md §3); absent = flag. */
  readonly unscanned?: (agent: string) => 'flag' | 'block';
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

type Unread = NonNullable<Scanned['unscanned']>;
const NONE: readonly Finding[] = [];
const NO_HOME: HostSet = { empty: true, has: () => false };
/** Filled anew for every head. */
const PIECES = new Pieces<Pick<Cut, 'part' | 'start' | 'end'>>();
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
      const unread = exchange.kind === 'exchange' ? headLeaks(options, exchange, clean, text, leaks) : undefined;
      const findings = leaks.length === 0 ? NONE : leakFindings(exchange, leaks, options.shownHost);
      return unread === undefined ? findings : [...findings, unscanned(options, exchange, 'request', unread)];
    },
  };
}

/** Inside a CONNECT the tunnel's own name has been looked at; a Host field that names another one has not. */
function hostLeaks(options: LeakOptions, exchange: Exchange, clean: Clean): Leak[] {
  const { request, connection, kind } = exchange;
  const inner = kind === 'exchange' && connection.via === 'connect';
  const leaks: Leak[] = [];
  if (!inner && clean.authority !== request.authority) {
    if (!hostLeak(options, exchange, request.authority, 'the host name', leaks)) clean.authority = request.authority;
  }
  const { hostField } = request;
  if (hostField !== undefined && hostField !== clean.hostField && hostField !== request.authority) {
    const outer = exchange.destination.host;
    const same = hostField === outer || hostField.startsWith(`${outer}:`);
    if (same || !hostLeak(options, exchange, hostField, 'the Host field', leaks)) clean.hostField = hostField;
  }
  return leaks;
}

/** A name is cut into labels and loses its case on the way; so it is read whole, joined, and as base32 that was lower-cased. */
function hostLeak(options: LeakOptions, exchange: Exchange, name: string, place: string, leaks: Leak[]): boolean {
  if (name.length < SHORTEST_HOST) return false;
  const joined = name.replaceAll('.', '');
  const bytes = Buffer.from(`${name}\n${joined}\n${joined.toUpperCase()}\n`, 'latin1');
  const before = leaks.length;
  for (const found of options.scan.scan('host', bytes).found) {
    // A name is never its own home, and cannot be changed.
    const weight = options.rules.weigh({ ...found, home: NO_HOME }, 'host', exchange);
    if (weight !== undefined) leaks.push({ found, weight, place, count: 1 });
  }
  return leaks.length > before;
}

function unscanned(
  { unscanned: asks }: Pick<LeakOptions, 'unscanned'>,
  { identity }: Exchange,
  direction: 'request' | 'response',
  cause: Unread,
): Finding {
  return unscannedHead(direction, cause, asks?.(identity.agent) ?? 'flag');
}

/** Why not all of it was looked at; undefined = it was. */
function headLeaks(
  options: LeakOptions,
  exchange: Exchange,
  clean: Clean,
  text: HeadText,
  leaks: Leak[],
): Unread | undefined {
  const { request } = exchange;
  const before = leaks.length;
  const { fields, hostField, method, target } = request;
  text.fill({ fields, hostField, method, target, of: 'request' }, clean.fields, clean.target);
  const unread = collect(options, exchange, text, 'request', leaks);
  if (leaks.length === before) splitLeaks(options, exchange, text, leaks);
  if (leaks.length > before || unread !== undefined) return unread;
  clean.fields = request.fields;
  clean.target = request.target;
  return undefined;
}

/** Secrets that were cut into several values, when there is anything new among them. */
function splitLeaks({ scan, rules }: LeakOptions, exchange: Exchange, text: HeadText, leaks: Leak[]): void {
  if (text.empty) return;
  const { target, fields } = exchange.request;
  headPieces(PIECES, scan, target, fields);
  const { bytes } = PIECES;
  if (bytes.length === 0) return;
  for (const { found, places } of PIECES.cutUp(scan.scan('request', bytes).found)) {
    const weight = rules.weigh(found, 'request', exchange);
    if (weight === undefined) continue;
    const label = labelOf(found.label);
    const located = places.map((at) => ({ ...at, label: at.part === 'target' ? encodeURIComponent(label) : label }));
    leaks.push({ found, weight, place: splitPlace(places, target, fields), count: 1, located });
  }
}

/** What the text of a head holds, with the places to cut. Returns why not all of it was looked at. */
function collect(
  { scan, rules }: Pick<LeakOptions, 'scan' | 'rules'>,
  exchange: Exchange,
  text: HeadText,
  what: 'request' | 'response',
  leaks: Leak[],
): Unread | undefined {
  if (text.empty) return undefined;
  const scanned = scan.scan(what, text.bytes);
  for (const found of scanned.found) {
    const place = text.placeOf(found);
    const weight = rules.weigh(found, place.kind, exchange);
    if (weight === undefined) continue;
    // What a session or a gateway lives on is flagged and stays, whoever asks for it to go.
    const cut = weight.disposition === 'flag' && !mayGo(place.kind) ? undefined : text.cutOf(found);
    leaks.push({ found, weight, place: place.text, count: 1, ...(cut === undefined ? {} : { located: [cut] }) });
  }
  return scanned.unscanned;
}

/**
 * Secrets and instructions in the head of a response, before it goes on. Fields that came the same way with the response before
 * on this connection, and gave no finding, are not looked at again.
 */
export function responseHeadInspector(options: LeakOptions): Inspector {
  const known = new WeakMap<Connection, { readonly host: string; readonly fields: readonly string[] }>();
  const text = new HeadText();
  return {
    id: 'scan-response',
    phase: 'response',
    inspect(exchange) {
      const { connection, destination, responseFields: fields } = exchange;
      if (fields === undefined || !options.wanted(exchange.identity.agent)) return NONE;
      const before = known.get(connection);
      text.fill({ fields, of: 'response' }, before?.host === destination.host ? before.fields : undefined, undefined);
      const leaks: Leak[] = [];
      const unread = collect(options, exchange, text, 'response', leaks);
      const findings = leaks.length === 0 ? NONE : leakFindings(exchange, leaks, options.shownHost, INCOMING);
      if (unread !== undefined) return [...findings, unscanned(options, exchange, 'response', unread)];
      if (leaks.length === 0) known.set(connection, { host: destination.host, fields });
      return findings;
    },
  };
}

/** Secrets in trailers, before they go on. */
export function trailerFindings(
  options: Omit<LeakOptions, 'wanted'>,
  exchange: Exchange,
  direction: 'request' | 'response',
  fields: readonly string[],
): readonly Finding[] {
  const text = new HeadText();
  text.fill({ fields, of: direction === 'request' ? 'trailer' : 'response-trailer' }, undefined, undefined);
  const leaks: Leak[] = [];
  const unread = collect(options, exchange, text, direction, leaks);
  const inspector = direction === 'request' ? OUTGOING : INCOMING;
  const findings = leaks.length === 0 ? NONE : leakFindings(exchange, leaks, options.shownHost, inspector);
  return unread === undefined ? findings : [...findings, unscanned(options, exchange, direction, unread)];
}
