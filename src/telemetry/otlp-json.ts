import type { Link } from '@opentelemetry/api';
import type { ExchangeRecord } from '../model/record.ts';
import { ATTR } from './semconv.ts';
import { errorType, KIND_CLIENT, linksOf, putAttributes, spanName, statusOf } from './span.ts';

/** Distinct strings whose JSON is remembered; agents, hosts and words of ours come again and again. */
const QUOTED = 4096;
const QUOTED_LENGTH = 128;
/** Values that hardly ever come again. */
const UNIQUE: ReadonlySet<string> = new Set([
  ATTR.EXCHANGE_ID,
  ATTR.CONNECTION_ID,
  ATTR.URL_FULL,
  ATTR.STRATHON_HTTP_URL,
]);
/** Span flags of OTLP: sampled, "is remote" is known; and it is remote. */
const FLAGS_LOCAL = 0x101;
const FLAGS_REMOTE = 0x301;

type Value = string | number | boolean | string[];

/** Epoch milliseconds as nanoseconds in decimal: what the SDK makes of `hrTime` with big integers. */
export function unixNano(ms: number): string {
  let seconds = Math.floor(ms / 1000);
  let nanos = Math.round((ms - seconds * 1000) * 1e6);
  if (nanos >= 1e9) {
    seconds++;
    nanos -= 1e9;
  }
  return seconds > 0 ? `${seconds}${String(1e9 + nanos).slice(1)}` : String(nanos);
}

function createQuote(): (text: string) => string {
  const known = new Map<string, string>();
  return (text) => {
    if (text.length > QUOTED_LENGTH) return JSON.stringify(text);
    const before = known.get(text);
    if (before !== undefined) return before;
    const quoted = JSON.stringify(text);
    if (known.size >= QUOTED) known.clear();
    known.set(text, quoted);
    return quoted;
  };
}

/** `{"key":…,"value":{…}}` of one attribute, as the SDK writes it. */
function createAttribute(quote: (text: string) => string): (name: string, value: Value) => string {
  const keys = new Map<string, string>();
  const keyOf = (name: string): string => {
    const key = `{"key":${JSON.stringify(name)},"value":{"`;
    keys.set(name, key);
    return key;
  };
  return (name, value) => {
    const key = keys.get(name) ?? keyOf(name);
    if (typeof value === 'string') {
      return `${key}stringValue":${UNIQUE.has(name) ? JSON.stringify(value) : quote(value)}}}`;
    }
    if (typeof value === 'boolean') return `${key}boolValue":${value}}}`;
    if (typeof value === 'number') {
      if (Number.isInteger(value)) return `${key}intValue":${value}}}`;
      return `${key}doubleValue":${Number.isFinite(value) ? value : null}}}`;
    }
    const values = value.map((item) => `{"stringValue":${quote(item)}}`);
    return `${key}arrayValue":{"values":[${values.join(',')}]}}}`;
  };
}

function linkText({ context }: Link): string {
  const flags = context.isRemote === true ? FLAGS_REMOTE : FLAGS_LOCAL;
  const ids = `"spanId":${JSON.stringify(context.spanId)},"traceId":${JSON.stringify(context.traceId)}`;
  return `{"attributes":[],${ids},"droppedAttributesCount":0,"flags":${flags}}`;
}

/**
 * The attributes of a record as the inside of a JSON array. Most are those of the record before, so its text is kept and
 * what did not change is copied from there in whole runs.
 */
function createAttributes(quote: (text: string) => string): (record: ExchangeRecord, error?: string) => string {
  const attribute = createAttribute(quote);
  // Of the record before: names, values and lengths in `last`, by position.
  const names: string[] = [];
  const values: Value[] = [];
  const lengths: number[] = [];
  let last = '';
  let text = '';
  let count = 0;
  // Where in `last` the run begins that is not copied yet, and where it ends so far.
  let from = 0;
  let to = 0;
  const put = (name: string, value: Value | undefined): void => {
    if (value === undefined) return;
    const i = count++;
    const length = lengths[i] ?? 0;
    if (values[i] === value && names[i] === name) {
      to += length;
      return;
    }
    if (to > from) text += last.slice(from, to);
    to += length;
    from = to;
    const piece = i === 0 ? attribute(name, value) : `,${attribute(name, value)}`;
    text += piece;
    names[i] = name;
    values[i] = value;
    lengths[i] = piece.length;
  };
  return (record, error) => {
    text = '';
    count = from = to = 0;
    putAttributes(put, record, error);
    if (to > from) text += last.slice(from, to);
    names.length = values.length = lengths.length = count;
    last = text;
    return text;
  };
}

/** Bytes that grow as they are written. */
export interface Sheet {
  bytes: Buffer;
  length: number;
}

export function write(sheet: Sheet, text: string): void {
  // A character of a string is at most three bytes of UTF-8.
  const needed = sheet.length + text.length * 3;
  if (needed > sheet.bytes.length) {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, sheet.bytes.length * 2));
    sheet.bytes.copy(larger, 0, 0, sheet.length);
    sheet.bytes = larger;
  }
  sheet.length += sheet.bytes.write(text, sheet.length);
}

/**
 * Writes spans of closed records as OTLP/JSON: byte for byte what the SDK's serializer makes of `toSpan`, in a third of the
 * time and without two objects per attribute.
 */
export function createSpanWriter(): (record: ExchangeRecord, sheet: Sheet) => void {
  const quote = createQuote();
  const attributesOf = createAttributes(quote);
  return (record, sheet) => {
    const error = errorType(record);
    const { code, message } = statusOf(record, error);
    const parent = record.parentSpanId;
    const start = unixNano(record.startedAt);
    const end = unixNano(record.startedAt + record.durationMs);
    const ids = `{"traceId":${JSON.stringify(record.traceId)},"spanId":${JSON.stringify(record.spanId)},`;
    const above = parent === undefined ? '' : `"parentSpanId":${JSON.stringify(parent)},`;
    const what = `"name":${quote(spanName(record))},"kind":${KIND_CLIENT + 1},`;
    write(sheet, `${ids}${above}${what}"startTimeUnixNano":"${start}","endTimeUnixNano":"${end}","attributes":[`);
    write(sheet, attributesOf(record, error));
    const status = message === undefined ? `${code}` : `${code},"message":${quote(message)}`;
    const links = linksOf(record).map(linkText).join(',');
    const flags = parent === undefined ? FLAGS_LOCAL : FLAGS_REMOTE;
    const rest = `],"droppedAttributesCount":0,"events":[],"droppedEventsCount":0,"status":{"code":${status}},`;
    write(sheet, `${rest}"links":[${links}],"droppedLinksCount":0,"flags":${flags}}`);
  };
}
