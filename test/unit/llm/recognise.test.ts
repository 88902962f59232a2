import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recogniseLlm } from '../../../src/llm/recognise.ts';

const JSON_TYPE = 'application/json';
const at = (host: string, path: string, requestContentType: string | undefined = JSON_TYPE, method = 'POST') =>
  recogniseLlm({ host, method, path, requestContentType });

/** host, path, kind, provider, model, stream */
const KNOWN: readonly (readonly [string, string, string, string, (string | undefined)?, true?])[] = [
  ['api.openai.com', '/v1/chat/completions', 'openai.chat', 'openai'],
  ['eu.api.openai.com', '/v1/responses', 'openai.responses', 'openai'],
  ['api.openai.com', '/v1/embeddings', 'openai.embeddings', 'openai'],
  ['api.openai.com', '/v1/completions', 'openai.completions', 'openai'],
  ['chatgpt.com', '/backend-api/codex/responses', 'openai.responses', 'openai'],
  ['api.anthropic.com', '/v1/messages?beta=true', 'anthropic.messages', 'anthropic'],
  [
    'generativelanguage.googleapis.com',
    '/v1beta/models/gemini-3-pro:generateContent',
    'gemini.generate',
    'gcp.gemini',
    'gemini-3-pro',
  ],
  [
    'generativelanguage.googleapis.com',
    '/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse',
    'gemini.generate',
    'gcp.gemini',
    'gemini-3-pro',
    true,
  ],
  ['generativelanguage.googleapis.com', '/v1beta/openai/chat/completions', 'openai.chat', 'gcp.gemini'],
  [
    'us-central1-aiplatform.googleapis.com',
    '/v1/projects/p/locations/l/publishers/google/models/gemini-3:generateContent',
    'gemini.generate',
    'gcp.vertex_ai',
    'gemini-3',
  ],
  [
    'aiplatform.googleapis.com',
    '/v1/projects/p/locations/global/publishers/anthropic/models/claude-x:streamRawPredict',
    'anthropic.messages',
    'gcp.vertex_ai',
    'claude-x',
    true,
  ],
  [
    'cloudcode-pa.googleapis.com',
    '/v1internal:streamGenerateContent?alt=sse',
    'gemini.generate',
    'gcp.gen_ai',
    undefined,
    true,
  ],
  [
    'bedrock-runtime.us-east-1.amazonaws.com',
    '/model/anthropic.claude-3-v1%3A0/converse',
    'bedrock.converse',
    'aws.bedrock',
    'anthropic.claude-3-v1:0',
  ],
  [
    'bedrock-runtime-fips.us-east-1.amazonaws.com',
    '/model/m/converse-stream',
    'bedrock.converse',
    'aws.bedrock',
    'm',
    true,
  ],
  ['vpce-1.bedrock-runtime.eu-west-1.vpce.amazonaws.com', '/model/m/invoke', 'bedrock.invoke', 'aws.bedrock', 'm'],
  [
    'bedrock-runtime.us-east-1.amazonaws.com',
    '/model/arn%3Aaws%3Abedrock%3A%3A1%3Ainference-profile%2Fx/invoke-with-response-stream',
    'bedrock.invoke',
    'aws.bedrock',
    'arn:aws:bedrock::1:inference-profile/x',
    true,
  ],
  [
    'acme.openai.azure.com',
    '/openai/deployments/gpt/chat/completions?api-version=2024-10-21',
    'openai.chat',
    'azure.ai.openai',
    'gpt',
  ],
  ['acme.openai.azure.com', '/openai/responses?api-version=preview', 'openai.responses', 'azure.ai.openai'],
  ['acme.services.ai.azure.com', '/models/chat/completions', 'openai.chat', 'azure.ai.inference'],
  ['openrouter.ai', '/api/v1/chat/completions', 'openai.chat', 'openrouter'],
  ['api.groq.com', '/openai/v1/chat/completions', 'openai.chat', 'groq'],
  ['api.mistral.ai', '/v1/chat/completions', 'openai.chat', 'mistral_ai'],
  ['codestral.mistral.ai', '/v1/fim/completions', 'openai.completions', 'mistral_ai'],
  ['api.deepseek.com', '/chat/completions', 'openai.chat', 'deepseek'],
  ['api.deepseek.com', '/beta/completions', 'openai.completions', 'deepseek'],
  ['api.deepseek.com', '/anthropic/v1/messages', 'anthropic.messages', 'deepseek'],
  ['api.x.ai', '/v1/chat/completions', 'openai.chat', 'x_ai'],
  ['ollama.com', '/api/chat', 'ollama.chat', 'ollama'],
];

