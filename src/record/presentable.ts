import { createHmac } from 'node:crypto';
import { printable } from '../model/printable.ts';
import type { WeirRecord } from '../model/record.ts';
import { type Field, remembered } from './memory.ts';
import type { Presentation } from './pack.ts';
import type { Pattern } from './patterns.ts';
import { createRedactor, type Redactor } from './redact.ts';
import { createTarget, decodeLayers, type UrlDetail, WINDOW } from './target.ts';

export interface PresenterOptions {
  readonly patterns: readonly Pattern[];
  /** Key of the state directory: keyed hashes are equal within it and meaningless outside. */
  readonly key: Buffer;
  /** `telemetry.url`. */
  readonly url: UrlDetail;
}

/** How a field is treated; every string field that is not named here is `text` with 200 characters. */
const ENUMS = [
  'kind',
  'state',
  'via',
  'visibility',
  'scheme',
  'protocol',
  'outcome',
  'mode',
  'verdict',
  'action',
  'would',
  'baselineState',
  'identifiedBy',
  'severity',
  'disposition',
  'verb',
  'status',
];
const IDS: readonly (readonly [string, number])[] = [
  ['id', 26],
  ['connectionId', 26],
  ['traceId', 32],
  ['spanId', 16],
  ['parentSpanId', 16],
  ['linkTraceId', 32],
  ['linkSpanId', 16],
  ['runId', 26],
];
const LONG: readonly (readonly [string, number])[] = [
  ['errorDetail', 500],
  ['message', 500],
  ['userAgent', 256],
  // What was said in an LLM call, with telemetry.content only.
  ['text', WINDOW],
  ['completion', WINDOW],
];

const USERINFO = /([a-z][a-z0-9+.-]{0,20}:\/\/|^)[^\s/@'"<>]{1,512}@(?=[^\s@])/gi;

function createText(redactor: Redactor, max: number): Field {
  return remembered((value) => {
    let text = value.length > WINDOW ? value.slice(0, WINDOW) : value;
    if (text.includes('@') && text.includes('://')) text = text.replace(USERINFO, '$1');
    const decoded = decodeLayers(text);
    const clean = redactor.redact(text);
    if (decoded !== text && clean === text) {
      const decodedClean = redactor.redact(decoded);
      if (decodedClean !== decoded) return printable(decodedClean, max);
    }
    return printable(clean, max);
  });
}

// No registered name needs a label like this; a random token of 160 bits and more does.
function looksRandom(label: string): boolean {
  if (label.length < 40) return false;
  let digits = 0;
  for (let i = 0; i < label.length; i++) {
    const code = label.charCodeAt(i);
    if (code >= 0x30 && code <= 0x39) digits++;
  }
  return digits >= 6;
}

/** Host names keep their shape: a label that holds a secret becomes `redacted-<6 hex of a keyed hash>`, so equality survives. */
function createHost(redactor: Redactor, key: Buffer): Field {
  return remembered((value) => {
    const at = value.lastIndexOf('@');
    const host = decodeLayers((at >= 0 ? value.slice(at + 1) : value).slice(0, 512));
    // ASCII only: lower-casing other letters may change the length and shift the spans.
    const spans = redactor.spans(host.replace(/[A-Z]+/g, (run) => run.toLowerCase()));
    let position = 0;
    const labels = host.split('.').map((label) => {
      const start = position;
      const end = start + label.length;
      position = end + 1;
      if (!looksRandom(label) && !spans.some((span) => span.start < end && span.end > start)) return label;
      return `redacted-${createHmac('sha256', key).update(label).digest('hex').slice(0, 6)}`;
    });
    return printable(labels.join('.'), 255);
  });
}

/**
 * The one function that makes a record fit to leave the process (product.md §5 "Nothing secret"): every string of it,
 * also of fields added later, passes patterns and `printable()`; URLs and host names have rules of their own.
 */
export function createPresentation(options: PresenterOptions): Presentation {
  const redactor = createRedactor(options.patterns);
  const text = createText(redactor, 200);
  const host = createHost(createRedactor(options.patterns, true), options.key);
  const fields = new Map<string, Field>();
  for (const name of ENUMS) fields.set(name, (value) => (value.length <= 16 ? value : text(value)));
  for (const [name, length] of IDS) fields.set(name, (value) => (value.length === length ? value : text(value)));
  for (const [name, max] of LONG) fields.set(name, createText(redactor, max));
  fields.set('host', host);
  fields.set('sni', host);
  fields.set('target', createTarget(redactor, options.url));

  const list = (values: readonly unknown[], name: string): readonly unknown[] =>
    values.length === 0 ? values : values.map((value) => present(value, name));
  const present = (value: unknown, name: string): unknown => {
    if (typeof value === 'string') return (fields.get(name) ?? text)(value);
    if (typeof value !== 'object' || value === null) return value;
    return Array.isArray(value) ? list(value, name) : object(value as Record<string, unknown>);
  };
  const object = (source: Record<string, unknown>): Record<string, unknown> => {
    // A spread keeps the hidden class; only strings and containers are then replaced.
    const out = { ...source };
    for (const name in out) {
      const value = out[name];
      if (typeof value === 'string') {
        const shown = (fields.get(name) ?? text)(value);
        if (shown !== value) out[name] = shown;
      } else if (typeof value === 'object' && value !== null) out[name] = present(value, name);
    }
    return out;
  };
  return {
    field: (name) => {
      const string = fields.get(name) ?? text;
      return (value) => (typeof value === 'string' ? string(value) : present(value, name));
    },
    record: (record) => object(record as unknown as Record<string, unknown>) as unknown as WeirRecord,
  };
}
