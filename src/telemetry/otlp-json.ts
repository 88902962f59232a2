import type { Link } from '@opentelemetry/api';
import type { RunRecord } from '../model/record.ts';
import type { Sheet } from '../model/sheet.ts';
import { putDirect } from './run-span.ts';
import { DIRECT_CONNECTION } from './semconv.ts';
import { DEFAULT_SHAPE, type SpanShape } from './shape.ts';
import {
  endOf,
  KIND_CLIENT,
  KIND_INTERNAL,
  linksOf,
  type Put,
  putAttributes,
  type SpanRecord,
  spanError,
  spanName,
  statusOf,
} from './span.ts';

const raw = (text: string): Uint8Array => Buffer.from(text);

/** Span flags of OTLP: sampled, "is remote" is known; and it is remote. */
const FLAGS_LOCAL = 257;
const FLAGS_REMOTE = 769;

const COMMA = raw(',');
const TRACE = raw('{"traceId":');
const SPAN = raw(',"spanId":');
const PARENT = raw(',"parentSpanId":');
const NAME = raw(',"name":');
const START = raw(`,"kind":${KIND_CLIENT + 1},"startTimeUnixNano":"`);
const RUN_START = raw(`,"kind":${KIND_INTERNAL + 1},"startTimeUnixNano":"`);
const END = raw('","endTimeUnixNano":"');
const ATTRIBUTES = raw('","attributes":[');
// What the SDK writes of what our spans do not have.
const EVENTS = raw('],"droppedAttributesCount":0,"events":[');
const STATUS = raw('],"droppedEventsCount":0,"status":{"code":');
const NO_EVENTS = Buffer.concat([EVENTS, STATUS]);
const EVENT = raw('{"attributes":[');
const EVENT_TIME = raw(`],"name":${JSON.stringify(DIRECT_CONNECTION)},"timeUnixNano":"`);
const EVENT_END = raw('","droppedAttributesCount":0}');
const MESSAGE = raw(',"message":');
const LINKS = raw('},"links":[');
const LINK_SPAN = raw('{"attributes":[],"spanId":');
const LINK_TRACE = raw(',"traceId":');
const LINK_LOCAL = raw(`,"droppedAttributesCount":0,"flags":${FLAGS_LOCAL}}`);
const LINK_REMOTE = raw(`,"droppedAttributesCount":0,"flags":${FLAGS_REMOTE}}`);
const LOCAL = raw(`],"droppedLinksCount":0,"flags":${FLAGS_LOCAL}}`);
const REMOTE = raw(`],"droppedLinksCount":0,"flags":${FLAGS_REMOTE}}`);
const VALUE_END = raw('}}');
const VALUES_END = raw(']}}}');
const ITEM = raw('{"stringValue":');
const NEXT_ITEM = raw('},{"stringValue":');

type Value = string | number | boolean | string[];

/** Epoch milliseconds as nanoseconds in decimal: what the SDK makes of `hrTime` with big integers. */
export function writeNanos(sheet: Sheet, ms: number): void {
  let seconds = Math.floor(ms / 1000);
  let nanos = Math.round((ms - seconds * 1000) * 1e6);
  if (nanos >= 1e9) {
    seconds++;
    nanos -= 1e9;
  }
  if (seconds > 0) {
    sheet.ascii(String(seconds));
    sheet.digits(nanos, 9);
  } else sheet.ascii(String(nanos));
}

/** `{"key":…,"value":{"…Value":` of attributes by name; names are ours and few. */
function createKeys(kind: string): (name: string) => Uint8Array {
  const keys = new Map<string, Uint8Array>();
  return (name) => {
    const known = keys.get(name);
    if (known !== undefined) return known;
    const key = raw(`{"key":${JSON.stringify(name)},"value":{"${kind}Value":`);
    keys.set(name, key);
    return key;
  };
}
const stringKey = createKeys('string');
const boolKey = createKeys('bool');
const intKey = createKeys('int');
const doubleKey = createKeys('double');
const arrayKey = createKeys('array');

function writeList(sheet: Sheet, name: string, values: readonly string[]): void {
  sheet.raw(arrayKey(name));
  sheet.ascii('{"values":[');
  for (let i = 0; i < values.length; i++) {
    sheet.raw(i === 0 ? ITEM : NEXT_ITEM);
    sheet.string(values[i] as string);
  }
  if (values.length > 0) sheet.ascii('}');
  sheet.raw(VALUES_END);
}

function writeAttribute(sheet: Sheet, name: string, value: Value): void {
  if (typeof value === 'string') {
    sheet.raw(stringKey(name));
    sheet.string(value);
  } else if (typeof value === 'number') {
    sheet.raw(Number.isInteger(value) ? intKey(name) : doubleKey(name));
    sheet.number(value);
  } else if (typeof value === 'boolean') {
    sheet.raw(boolKey(name));
    sheet.ascii(String(value));
  } else {
    writeList(sheet, name, value);
    return;
  }
  sheet.raw(VALUE_END);
}

