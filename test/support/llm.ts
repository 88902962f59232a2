import type { IncomingMessage, ServerResponse } from 'node:http';

/** Words the stand-ins answer with, one streamed event each. */
export const WORDS = ['A ', 'weir ', 'is ', 'a ', 'low ', 'barrier.'];

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const part of request) text += String(part);
  return JSON.parse(text) as Record<string, unknown>;
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

const usage = { prompt_tokens: 12, completion_tokens: WORDS.length, total_tokens: 12 + WORDS.length };

/** `POST /v1/chat/completions` in the documented format, streamed when asked. */
export async function openAi(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { model, stream } = await bodyOf(request);
  const common = { id: 'chatcmpl-standin', created: 1_700_000_000, model };
  if (stream !== true) {
    const message = { role: 'assistant', content: WORDS.join(''), refusal: null };
    const choices = [{ index: 0, message, finish_reason: 'stop', logprobs: null }];
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ ...common, object: 'chat.completion', choices, usage }));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  const say = (delta: object, finish: string | null): void => {
    const choices = [{ index: 0, delta, finish_reason: finish, logprobs: null }];
    response.write(`data: ${JSON.stringify({ ...common, object: 'chat.completion.chunk', choices })}\n\n`);
  };
  say({ role: 'assistant', content: '' }, null);
  for (const word of WORDS) {
    say({ content: word }, null);
    await pause();
  }
  say({}, 'stop');
  response.end('data: [DONE]\n\n');
}

/** `POST /v1/messages` in the documented format, streamed when asked. */
export async function anthropic(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { model, stream } = await bodyOf(request);
  const tokens = { input_tokens: 12, output_tokens: WORDS.length };
  const message = { id: 'msg_standin', type: 'message', role: 'assistant', model, stop_sequence: null };
  if (stream !== true) {
    response.writeHead(200, { 'content-type': 'application/json' });
    const content = [{ type: 'text', text: WORDS.join('') }];
    response.end(JSON.stringify({ ...message, content, stop_reason: 'end_turn', usage: tokens }));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
  const say = (event: Record<string, unknown>): void => {
    response.write(`event: ${String(event['type'])}\ndata: ${JSON.stringify(event)}\n\n`);
  };
  say({
    type: 'message_start',
    message: { ...message, content: [], stop_reason: null, usage: { ...tokens, output_tokens: 1 } },
  });
  say({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } });
  say({ type: 'ping' });
  for (const word of WORDS) {
    say({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: word } });
    await pause();
  }
  say({ type: 'content_block_stop', index: 0 });
  say({
    type: 'message_delta',
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: WORDS.length },
  });
  say({ type: 'message_stop' });
  response.end();
}
