import { Duration, Failure, Timestamp } from './cel-value.ts';

const SECOND = 1_000_000_000n;
/** 0001-01-01T00:00:00Z and the last nanosecond of 9999 (google/protobuf/timestamp.proto). */
const FIRST = -62_135_596_800n * SECOND;
const LAST = 253_402_300_800n * SECOND - 1n;
/** CEL durations are 64-bit nanoseconds (cel-spec, langdef "Timestamp and duration"). */
const LONGEST = 9_223_372_036_854_775_807n;

/** A Failure outside the years 1 to 9999. */
export function timestamp(ns: bigint): Timestamp | Failure {
  return ns < FIRST || ns > LAST ? new Failure('value', 'the timestamp is out of range') : new Timestamp(ns);
}

/** A Failure when it does not fit into 64 bits of nanoseconds. */
export function duration(ns: bigint): Duration | Failure {
  return ns < -LONGEST || ns > LONGEST ? new Failure('value', 'the duration is out of range') : new Duration(ns);
}

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))$/i;

export function parseTimestamp(text: string): Timestamp | Failure {
  const wrong = new Failure('value', 'timestamp() wants RFC 3339, like 2026-07-01T00:00:00Z');
  const parts = RFC3339.exec(text);
  if (parts === null) return wrong;
  const [year, month, day, hour, minute, second] = parts.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  // A day that rolls over (30 February) is no date.
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day || hour > 23 || minute > 59 || second > 59) {
    return wrong;
  }
  const offset = parts[8] === undefined ? 0 : (Number(parts[9]) * 60 + Number(parts[10])) * (parts[8] === '-' ? -1 : 1);
  const seconds = date.getTime() / 1000 + hour * 3600 + minute * 60 + second - offset * 60;
  return timestamp(BigInt(seconds) * SECOND + BigInt((parts[7] ?? '').padEnd(9, '0')));
}

