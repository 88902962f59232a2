import { type JsonNode, type JsonScalar, type JsonSink, jsonPaths } from './json-paths.ts';
import { JsonReader } from './json-reader.ts';
import { SseReader } from './sse-reader.ts';

/** What a server answers. */
export interface McpResponseFacts {
  /** The answer to the message asked about has come. */
  readonly answered: boolean;
  readonly errorCode?: number;
  readonly toolError?: true;
  readonly protocolVersion?: string;
  readonly serverName?: string;
  readonly serverVersion?: string;
  readonly tools?: readonly string[];
  readonly serverMessages?: number;
}

type Field = 'method' | 'id' | 'result' | 'error' | 'code' | 'isError' | 'protocol' | 'server' | 'version' | 'tool';

const FIELDS: JsonNode<Field> = jsonPaths<Field>([
  { path: 'method', as: 'method', keep: 128 },
  { path: 'id', as: 'id', keep: 64 },
  { path: 'result', as: 'result' },
  { path: 'error', as: 'error' },
  { path: 'error.code', as: 'code' },
  { path: 'result.isError', as: 'isError' },
  { path: 'result.protocolVersion', as: 'protocol', keep: 64 },
  { path: 'result.serverInfo.name', as: 'server', keep: 128 },
  { path: 'result.serverInfo.version', as: 'version', keep: 64 },
  { path: 'result.tools.*.name', as: 'tool', keep: 128 },
]);

const MOST_TOOLS = 256;

/** Reads an answer on a copy: JSON, or events that each carry a message. */
export interface McpResponseReader {
  push(bytes: Uint8Array): void;
  /** No more comes. `requestId`: whose answer is wanted; undefined = any. */
  end(requestId: string | undefined): McpResponseFacts;
}

export function createMcpResponse(): McpResponseReader {
  const notes = new Answers();
  let push: ((bytes: Uint8Array) => void) | undefined;
  let end: () => void = () => undefined;
  const begin = (first: number): void => {
    if (first === 0x7b || first === 0x5b) {
      const json = new JsonReader(FIELDS, notes, true);
      push = (bytes) => json.push(bytes);
      end = () => json.end();
      return;
    }
    const json = new JsonReader(FIELDS, notes);
    const sse = new SseReader({
      data: (bytes) => json.push(bytes),
      event: () => {
        json.end();
        json.reset();
        notes.drop();
      },
    });
    push = (bytes) => sse.push(bytes);
    end = () => sse.end();
  };
  return {
    push: (bytes) => {
      if (push === undefined) {
        const at = bytes.findIndex((byte) => byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09);
        if (at === -1) return;
        begin(bytes[at] as number);
      }
      push?.(bytes);
    },
    end: (requestId) => {
      end();
      return notes.facts(requestId);
    },
  };
}

interface Answer {
  readonly id: string | undefined;
  readonly said: ReadonlyMap<Field, string | number | boolean>;
  readonly tools: readonly string[] | undefined;
}

class Answers implements JsonSink<Field> {
  readonly #said = new Map<Field, string | number | boolean>();
  #tools: string[] | undefined;
  readonly #answers: Answer[] = [];
  #serverMessages = 0;

  value(field: Field, value: JsonScalar): void {
    if (value === undefined || value === null) return;
    if (field !== 'tool') this.#said.set(field, value);
    else if (typeof value === 'string') {
      this.#tools ??= [];
      if (this.#tools.length < MOST_TOOLS) this.#tools.push(value);
    }
  }

  enter(field: Field): void {
    if (field === 'result' || field === 'error') this.#said.set(field, true);
  }

  leave(): void {}

  document(): void {
    const said = this.#said;
    if (said.has('method')) this.#serverMessages++;
    else if ((said.has('result') || said.has('error')) && this.#answers.length < 64) {
      const id = said.get('id');
      this.#answers.push({ id: id === undefined ? undefined : String(id), said: new Map(said), tools: this.#tools });
    }
    this.drop();
  }

  /** What was begun and not ended is none. */
  drop(): void {
    this.#said.clear();
    this.#tools = undefined;
  }

  facts(requestId: string | undefined): McpResponseFacts {
    // An error may have no id: the server could not read the request.
    const own = this.#answers.find(({ id }) => requestId === undefined || id === requestId || id === undefined);
    const serverMessages = this.#serverMessages === 0 ? {} : { serverMessages: this.#serverMessages };
    if (own === undefined) return { answered: false, ...serverMessages };
    const { said, tools } = own;
    const text = (name: keyof McpResponseFacts, field: Field) => {
      const value = said.get(field);
      return typeof value === 'string' ? { [name]: value } : {};
    };
    const code = said.get('code');
    return {
      answered: true,
      ...(typeof code === 'number' ? { errorCode: code } : {}),
      ...(said.get('isError') === true ? { toolError: true } : {}),
      ...text('protocolVersion', 'protocol'),
      ...text('serverName', 'server'),
      ...text('serverVersion', 'version'),
      ...(tools === undefined ? {} : { tools }),
      ...serverMessages,
    };
  }
}
