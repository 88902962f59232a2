import { type JsonNode, type JsonScalar, type JsonSink, jsonPaths } from './json-paths.ts';
import { JsonReader } from './json-reader.ts';

/** What a request to an MCP server says. */
export interface McpRequestFacts {
  readonly method: string;
  readonly messages: number;
  readonly requestId?: string;
  readonly tool?: string;
  readonly prompt?: string;
  readonly resource?: string;
  readonly clientName?: string;
  readonly traceparent?: string;
}

type Field = 'version' | 'method' | 'id' | 'name' | 'uri' | 'client' | 'traceparent';

/** modelcontextprotocol.io, schema of 2025-06-18; a batch (2025-03-26) is an array of such. */
const FIELDS: JsonNode<Field> = jsonPaths<Field>([
  { path: 'jsonrpc', as: 'version' },
  { path: 'method', as: 'method', keep: 128 },
  { path: 'id', as: 'id', keep: 64 },
  { path: 'params.name', as: 'name', keep: 128 },
  { path: 'params.uri', as: 'uri', keep: 512 },
  { path: 'params.clientInfo.name', as: 'client', keep: 128 },
  { path: 'params._meta.traceparent', as: 'traceparent', keep: 64 },
]);

/** Paths servers are mounted at, where no header says what it is (a first `initialize`, or the transport of 2024-11-05). */
const PATH = /\/(?:mcp|sse|messages?)\/?(?:$|\?)/;

/** What is known of a request before its body. */
export interface McpRequestHead {
  readonly method: string;
  readonly path: string;
  readonly contentType: string | undefined;
  readonly accept: string | undefined;
  readonly session: string | undefined;
  readonly protocolVersion: string | undefined;
}

/** Whether a POST may carry messages for an MCP server; its body decides. */
export function mayBeMcp(head: McpRequestHead): boolean {
  if (head.method !== 'POST' || !/^application\/json\b/i.test(head.contentType ?? '')) return false;
  if (head.session !== undefined || head.protocolVersion !== undefined) return true;
  // A client of the streamable transport must accept both (2025-03-26 and later).
  const { accept = '' } = head;
  return (accept.includes('text/event-stream') && accept.includes('application/json')) || PATH.test(head.path);
}

/** Reads the messages of a request on a copy. */
export interface McpRequestReader {
  push(bytes: Uint8Array): void;
  /** No more comes. Undefined: it was no JSON-RPC. */
  end(): McpRequestFacts | undefined;
}

export function createMcpRequest(): McpRequestReader {
  const notes = new Messages();
  const json = new JsonReader(FIELDS, notes, true);
  return {
    push: (bytes) => json.push(bytes),
    end: () => {
      json.end();
      return notes.facts();
    },
  };
}

/** The first message with a method speaks for all. */
class Messages implements JsonSink<Field> {
  readonly #said = new Map<Field, string>();
  #first: ReadonlyMap<Field, string> | undefined;
  #messages = 0;

  value(field: Field, value: JsonScalar): void {
    if (typeof value === 'string') this.#said.set(field, value);
    else if (typeof value === 'number') this.#said.set(field, String(value));
  }

  enter(): void {}
  leave(): void {}

  document(): void {
    if (this.#said.get('version') === '2.0') {
      this.#messages++;
      if (this.#first === undefined && this.#said.has('method')) this.#first = new Map(this.#said);
    }
    this.#said.clear();
  }

  facts(): McpRequestFacts | undefined {
    const said = this.#first;
    const method = said?.get('method');
    if (said === undefined || method === undefined) return undefined;
    const named = said.get('name');
    const optional = (name: keyof McpRequestFacts, value: string | undefined) =>
      value === undefined ? {} : { [name]: value };
    return {
      method,
      messages: this.#messages,
      ...optional('requestId', said.get('id')),
      ...(method === 'tools/call' ? optional('tool', named) : {}),
      ...(method === 'prompts/get' ? optional('prompt', named) : {}),
      ...optional('resource', said.get('uri')),
      ...optional('clientName', said.get('client')),
      ...optional('traceparent', said.get('traceparent')),
    };
  }
}