for (const [host, path, kind, provider, model, stream] of KNOWN) {
  test(`${host}${path} is ${kind} of ${provider}`, () => {
    const api = at(host, path);
    assert.equal(api?.kind, kind);
    assert.equal(api?.provider, provider);
    assert.equal(api?.compatible, undefined);
    assert.equal(api?.model, model);
    assert.equal(api?.stream, stream);
  });
}

test('a compatible server is told by its path, and said to be no more than that', () => {
  const cases: readonly (readonly [string, string, string, string])[] = [
    ['127.0.0.1', '/v1/chat/completions', 'openai.chat', 'openai'],
    ['vllm.internal', '/v1/completions', 'openai.completions', 'openai'],
    ['litellm.corp.example', '/chat/completions', 'openai.chat', 'openai'],
    ['gateway.example', '/openai/deployments/d/embeddings', 'openai.embeddings', 'azure.ai.openai'],
    ['gateway.example', '/v1/messages', 'anthropic.messages', 'anthropic'],
    ['gateway.example', '/v1beta/models/g:generateContent', 'gemini.generate', 'gcp.gen_ai'],
    ['gateway.example', '/model/m/converse', 'bedrock.converse', 'aws.bedrock'],
    ['localhost', '/api/chat', 'ollama.chat', 'ollama'],
    ['10.0.0.7', '/api/generate', 'ollama.generate', 'ollama'],
    ['gpu-box', '/api/embed', 'ollama.embed', 'ollama'],
  ];
  for (const [host, path, kind, provider] of cases) {
    const api = at(host, path);
    assert.deepEqual([api?.kind, api?.provider, api?.compatible], [kind, provider, true], host + path);
  }
});

test('the operation is what the kind, or at Invoke the model, is for', () => {
  assert.equal(at('api.openai.com', '/v1/chat/completions')?.operation, 'chat');
  assert.equal(at('api.openai.com', '/v1/completions')?.operation, 'text_completion');
  assert.equal(at('api.openai.com', '/v1/embeddings')?.operation, 'embeddings');
  assert.equal(
    at('generativelanguage.googleapis.com', '/v1beta/models/g:generateContent')?.operation,
    'generate_content',
  );
  assert.equal(at('x', '/model/amazon.titan-embed-text-v2%3A0/invoke')?.operation, 'embeddings');
  assert.equal(at('x', '/model/cohere.embed-english-v3/invoke')?.operation, 'embeddings');
  assert.equal(at('x', '/model/amazon.titan-text-lite-v1/invoke')?.operation, 'text_completion');
  assert.equal(at('x', '/model/anthropic.claude/invoke')?.operation, 'chat');
});

test('what is no LLM call is none', () => {
  assert.equal(at('api.openai.com', '/v1/models'), undefined);
  assert.equal(at('api.openai.com', '/v1/chat/completions', JSON_TYPE, 'GET'), undefined);
  assert.equal(at('api.openai.com', '/v1/chat/completions', 'multipart/form-data; boundary=x'), undefined);
  assert.equal(at('api.anthropic.com', '/v1/messages/count_tokens'), undefined);
  assert.equal(at('api.anthropic.com', '/v1/messages/batches'), undefined);
  assert.equal(at('shop.example', '/api/chat'), undefined);
  assert.equal(at('survey.example', '/responses'), undefined);
  assert.equal(at('course.example', '/completions'), undefined);
  assert.equal(at('evil.example', '/?/v1/chat/completions'), undefined);
  assert.equal(at('api.openai.com.evil.example', '/v1/chat/completions')?.compatible, true);
});

test('curl and browsers name other types for JSON', () => {
  for (const type of [
    undefined,
    '',
    'application/x-www-form-urlencoded',
    'text/plain;charset=UTF-8',
    'application/vnd.x+json',
    'Application/JSON; charset=utf-8',
  ]) {
    const head = { host: 'localhost', method: 'POST', path: '/v1/chat/completions', requestContentType: type };
    assert.equal(recogniseLlm(head)?.kind, 'openai.chat', type);
  }
});

test('a path that cannot be decoded, and one too long', () => {
  assert.equal(at('x', '/model/%zz/converse')?.model, '%zz');
  assert.equal(at('x', `/model/${'m'.repeat(300)}/converse`)?.model, undefined);
});
