/** What is to become of the field lines of a head or a trailer section; all other bytes stay as they came. */
export interface FieldChange {
  /** New values by index of the line. */
  readonly values?: ReadonlyMap<number, string>;
  /** Lines that go, by lower-case name. */
  readonly without?: ReadonlySet<string>;
  /** Lines that come after the others. */
  readonly added?: readonly (readonly [name: string, value: string])[];
}

export interface HeadChange extends FieldChange {
  /** The request target as it is to stand in the request line. */
  readonly target?: string;
}

/** Bytes of a whole head, from the first of the start line to the empty line, with `change` made. */
export function editHead(head: Buffer, change: HeadChange): Buffer {
  const text = head.toString('latin1');
  const fieldsAt = text.indexOf('\r\n') + 2;
  let start = text.slice(0, fieldsAt);
  if (change.target !== undefined) {
    start = `${start.slice(0, start.indexOf(' ') + 1)}${safeTarget(change.target)}${start.slice(start.lastIndexOf(' '))}`;
  }
  return Buffer.from(start + editFields(text.slice(fieldsAt), change), 'latin1');
}

/** A field section (latin1, with its empty line) after `change`. */
export function editFields(section: string, change: FieldChange): string {
  let out = '';
  let index = 0;
  for (const line of lines(section)) {
    const colon = line.indexOf(':');
    const value = change.values?.get(index++);
    if (change.without?.has(line.slice(0, colon).toLowerCase()) === true) continue;
    if (value === undefined) out += `${line}\r\n`;
    else out += `${line.slice(0, valueAt(line, colon))}${safeValue(value)}\r\n`;
  }
  for (const [name, value] of change.added ?? []) out += `${name}: ${value}\r\n`;
  return `${out}\r\n`;
}

/** Flat [name, value, …] of a well-formed field section, values without surrounding OWS (RFC 9110 §5.5). */
export function listFields(section: string): string[] {
  const fields: string[] = [];
  for (const line of lines(section)) {
    const colon = line.indexOf(':');
    fields.push(line.slice(0, colon), trimOws(line.slice(colon + 1)));
  }
  return fields;
}

/** What makes every Content-Length of these fields say `length`. */
export function lengthValues(fields: readonly string[], length: number): ReadonlyMap<number, string> {
  const values = new Map<number, string>();
  for (let i = 0; i < fields.length; i += 2) {
    if ((fields[i] as string).toLowerCase() === 'content-length') values.set(i / 2, String(length));
  }
  return values;
}

/** What an edit puts in can neither end the request line or a line of fields nor split it (RFC 9110 §5.5, RFC 9112 §3.2). */
function safeTarget(target: string): string {
  return target.replace(/[^\x21-\x7e\x80-\xff]/g, '_');
}
function safeValue(value: string): string {
  return value.replace(/[^\t\x20-\x7e\x80-\xff]/g, '_');
}

/** The lines of a section that ends in an empty one. */
function lines(section: string): string[] {
  return section.length <= 2 ? [] : section.slice(0, -4).split('\r\n');
}

function valueAt(line: string, colon: number): number {
  let at = colon + 1;
  while (line[at] === ' ' || line[at] === '\t') at++;
  return at;
}

function trimOws(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}
