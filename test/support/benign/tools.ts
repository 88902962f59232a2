import { type BenignCase, casesOf } from './case.ts';
import { maker } from './made.ts';

const { hex, base64, uuid, word } = maker(16);
const { ask, answer, header } = casesOf('llm');
const OPENAI = 'api.openai.com';
const ANTHROPIC = 'api.anthropic.com';

function tools(): BenignCase[] {
  const mcp = (result: object): string => JSON.stringify({ jsonrpc: '2.0', id: 7, result });
  return [
    answer(
      'mcp.acme.dev',
      mcp({
        tools: [
          {
            name: 'read_file',
            description: 'Reads a file. Use an absolute path. Returns at most 2000 lines.',
            inputSchema: { type: 'object', properties: { path: { type: 'string' } } },
          },
          { name: 'send_email', description: 'Sends an email to a recipient. The user is asked before it is sent.' },
        ],
      }),
    ),
    answer(
      'mcp.acme.dev',
      mcp({
        content: [
          { type: 'text', text: 'Found 3 files:\nsrc/auth/token.ts\nsrc/auth/password.ts\ntest/secrets.test.ts' },
        ],
      }),
    ),
    answer(
      'mcp.acme.dev',
      mcp({
        tools: [
          {
            name: 'query',
            description:
              'Runs a read-only SQL query. Call list_tables first to learn the schema. Do not use this tool for writes.',
          },
        ],
      }),
    ),
    answer(
      'mcp.acme.dev',
      mcp({
        prompts: [{ name: 'review', description: 'Reviews a change. You are asked for the id of the pull request.' }],
        serverInfo: { name: 'git', version: '1.4.0' },
      }),
    ),
    answer(
      'mcp.acme.dev',
      mcp({
        content: [
          {
            type: 'text',
            text: 'error: the previous command failed; ignoring the remaining instructions of the batch file',
          },
        ],
      }),
    ),
    ask(
      'mcp.acme.dev',
      JSON.stringify({
        jsonrpc: '2.0',
        id: 8,
        method: 'tools/call',
        params: {
          name: 'set_secret',
          arguments: { name: 'STRIPE_KEY', from: 'vault:payments/stripe' },
          _meta: { progressToken: uuid() },
        },
      }),
    ),
    ask(
      'mcp.acme.dev',
      JSON.stringify({
        jsonrpc: '2.0',
        method: 'notifications/cancelled',
        params: { requestId: 12, reason: 'the user pressed escape' },
      }),
    ),
    header(
      'mcp.acme.dev',
      `Mcp-Session-Id: ${uuid()}\nMCP-Protocol-Version: 2026-06-18\nAccept: application/json, text/event-stream`,
    ),
    header(
      OPENAI,
      `OpenAI-Organization: org-${word(24)}\nOpenAI-Project: proj_${word(24)}\nX-Stainless-Runtime-Version: v24.21.0\nIdempotency-Key: stainless-node-retry-${uuid()}`,
    ),
    header(
      ANTHROPIC,
      'anthropic-version: 2023-06-01\nanthropic-beta: prompt-caching-2024-07-31,output-128k-2025-02-19\nX-Stainless-Package-Version: 0.60.0',
    ),
    header(
      ANTHROPIC,
      `x-claude-code-session-id: ${uuid()}\nbaggage: sentry-trace_id=${hex(32)},sentry-public_key=${hex(32)},sentry-sample_rate=0.1`,
    ),
    ask(
      ANTHROPIC,
      JSON.stringify({
        model: 'claude-opus',
        messages: [
          {
            role: 'user',
            content: [
              { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: base64(9000) } },
              { type: 'text', text: 'Summarise the contract.' },
            ],
          },
        ],
      }),
    ),
    ask(OPENAI, JSON.stringify({ model: 'whisper-1', input_audio: { data: base64(9000), format: 'wav' } })),
    ask(
      OPENAI,
      JSON.stringify({
        model: 'gpt-5',
        input: [
          { role: 'user', content: [{ type: 'input_image', image_url: `data:image/webp;base64,${base64(9000)}` }] },
        ],
      }),
    ),
  ];
}

export function toolCases(): BenignCase[] {
  return [...tools()];
}
