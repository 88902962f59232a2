import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { Sheet } from '../model/sheet.ts';
import { createSpanWriter } from './otlp-json.ts';
import type { SpanShape } from './shape.ts';
import type { SpanRecord } from './span.ts';

/** What an exporter of the SDK makes request bodies with. */
interface Serializer {
  serializeRequest(items: unknown[]): Uint8Array | undefined;
  deserializeResponse(data: Uint8Array): unknown;
}

/** Bytes first set aside per span; a typical one has 2.7 KB. */
const SPAN_BYTES = 3072;
/** A sheet above this is not kept for the next export. */
const KEPT_BYTES = 4 * 1024 * 1024;
const EMPTY = '"spans":[]';

/** Everything around the spans, as the SDK writes it: resource and scope are the same for all of a request. */
function frameOf(own: Serializer, sample: ReadableSpan): readonly [string, string] {
  const bytes = own.serializeRequest([sample]) ?? Buffer.alloc(0);
  const request = JSON.parse(Buffer.from(bytes).toString('utf8'));
  request.resourceSpans[0].scopeSpans[0].spans = [];
  const text = JSON.stringify(request);
  // The last one: a resource attribute may hold the same characters, the scope's schema address does not.
  const at = text.lastIndexOf(EMPTY) + EMPTY.length - 1;
  return [text.slice(0, at), text.slice(at)];
}

interface RecordSerializer extends Serializer {
  /** The last body has arrived: its memory may be written again. */
  delivered(): void;
}

/** Makes export requests of records directly, with the frame the SDK's own serializer writes around them. */
function createSerializer(
  own: Serializer,
  toSpan: (record: SpanRecord) => ReadableSpan,
  shape: SpanShape | undefined,
): RecordSerializer {
  const spans = createSpanWriter(shape);
  let frame: readonly [string, string] = ['', ''];
  let framed: ReadableSpan['resource'] | undefined;
  let current: Buffer | undefined;
  let spare: Buffer | undefined;
  return {
    serializeRequest(items) {
      const records = items as SpanRecord[];
      const sample = toSpan(records[0] as SpanRecord);
      if (sample.resource !== framed) frame = frameOf(own, sample);
      framed = sample.resource;
      const sheet = new Sheet(spare ?? Buffer.allocUnsafeSlow(records.length * SPAN_BYTES));
      spare = undefined;
      sheet.text(frame[0]);
      for (let i = 0; i < records.length; i++) {
        if (i > 0) sheet.ascii(',');
        spans.write(sheet, records[i] as SpanRecord);
      }
      spans.forget();
      sheet.text(frame[1]);
      current = sheet.bytes;
      return current.subarray(0, sheet.length);
    },
    deserializeResponse: (data) => own.deserializeResponse(data),
    delivered() {
      if (current !== undefined && current.length <= KEPT_BYTES) spare = current;
      current = undefined;
    },
  };
}

type Done = (result: { code: number; error?: Error }) => void;
interface SpanExporter {
  export(spans: ReadableSpan[], done: Done): void;
  shutdown(): Promise<void>;
}

function isSerializer(value: unknown): value is Serializer {
  const methods = value as Partial<Serializer> | undefined;
  return typeof methods?.serializeRequest === 'function' && typeof methods.deserializeResponse === 'function';
}

/**
 * The exporter, taking records. Its serializer makes two objects per attribute and costs more than all the rest of a record's
 * way, and it has no option for another one: ours takes its place inside. An exporter that keeps it elsewhere is given spans.
 */
export function exporterOfRecords(
  exporter: SpanExporter,
  toSpan: (record: SpanRecord) => ReadableSpan,
  shape?: SpanShape,
): { export(records: SpanRecord[], done: Done): void; shutdown(): Promise<void> } {
  const shutdown = (): Promise<void> => exporter.shutdown();
  const delegate = (exporter as { _delegate?: { _serializer?: unknown } })._delegate;
  const own = delegate?._serializer;
  if (delegate === undefined || !isSerializer(own)) {
    return { shutdown, export: (records, done) => exporter.export(records.map(toSpan), done) };
  }
  const serializer = createSerializer(own, toSpan, shape);
  delegate._serializer = serializer;
  return {
    shutdown,
    export(records, done) {
      // The delegate only counts what it is given and hands it to the serializer.
      exporter.export(records as unknown as ReadableSpan[], (result) => {
        if (result.code === 0) serializer.delivered();
        done(result);
      });
    },
  };
}
