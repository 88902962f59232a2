/** A piece of text that an event adds to a longer one. */
export interface Delta {
  /** Which text: the same for all events that add to it. */
  readonly text: string;
  readonly value: string;
  /** Puts another one in its place, in the event. */
  set(value: string): void;
}

/** An event whose data is JSON and carries pieces of text. */
export interface DeltaEvent {
  readonly deltas: readonly Delta[];
  /** The event as it is now, with the line ends it had. */
  write(): Buffer;
}

/** Members that hold the text of a model, or the arguments of a call, piece by piece. */
const TEXTS: ReadonlySet<string> = new Set([
  'content',
  'text',
  'delta',
  'thinking',
  'reasoning',
  'reasoning_content',
  'refusal',
  'arguments',
  'partial_json',
  'completion',
  'response',
]);
/** Members that say which text an event is about. */
const PLACES: readonly string[] = [
  'index',
  'output_index',
  'content_index',
  'item_id',
  'choices',
  'candidates',
  'type',
];
const DEEPEST = 8;
const MOST_DELTAS = 16;
const LINE = /^data:[ \t]?(.*?)(\r?)$/gm;

type Json = Record<string, unknown>;

/** Reads one event: chat completions and responses of OpenAI, messages of Anthropic, Gemini, and what is made like them. */
export function readDeltas(event: Buffer): DeltaEvent | undefined {
  const text = event.toString('utf8');
  const lines = [...text.matchAll(LINE)];
  const [first] = lines;
  if (first === undefined || lines.length > 1 || !(first[1] as string).startsWith('{')) return undefined;
  const value = parsed(first[1] as string);
  if (value === undefined) return undefined;
  const deltas: Delta[] = [];
  collect(value, '', 0, deltas);
  if (deltas.length === 0) return undefined;
  const [all, data, end] = first as unknown as [string, string, string];
  const head = text.slice(0, first.index + all.length - data.length - end.length);
  const rest = text.slice(first.index + all.length - end.length);
  return { deltas, write: () => Buffer.from(`${head}${JSON.stringify(value)}${rest}`) };
}

function parsed(text: string): Json | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
  } catch {
    return undefined;
  }
}

function collect(value: Json, path: string, depth: number, into: Delta[]): void {
  if (depth > DEEPEST) return;
  const where = `${path}${placeOf(value)}`;
  for (const [key, member] of Object.entries(value)) {
    if (into.length >= MOST_DELTAS) return;
    if (typeof member === 'string') {
      if (member === '' || !TEXTS.has(key)) continue;
      const set = (changed: string): void => {
        value[key] = changed;
      };
      into.push({ text: `${where}.${key}`, value: member, set });
    } else if (Array.isArray(member)) {
      member.forEach((one, i) => {
        if (isObject(one)) collect(one, `${where}.${key}[${'index' in one ? '' : i}]`, depth + 1, into);
      });
    } else if (isObject(member)) collect(member, `${where}.${key}`, depth + 1, into);
  }
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function placeOf(value: Json): string {
  return PLACES.map((name) => value[name])
    .filter((said) => typeof said === 'string' || typeof said === 'number')
    .map((said) => `<${said}>`)
    .join('');
}
