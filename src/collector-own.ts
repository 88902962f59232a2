import { type OwnSecret, usableLength } from './collector-secrets.ts';
import type { Shown } from './collector-shown.ts';
import { createRedactor, type Redactor } from './record/redact.ts';

/** Names of host fields in records: what is masked there stays a name. */
const HOSTS: ReadonlySet<string> = new Set(['host', 'sni', 'authority']);
const LABEL = 'OWN SECRET';

/** Keeps secrets of the operator's and of runs out of everything that is recorded or shown. In memory only. */
export interface OwnMask extends Shown {
  /** All there are from now on. */
  set(secrets: readonly OwnSecret[]): void;
  /** The same record when nothing of it holds one. */
  record<T extends object>(record: T): T;
}

/** `rows`: how rows show what is no secret of ours; `hash`: keyed, of the state directory. */
export function createOwnMask(rows: Shown, hash: (text: string) => string): OwnMask {
  let redactor: Redactor | undefined;
  let names: Redactor | undefined;
  const text = (value: string): string => (redactor?.suspicious(value) === true ? redactor.redact(value) : value);
  const host = (value: string): string => {
    if (names === undefined || !names.suspicious(value.toLowerCase())) return value;
    let at = 0;
    const spans = names.spans(value.toLowerCase());
    return value
      .split('.')
      .map((label) => {
        const [start, end] = [at, at + label.length];
        at = end + 1;
        const hit = spans.some((span) => span.start < end && span.end > start);
        return hit ? `redacted-${hash(label).slice(0, 6)}` : label;
      })
      .join('.');
  };
  const shown = (value: unknown, name: string): unknown => {
    if (typeof value === 'string') return HOSTS.has(name) ? host(value) : text(value);
    if (typeof value !== 'object' || value === null) return value;
    if (!Array.isArray(value)) return object(value);
    const list = value.map((one) => shown(one, name));
    return list.every((one, i) => one === value[i]) ? value : list;
  };
  const object = <T extends object>(source: T): T => {
    const changed = Object.entries(source).flatMap(([name, value]) => {
      const masked = shown(value, name);
      return masked === value ? [] : [[name, masked] as const];
    });
    return changed.length === 0 ? source : { ...source, ...Object.fromEntries(changed) };
  };
  return {
    set(secrets) {
      const values = [...new Set(secrets.map(({ value }) => value))].filter(usableLength);
      redactor = values.length === 0 ? undefined : createRedactor(values.flatMap(forms).map(patternOf));
      names = values.length === 0 ? undefined : createRedactor(values.map((one) => patternOf(one.toLowerCase())));
    },
    record: (record) => (redactor === undefined ? record : object(record)),
    text: (value) => rows.text(text(value)),
    host: (value) => rows.host(host(value)),
  };
}

/** A value as it may stand in a URL, a header, an error: plain, percent-encoded, escaped, in base64 at each alignment, in hex. */
function forms(value: string): string[] {
  const percent = encodeURIComponent(value);
  const hex = Buffer.from(value).toString('hex');
  const every = hex.replace(/../g, '%$&');
  const base64 = [0, 1, 2].flatMap((before) => base64Core(value, before));
  const all = [value, percent, percent.replace(/%../g, (one) => one.toLowerCase()), JSON.stringify(value).slice(1, -1)];
  return [...new Set([...all, ...base64, hex, hex.toUpperCase(), every, every.toUpperCase()])];
}

/** The characters of base64 that a value alone decides, behind so many other bytes, in both alphabets. */
function base64Core(value: string, before: number): string[] {
  const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(value)]);
  const from = Math.ceil((before * 8) / 6);
  const core = bytes.toString('base64').slice(from, Math.floor((bytes.length * 8) / 6));
  return [core, core.replaceAll('+', '-').replaceAll('/', '_')];
}

function patternOf(text: string): Parameters<typeof createRedactor>[0][number] {
  return { id: 'own', expression: text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'), keywords: [text], label: LABEL };
}
