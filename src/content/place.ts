import { markupPlace } from './place-html.ts';
import { type JsonPlace, jsonPlace } from './place-json.ts';

/** Read before and behind a place to tell what it is in. */
const BEFORE = 8192;
const AFTER = 2048;
/** A name that is told; anything else may hold what must not be told. */
const NAME = /^[A-Za-z][\w .-]{0,39}$/;
const LONG_WORD = /[A-Za-z0-9]{20}/;

/**
 * Where in a body something stands, in words and without a word of it: a path of JSON, a field of a form, a part of multipart, a
 * comment, an attribute, something hidden. Cheap and local: the window it was found in is all there is. Undefined = plain text.
 * @param bytes - the window.
 * @param first - the window begins with the body (or with a message).
 */
export function placeOf(bytes: Uint8Array, start: number, end: number, first: boolean): string | undefined {
  const opening = first ? openingOf(bytes) : '';
  if (opening.startsWith('--')) {
    const part = multipartPlace(bytes, start);
    if (part !== undefined) return part;
  }
  const json = jsonStart(bytes, start, opening);
  if (json !== undefined) {
    const place = jsonPlace(bytes, json.from, start, json.inside);
    if (place !== undefined) return jsonWords(bytes, place, start, end);
  }
  if (FORM.test(opening)) {
    const field = formPlace(bytes, start);
    if (field !== undefined) return field;
  }
  return markupPlace(text(bytes, start - BEFORE, start), text(bytes, end, end + AFTER));
}

function text(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.subarray(Math.max(0, from), Math.min(bytes.length, to))).toString('latin1');
}

/** The first characters of a body, behind a byte order mark and blanks. */
function openingOf(bytes: Uint8Array): string {
  return text(bytes, 0, 256).replace(/^(?:\u00ef\u00bb\u00bf)?\s*/, '');
}

const EVENTS = /^(?:data|event|id|retry|):/;
/** Behind `data:` or not: what only JSON begins with, not a link of Markdown. */
const VALUE = /^(?:data:)?\s*(?=(?:\{\s*["}]|\[\s*(?:["{[\]\d-]|true\b|false\b|null\b)))/;
const FORM = /^[\w.%+[\]~*-]{1,200}=/;

interface JsonStart {
  readonly from: number;
  /** In the middle of an object. */
  readonly inside: boolean;
}

/** Where the JSON text begins that a place may be in. */
function jsonStart(bytes: Uint8Array, at: number, opening: string): JsonStart | undefined {
  if (opening.startsWith('{') || opening.startsWith('[')) return { from: 0, inside: false };
  // Server-sent events, lines and messages of JSON: each is a text of its own.
  const before = text(bytes, at - (64 << 10), at);
  const line = before.lastIndexOf('\n') + 1;
  const data = VALUE.exec(before.slice(line, line + 80));
  if (data !== null) return { from: at - before.length + line + data[0].length, inside: false };
  if (EVENTS.test(opening)) return undefined;
  // In the middle of a long one: what is known of it begins with the window.
  return opening === '' && /^[^<]*":\s*[[{"]/.test(before.slice(-BEFORE)) ? middleOf(bytes, at) : undefined;
}

/** A place in a window where a JSON text is between two members: behind `",\n` or `{`. */
function middleOf(bytes: Uint8Array, at: number): JsonStart | undefined {
  const from = Math.max(0, at - BEFORE);
  const found = /[,{]\s*"[\w$.-]{1,40}"\s*:/.exec(text(bytes, from, at));
  return found === null ? undefined : { from: from + found.index, inside: true };
}

/** What paths of JSON-RPC results of the Model Context Protocol are (2025-06-18, `tools/list`, `tools/call`, `resources/read` …). */
const MCP: readonly [RegExp, string][] = [
  [/^(?:\[\d+\]\.)?result\.tools\[\d+\]\.description$/, 'in an MCP tool description'],
  [/^(?:\[\d+\]\.)?result\.tools\[/, 'in an MCP tool definition'],
  [/^(?:\[\d+\]\.)?result\.(?:content|structuredContent|toolResult)\b/, 'in an MCP tool result'],
  [/^(?:\[\d+\]\.)?result\.(?:contents|resources|resourceTemplates)\b/, 'in an MCP resource'],
  [/^(?:\[\d+\]\.)?result\.(?:messages|prompts)\b/, 'in an MCP prompt'],
  [/^(?:\[\d+\]\.)?result\.(?:instructions|serverInfo)\b/, 'in the instructions of an MCP server'],
];

function jsonWords(bytes: Uint8Array, place: JsonPlace, start: number, end: number): string {
  const { path, inKey, string } = place;
  const rpc = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes('"jsonrpc"');
  const mcp = rpc ? MCP.find(([form]) => form.test(path))?.[1] : undefined;
  const at = path === '' ? 'the document' : path;
  const outer = mcp === undefined ? (inKey ? `in a key of ${at}` : `at ${at}`) : `${mcp} (${at})`;
  if (string === undefined || inKey) return outer;
  // What a tool returns or a model writes is text with a form of its own.
  const inner = markupPlace(
    unescaped(text(bytes, Math.max(string, start - BEFORE), start)),
    unescaped(text(bytes, end, end + AFTER)),
  );
  return inner === undefined ? outer : `${inner}, ${outer}`;
}

/** As far as the forms of markup need it. */
function unescaped(json: string): string {
  return json.replace(/\\(?:u003([cCeE])|(n)|(.))/g, (_all, angle: string, line: string, other: string) =>
    angle !== undefined ? (angle.toLowerCase() === 'c' ? '<' : '>') : line !== undefined ? '\n' : other,
  );
}

/** The field of a form a place is in. */
function formPlace(bytes: Uint8Array, at: number): string | undefined {
  const before = text(bytes, at - BEFORE, at);
  if (/[\s<>{]/.test(before)) return undefined;
  const pair = before.slice(before.lastIndexOf('&') + 1);
  const equals = pair.indexOf('=');
  if (equals < 0) return 'in the name of a form field';
  return `in the form field ${shown(pair.slice(0, equals))}`;
}

/** The part a place is in, by its head: RFC 7578. */
function multipartPlace(bytes: Uint8Array, at: number): string | undefined {
  const before = text(bytes, 0, at);
  const head = before.toLowerCase().lastIndexOf('content-disposition:');
  if (head < 0) return undefined;
  const tail = before.slice(head);
  const name = shown(/[;\s]name="?([^";\r\n]*)"/i.exec(tail)?.[1] ?? '');
  const line = tail.slice(0, /\r?\n/.exec(tail)?.index);
  if (line.length < tail.length) return `in the part ${name}`;
  if (/[;\s]filename\*?=[^;]*$/i.test(tail)) return `in the file name of the part ${name}`;
  return /[;\s]name="?[^";]*$/i.test(tail) ? 'in the name of a part' : `in the head of the part ${name}`;
}

function shown(name: string): string {
  return NAME.test(name) && !LONG_WORD.test(name) ? name : '…';
}