function writeLink(sheet: Sheet, { context }: Link): void {
  sheet.raw(LINK_SPAN);
  sheet.string(context.spanId);
  sheet.raw(LINK_TRACE);
  sheet.string(context.traceId);
  sheet.raw(context.isRemote === true ? LINK_REMOTE : LINK_LOCAL);
}

function writeEvents(sheet: Sheet, direct: RunRecord['direct']): void {
  for (let i = 0; i < direct.length; i++) {
    const one = direct[i] as RunRecord['direct'][number];
    if (i > 0) sheet.raw(COMMA);
    sheet.raw(EVENT);
    let first = true;
    putDirect((name, value) => {
      if (value === undefined) return;
      if (!first) sheet.raw(COMMA);
      first = false;
      writeAttribute(sheet, name, value);
    }, one);
    sheet.raw(EVENT_TIME);
    writeNanos(sheet, one.at);
    sheet.raw(EVENT_END);
  }
}

/**
 * Writes the attributes of a record, the inside of a JSON array. Most are those of the record before, which stand on the
 * same sheet: what did not change is copied from there in whole runs.
 */
class AttributeWriter {
  /** Of the record before, by position: names, values and bytes. */
  readonly #names: string[] = [];
  readonly #values: Value[] = [];
  readonly #lengths: number[] = [];
  /** Positions that still hold of the record before. */
  #known = 0;
  #count = 0;
  readonly #shape: SpanShape;
  #sheet: Sheet | undefined;
  /** Where the attributes of the record before begin, and of it the run that is not copied yet. */
  #start = 0;
  #from = 0;
  #to = 0;

  readonly #put: Put = (name, value) => {
    if (value === undefined) return;
    const i = this.#count++;
    const before = i < this.#known ? (this.#lengths[i] as number) : 0;
    this.#to += before;
    if (before > 0 && this.#values[i] === value && this.#names[i] === name) return;
    const sheet = this.#sheet as Sheet;
    if (this.#to - before > this.#from) sheet.again(this.#from, this.#to - before);
    this.#from = this.#to;
    const at = sheet.length;
    if (i > 0) sheet.raw(COMMA);
    writeAttribute(sheet, name, value);
    this.#names[i] = name;
    this.#values[i] = value;
    this.#lengths[i] = sheet.length - at;
  };

  constructor(shape: SpanShape) {
    this.#shape = shape;
  }

  write(sheet: Sheet, record: SpanRecord, error: string | undefined): void {
    if (sheet !== this.#sheet) this.#known = 0;
    this.#sheet = sheet;
    this.#count = 0;
    this.#from = this.#to = this.#start;
    this.#start = sheet.length;
    putAttributes(this.#put, record, error, this.#shape);
    if (this.#to > this.#from) sheet.again(this.#from, this.#to);
    this.#known = this.#count;
  }

  /** The sheet is not looked at again. */
  forget(): void {
    this.#known = 0;
    this.#sheet = undefined;
  }
}

export interface SpanWriter {
  write(sheet: Sheet, record: SpanRecord): void;
  /** Call at the end of a sheet. */
  forget(): void;
}

/**
 * Writes spans of closed records as OTLP/JSON: byte for byte what the SDK's serializer makes of `toSpan`, in a fifth of the
 * time and without two objects per attribute.
 */
export function createSpanWriter(shape: SpanShape = DEFAULT_SHAPE): SpanWriter {
  const attributes = new AttributeWriter(shape);
  return {
    write(sheet, record) {
      const error = spanError(record);
      sheet.raw(TRACE);
      sheet.string(record.traceId);
      sheet.raw(SPAN);
      sheet.string(record.spanId);
      const run = record.kind === 'run' ? record : undefined;
      const parent = record.kind === 'run' ? undefined : record.parentSpanId;
      if (parent !== undefined) {
        sheet.raw(PARENT);
        sheet.string(parent);
      }
      sheet.raw(NAME);
      sheet.string(spanName(record, shape));
      sheet.raw(run === undefined ? START : RUN_START);
      writeNanos(sheet, record.startedAt);
      sheet.raw(END);
      writeNanos(sheet, endOf(record));
      sheet.raw(ATTRIBUTES);
      attributes.write(sheet, record, error);
      if (run === undefined) sheet.raw(NO_EVENTS);
      else {
        sheet.raw(EVENTS);
        writeEvents(sheet, run.direct);
        sheet.raw(STATUS);
      }
      const { code, message } = statusOf(record, error);
      sheet.ascii(String(code));
      if (message !== undefined) {
        sheet.raw(MESSAGE);
        sheet.string(message);
      }
      sheet.raw(LINKS);
      const links = linksOf(record);
      for (let i = 0; i < links.length; i++) {
        if (i > 0) sheet.raw(COMMA);
        writeLink(sheet, links[i] as Link);
      }
      sheet.raw(parent === undefined ? LOCAL : REMOTE);
    },
    forget: () => attributes.forget(),
  };
}