export function formatTimestamp({ ns }: Timestamp): string {
  const [seconds, nanos] = split(ns);
  const base = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  const fraction = nanos === 0n ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`;
  return `${base}${fraction}Z`;
}

const UNITS: ReadonlyMap<string, bigint> = new Map([
  ['h', 3600n * SECOND],
  ['m', 60n * SECOND],
  ['s', SECOND],
  ['ms', 1_000_000n],
  ['us', 1000n],
  ['µs', 1000n],
  ['ns', 1n],
]);

/** Go's duration syntax: `1h30m`, `-1.5s`. */
export function parseDuration(text: string): Duration | Failure {
  const wrong = new Failure('value', 'duration() wants a text like 1h30m or 24h or 1.5s');
  const negative = text.startsWith('-');
  let rest = negative || text.startsWith('+') ? text.slice(1) : text;
  if (rest === '0') return new Duration(0n);
  if (rest === '' || rest.length > 64) return wrong;
  let total = 0n;
  while (rest !== '') {
    const part = /^(\d*)(?:\.(\d*))?(ns|us|µs|ms|s|m|h)/.exec(rest);
    if (part === null || (part[1] === '' && (part[2] ?? '') === '')) return wrong;
    const unit = UNITS.get(part[3] as string) as bigint;
    const fraction = (part[2] ?? '').slice(0, 15);
    total += BigInt(part[1] || '0') * unit + (BigInt(fraction || '0') * unit) / 10n ** BigInt(fraction.length);
    rest = rest.slice(part[0].length);
  }
  return duration(negative ? -total : total);
}

export function formatDuration({ ns }: Duration): string {
  const magnitude = ns < 0n ? -ns : ns;
  const [seconds, nanos] = split(magnitude);
  const fraction = nanos === 0n ? '' : `.${String(nanos).padStart(9, '0').replace(/0+$/, '')}`;
  return `${ns < 0n ? '-' : ''}${seconds}${fraction}s`;
}

/** Floor division: nanoseconds are never negative. */
function split(ns: bigint): [bigint, bigint] {
  const nanos = ((ns % SECOND) + SECOND) % SECOND;
  return [(ns - nanos) / SECOND, nanos];
}

/** Fields of a wall clock, as a Date whose UTC getters show local time. */
type Getter = (local: Date) => number;
const DAY = 86_400_000;

/** Sunday is 0, January is 0, getDayOfMonth is 0-based and getDate 1-based (strathon-compat §1.6 f). */
const GETTERS: ReadonlyMap<string, Getter> = new Map([
  ['getFullYear', (d) => d.getUTCFullYear()],
  ['getMonth', (d) => d.getUTCMonth()],
  ['getDate', (d) => d.getUTCDate()],
  ['getDayOfMonth', (d) => d.getUTCDate() - 1],
  ['getDayOfWeek', (d) => d.getUTCDay()],
  ['getDayOfYear', (d) => Math.floor((d.getTime() - new Date(d).setUTCMonth(0, 1)) / DAY)],
  ['getHours', (d) => d.getUTCHours()],
  ['getMinutes', (d) => d.getUTCMinutes()],
  ['getSeconds', (d) => d.getUTCSeconds()],
  ['getMilliseconds', (d) => d.getUTCMilliseconds()],
]);

/** Reads one field of a timestamp, in UTC or in a zone. */
export type TimestampField = (time: Timestamp, zone: string | undefined) => bigint | Failure;

/** undefined when there is no such getter. */
export function timestampField(name: string): TimestampField | undefined {
  const getter = GETTERS.get(name);
  return getter === undefined ? undefined : (time, zone) => read(getter, time, zone);
}

function read(getter: Getter, time: Timestamp, zone: string | undefined): bigint | Failure {
  if (zone === undefined) return BigInt(getter(time.date));
  const ms = time.date.getTime();
  const offset = offsetOf(zone, ms);
  return offset === undefined
    ? new Failure('value', 'the time zone is not known; write it like Europe/Berlin or +02:00')
    : BigInt(getter(new Date(ms + offset)));
}

const WHOLE: ReadonlyMap<string, bigint> = new Map([
  ['getHours', 3600n * SECOND],
  ['getMinutes', 60n * SECOND],
  ['getSeconds', SECOND],
]);

/** The whole duration in that unit, except getMilliseconds: the part below a second (cel-spec, "getMilliseconds"). */
export function durationField(name: string, { ns }: Duration): bigint | undefined {
  if (name === 'getMilliseconds') return (ns % SECOND) / 1_000_000n;
  const unit = WHOLE.get(name);
  return unit === undefined ? undefined : ns / unit;
}

/** Formatters cost 50 µs to make; zones may be computed, so there is a bound. */
const formats = new Map<string, Intl.DateTimeFormat | undefined>();
const MAX_FORMATS = 64;

/** Milliseconds to add to UTC, undefined for an unknown zone. */
function offsetOf(zone: string, ms: number): number | undefined {
  const fixed = /^([+-]?)(\d\d):(\d\d)$/.exec(zone);
  if (fixed !== null) return (Number(fixed[2]) * 60 + Number(fixed[3])) * 60_000 * (fixed[1] === '-' ? -1 : 1);
  if (zone === 'UTC') return 0;
  const format = formatOf(zone);
  if (format === undefined) return undefined;
  const part = new Map(format.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
  const local = new Date(0);
  local.setUTCFullYear(part.get('year') as number, (part.get('month') as number) - 1, part.get('day') as number);
  local.setUTCHours(part.get('hour') as number, part.get('minute') as number, part.get('second') as number);
  return local.getTime() - Math.floor(ms / 1000) * 1000;
}

function formatOf(zone: string): Intl.DateTimeFormat | undefined {
  if (formats.has(zone)) return formats.get(zone);
  let format: Intl.DateTimeFormat | undefined;
  try {
    const field = 'numeric';
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: field,
      month: field,
      day: field,
      hour: field,
      minute: field,
      second: field,
    });
  } catch {
    format = undefined;
  }
  if (formats.size >= MAX_FORMATS) formats.delete(formats.keys().next().value as string);
  if (zone.length <= 64) formats.set(zone, format);
  return format;
}
