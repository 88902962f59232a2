import type { McpFacts } from '../model/mcp.ts';
import type { Put } from './span.ts';

/** `{method} {target}`, as the conventions name the span of an MCP message. */
export function mcpSpanName({ method, tool, prompt }: McpFacts): string {
  const target = tool ?? prompt;
  return target === undefined ? method : `${method} ${target}`;
}

/** JSON-RPC code, or `tool_error` where the tool itself failed. */
export function mcpError({ errorCode, toolError }: McpFacts): string | undefined {
  if (errorCode !== undefined) return String(errorCode);
  return toolError === true ? 'tool_error' : undefined;
}

/** Onto the span of the exchange (semantic conventions for MCP). `own`: under our names, for an agent that traces itself. */
export function putMcp(put: Put, facts: McpFacts, own: boolean): void {
  const name = (standard: string): string => (own ? `weir.mcp.${standard.replace(/^(?:mcp|gen_ai)\./, '')}` : standard);
  put(name('mcp.method.name'), facts.method);
  put(name('mcp.session.id'), facts.session);
  put(name('mcp.protocol.version'), facts.protocolVersion);
  put(name('mcp.resource.uri'), facts.resource);
  put(name('gen_ai.tool.name'), facts.tool);
  put(name('gen_ai.prompt.name'), facts.prompt);
  put(name('gen_ai.operation.name'), facts.method === 'tools/call' ? 'execute_tool' : undefined);
  put(name('jsonrpc.request.id'), facts.requestId);
  put(name('rpc.response.status_code'), facts.errorCode === undefined ? undefined : String(facts.errorCode));
  put('weir.mcp.transport', facts.transport);
  put('weir.mcp.messages', facts.messages > 1 ? facts.messages : undefined);
  put('weir.mcp.client', facts.clientName);
  put('weir.mcp.server', facts.serverName);
  put('weir.mcp.server_version', facts.serverVersion);
  put('weir.mcp.tools', facts.tools === undefined ? undefined : [...facts.tools]);
  put('weir.mcp.server_messages', facts.serverMessages);
  put('weir.mcp.unanswered', facts.unanswered);
}
