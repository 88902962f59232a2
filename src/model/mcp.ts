/** One exchange with an MCP server, as the record keeps it: plain data, no arguments and no results. */
export interface McpFacts {
  /** Of the first message that has one, such as `tools/call`; a notification's as well. */
  readonly method: string;
  /** JSON-RPC messages in the request; more than one is a batch. */
  readonly messages: number;
  /** JSON-RPC id of that message; absent for a notification. */
  readonly requestId?: string;
  /** Keyed hash of `Mcp-Session-Id`. */
  readonly session?: string;
  /** As the header says, else what was agreed on at `initialize`. */
  readonly protocolVersion?: string;
  readonly tool?: string;
  readonly prompt?: string;
  readonly resource?: string;
  /** `initialize`: who asks and who answers. */
  readonly clientName?: string;
  readonly serverName?: string;
  readonly serverVersion?: string;
  /** `_meta.traceparent` of the request (SEP-414). */
  readonly traceparent?: string;
  /** JSON-RPC error code of the answer. */
  readonly errorCode?: number;
  /** The tool ran and said that it failed. */
  readonly toolError?: true;
  /** `tools/list`: names of the tools offered, at most 256 of at most 128 bytes. */
  readonly tools?: readonly string[];
  /** `sse`: the transport of 2024-11-05, whose answers come on another exchange. */
  readonly transport: 'streamable-http' | 'sse';
  /** Notifications and requests the server sent along with its answer. */
  readonly serverMessages?: number;
  /** The answer to the message was not seen. */
  readonly unanswered?: true;
}
