import { hostPort } from '../model/destination.ts';
import { safe } from './context.ts';
import { amount, many } from './receipt-words.ts';
import type { Entry, List } from './suggest-list.ts';
import type { Place } from './suggest-place.ts';
import { hoursText, pathShapes } from './suggest-shape.ts';
import type { Stopped } from './suggest-stopped.ts';
import { span } from './table.ts';
import { utcDay } from './time.ts';

/** Everything that is said of one agent. Times epoch ms. */
export interface Suggestion extends List {
  /** The state of the baseline, stated, where a collector runs. */
  readonly sentence?: string;
  readonly requests: number;
  readonly learned: number;
  readonly locked: boolean;
  readonly firstSeen: number;
  readonly lastNewAt: number;
  readonly stopped: Stopped;
}

/** What all of them share. */
export interface Frame {
  readonly now: number;
  readonly since: number;
  /** What the form can express of an exchange. */
  readonly by: string;
  /** What was typed, to be typed again. */
  readonly command: string;
  /** The configuration file in use, or the word that stands for one. */
  readonly config: string;
}

/** `412 requests, first 12 Nov, last today, GET POST, 2.9 MB out, /v1/messages, 08–18 UTC`. */
export function evidence(places: readonly Place[], now: number): string {
  const sum = (of: (place: Place) => number): number => places.reduce((n, place) => n + of(place), 0);
  const accepted = places.every(({ status }) => status === 'accepted') ? 'accepted, ' : '';
  const count = sum((place) => place.count);
  if (count === 0) return `${accepted}nothing was sent yet`;
  const methods = [...new Set(places.flatMap((place) => place.methods))].sort();
  const parts = [
    `${accepted}${many(count, 'request')}`,
    `first ${utcDay(Math.min(...places.map((place) => place.firstSeen)), now)}`,
    `last ${utcDay(Math.max(...places.map((place) => place.lastSeen)), now)}`,
    methods.map((method) => (method === '_OTHER' ? 'others' : safe(method, 32))).join(' '),
    `${amount(sum((place) => place.requestBytes))} out`,
    shapes(places),
    // A few requests have no hours of their own.
    count < OFTEN ? '' : hoursText(places.reduce((all, { hours }) => all | hours, 0)),
  ];
  return parts.filter((part) => part !== '').join(', ');
}

const OFTEN = 20;

function shapes(places: readonly Place[]): string {
  if (places.some(({ heads, shapes }) => (heads ?? shapes) === undefined)) return '';
  const named = pathShapes([...new Set(places.flatMap(({ heads, shapes = [] }) => heads ?? shapes))]);
  return named.map((shape) => safe(shape, 80)).join(' ');
}

/** What a reviewer should see beside the evidence: whose tenants, and what was found although it is in the baseline. */
export function remarks({ places, tenants }: Entry): string[] {
  const found = new Map(places.flatMap((place) => place.findings).map((one) => [one.rule, one]));
  return [
    ...(tenants.length === 0 ? [] : [`writes to ${named(tenants)}`]),
    ...Array.from(found.values(), ({ message, count }) => `look: ${safe(message, 160)} (${many(count, 'time')})`),
  ];
}

const NAMED = 5;

/** The first few of many names. */
export function named(names: readonly string[]): string {
  const shown = names.slice(0, NAMED).map((name) => safe(name, 80));
  return `${shown.join(', ')}${names.length > NAMED ? ` and ${names.length - NAMED} more` : ''}`;
}

/** What stands above everything: where it comes from and what to type next. `next` are the commands of the form. */
export function heading(frame: Frame, next: readonly string[]): string[] {
  return [
    `${frame.command}: what the baseline implies, written ${utcDay(frame.now, Number.NaN)}.`,
    'Read it like a change somebody proposes: every line says why it is there, lines commented out need a decision.',
    ...next,
  ];
}

/** What stands above the lines of one agent: how long it was watched, its state, what the list would have stopped. */
export function agentHeading(s: Suggestion, { now, since, by }: Frame): string[] {
  const last = s.learned === 0 ? '' : `, last new one ${lapse(now - s.lastNewAt)} ago`;
  const counted = `${s.agent}: ${many(s.requests, 'request')}, ${many(s.learned, 'destination')}${last}${s.locked ? ', locked' : ''}`;
  return [
    safe(s.sentence ?? counted, 300),
    `Watched since ${utcDay(s.firstSeen, now)} (${lapse(now - s.firstSeen)}).`,
    ...stoppedWords(s, now - since, by),
    ...(s.entries.some(({ methods }) => methods.length > 0)
      ? [
          'Lines with methods or paths hold where Weir reads the exchange: in a tunnel neither is seen, and they allow nothing.',
        ]
      : []),
    ...(s.tenants.length === 0 ? [] : [`Also writes to ${named(s.tenants)}.`]),
  ];
}

function stoppedWords({ entries, stopped: s }: Suggestion, window: number, by: string): string[] {
  if (entries.length === 0) return ['Nothing is certain enough for a list yet, and without one everything is allowed.'];
  const of = `the last ${lapse(window)}`;
  if (s.exchanges === 0) return [`No exchange of ${of} is recorded to hold this list against.`];
  const head = `Of ${many(s.exchanges, 'exchange')} in ${of} this list would have stopped ${s.stopped} (by ${by})`;
  const worst = s.examples.map(({ destination, count }) => `${safe(destination, 80)} ${count}`).join(', ');
  return [
    `${head}${worst === '' ? '.' : `: ${worst}${s.examples.reduce((n, e) => n + e.count, 0) + s.ignored < s.stopped ? ', …' : ''}.`}`,
    ...(s.ignored === 0
      ? []
      : [`${s.ignored} of them went to destinations that are ignored, which are never suggested.`]),
  ];
}

/** The pattern and port of an entry as people write it. */
export function placeText({ host, port }: { readonly host: string; readonly port: number }): string {
  return hostPort(safe(host, 260), port);
}

/** `30 d`, `8 d 3 h`. */
function lapse(ms: number): string {
  return span(ms).replace(/ 0 (?:h|min)$/, '');
}
