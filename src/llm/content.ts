import type { LlmApiKind, LlmMessage } from '../model/llm.ts';

/** Bytes of one body that are kept for its text; a longer one has none: half a prompt would let a rule pass what it is about. */
export const CONTENT_BYTES = 1 << 20;

type Json = Readonly<Record<string, unknown>>;

const record = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** No API nests its parts so deep; who does wants nobody to read them. */
const DEEPEST = 64;
class TooDeep extends Error {}

/** Text of a message's content: a string, or parts with a text, or parts whose content is such again (tool results). Throws TooDeep. */
function textOf(content: unknown, depth = 0): string {
  if (typeof content === 'string') return content;
  if (depth > DEEPEST) throw new TooDeep();
  const parts: string[] = [];
  for (const part of Array.isArray(content) ? content : [content]) {
    if (typeof part === 'string') parts.push(part);
    const { text, content: inner, thinking, toolResult } = record(part);
    if (typeof text === 'string') parts.push(text);
    else if (typeof thinking === 'string') parts.push(thinking);
    else if (inner !== undefined) parts.push(textOf(inner, depth + 1));
    else if (toolResult !== undefined) parts.push(textOf(record(toolResult)['content'], depth + 1));
  }
  return parts.filter((part) => part !== '').join('\n');
}

function messages(items: unknown, role = 'user'): LlmMessage[] {
  if (typeof items === 'string') return [{ role, text: items }];
  return list(items)
    .map((item) => {
      if (typeof item === 'string') return { role, text: item };
      const { role: own, content, parts, text } = record(item);
      return { role: typeof own === 'string' ? own : role, text: textOf(content ?? parts ?? text) };
    })
    .filter(({ text }) => text !== '');
}

function ofRequest(kind: LlmApiKind, body: Json): LlmMessage[] {
  const system = (value: unknown): LlmMessage[] => {
    const text = textOf(value);
    return text === '' ? [] : [{ role: 'system', text }];
  };
  switch (kind) {
    case 'openai.responses':
      return [...system(body['instructions']), ...messages(body['input'])];
    case 'openai.embeddings':
    case 'ollama.embed':
      return messages(body['input']);
    case 'openai.completions':
      return messages(body['prompt']);
    case 'gemini.generate': {
      const instruction = record(body['systemInstruction'] ?? body['system_instruction']);
      return [...system(instruction['parts']), ...messages(body['contents'])];
    }
    case 'ollama.generate':
      return [...system(body['system']), ...messages(body['prompt'])];
    case 'bedrock.invoke': {
      const named = body['prompt'] ?? body['inputText'];
      return [...system(body['system']), ...(named === undefined ? messages(body['messages']) : messages(named))];
    }
    default:
      return [...system(body['system']), ...messages(body['messages'])];
  }
}

/** What one JSON text of an answer adds: whole messages, or a piece of one. */
function ofAnswer(body: Json): string {
  const parts: unknown[] = [];
  for (const choice of list(body['choices'])) {
    const { message, delta, text } = record(choice);
    parts.push(record(message)['content'], record(delta)['content'], text);
  }
  for (const item of list(body['output'])) parts.push(record(item)['content']);
  for (const candidate of list(body['candidates'])) parts.push(record(record(candidate)['content'])['parts']);
  const { type, delta, response, message, content, output, completion, generation, outputText } = body;
  // Streams of the Responses API: the deltas, not the whole text their ends repeat.
  if (type === 'response.output_text.delta') parts.push(delta);
  else parts.push(record(delta)['text'], record(record(delta)['message'])['content']);
  if (typeof response === 'string') parts.push(response);
  parts.push(
    record(message)['content'],
    record(record(output)['message'])['content'],
    completion,
    generation,
    outputText,
  );
  if (type === undefined || type === 'message') parts.push(content);
  for (const result of list(body['results'])) parts.push(record(result)['outputText']);
  return parts
    .map((part) => textOf(part))
    .filter((part) => part !== '')
    .join('');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The messages of a request; undefined when it cannot be read. */
export function promptOf(kind: LlmApiKind, body: Uint8Array): readonly LlmMessage[] | undefined {
  const value = parsed(Buffer.from(body).toString('utf8'));
  return value === undefined ? undefined : unlessTooDeep(() => ofRequest(kind, record(value)));
}

/** Half of it would let a rule pass what it is about. */
function unlessTooDeep<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof TooDeep) return undefined;
    throw error;
  }
}

/** The text of an answer: one JSON text, one per line, an array of them, or server-sent events; undefined when it is none of these. */
export function completionOf(body: Uint8Array): string | undefined {
  return unlessTooDeep(() => textOfAnswer(Buffer.from(body).toString('utf8')));
}

function textOfAnswer(text: string): string | undefined {
  const whole = parsed(text);
  if (whole !== undefined) {
    return (Array.isArray(whole) ? whole : [whole]).map((one) => ofAnswer(record(one))).join('');
  }
  const pieces: string[] = [];
  for (const line of text.split(/\r\n|\n|\r/)) {
    const data = line.startsWith('data:') ? line.slice(5) : line;
    const value = parsed(data.trim());
    if (value !== undefined) pieces.push(ofAnswer(record(value)));
  }
  return pieces.length === 0 ? undefined : pieces.join('');
}
