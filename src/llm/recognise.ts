import type { LlmApi, LlmApiKind, LlmOperation } from '../model/llm.ts';
import { providerOf } from './providers.ts';

/** What is known of a request before its body. */
export interface LlmRequestHead {
  /** Normalised. */
  readonly host: string;
  readonly method: string;
  /** With or without query. */
  readonly path: string;
  readonly requestContentType: string | undefined;
}

const OPERATIONS: Record<LlmApiKind, LlmOperation> = {
  'openai.chat': 'chat',
  'openai.responses': 'chat',
  'openai.embeddings': 'embeddings',
  'openai.completions': 'text_completion',
  'anthropic.messages': 'chat',
  'gemini.generate': 'generate_content',
  'bedrock.converse': 'chat',
  'bedrock.invoke': 'chat',
  'ollama.chat': 'chat',
  'ollama.generate': 'text_completion',
  'ollama.embed': 'embeddings',
};

/** Whose API a kind is, when the host does not tell. */
const INVENTORS: Record<LlmApiKind, string> = {
  'openai.chat': 'openai',
  'openai.responses': 'openai',
  'openai.embeddings': 'openai',
  'openai.completions': 'openai',
  'anthropic.messages': 'anthropic',
  'gemini.generate': 'gcp.gen_ai',
  'bedrock.converse': 'aws.bedrock',
  'bedrock.invoke': 'aws.bedrock',
  'ollama.chat': 'ollama',
  'ollama.generate': 'ollama',
  'ollama.embed': 'ollama',
};

/** What a path says, and how sure it is by itself. */
interface PathRule {
  readonly path: RegExp;
  readonly kind: LlmApiKind;
  /** Too common a word: only at a provider's host. */
  readonly known?: true;
  readonly stream?: true;
  /** Whose servers have this path, whatever the host. */
  readonly provider?: string;
}

/** The first that matches counts. The group `model` is the model or deployment. */
const PATHS: readonly PathRule[] = [
  { path: /^\/model\/(?<model>.+)\/converse$/, kind: 'bedrock.converse' },
  { path: /^\/model\/(?<model>.+)\/converse-stream$/, kind: 'bedrock.converse', stream: true },
  { path: /^\/model\/(?<model>.+)\/invoke$/, kind: 'bedrock.invoke' },
  { path: /^\/model\/(?<model>.+)\/invoke-with-response-stream$/, kind: 'bedrock.invoke', stream: true },
  {
    path: /\/publishers\/anthropic\/models\/(?<model>[^/:]+):rawPredict$/,
    kind: 'anthropic.messages',
    provider: 'gcp.vertex_ai',
  },
  {
    path: /\/publishers\/anthropic\/models\/(?<model>[^/:]+):streamRawPredict$/,
    kind: 'anthropic.messages',
    provider: 'gcp.vertex_ai',
    stream: true,
  },
  { path: /\/(?:models|endpoints|tunedModels)\/(?<model>[^/:]+):generateContent$/, kind: 'gemini.generate' },
  {
    path: /\/(?:models|endpoints|tunedModels)\/(?<model>[^/:]+):streamGenerateContent$/,
    kind: 'gemini.generate',
    stream: true,
  },
  { path: /^\/v1internal:generateContent$/, kind: 'gemini.generate' },
  { path: /^\/v1internal:streamGenerateContent$/, kind: 'gemini.generate', stream: true },
  {
    path: /\/openai\/deployments\/(?<model>[^/]+)\/chat\/completions$/,
    kind: 'openai.chat',
    provider: 'azure.ai.openai',
  },
  {
    path: /\/openai\/deployments\/(?<model>[^/]+)\/completions$/,
    kind: 'openai.completions',
    provider: 'azure.ai.openai',
  },
  {
    path: /\/openai\/deployments\/(?<model>[^/]+)\/embeddings$/,
    kind: 'openai.embeddings',
    provider: 'azure.ai.openai',
  },
  { path: /\/chat\/completions$/, kind: 'openai.chat' },
  { path: /\/v1\/messages$/, kind: 'anthropic.messages' },
  { path: /\/v1\/responses$/, kind: 'openai.responses' },
  { path: /\/v1\/embeddings$/, kind: 'openai.embeddings' },
  { path: /\/v1\/(?:engines\/(?<model>[^/]+)\/)?completions$/, kind: 'openai.completions' },
  { path: /\/responses$/, kind: 'openai.responses', known: true },
  { path: /\/embeddings$/, kind: 'openai.embeddings', known: true },
  { path: /\/completions$/, kind: 'openai.completions', known: true },
  { path: /^\/api\/chat$/, kind: 'ollama.chat' },
  { path: /^\/api\/generate$/, kind: 'ollama.generate' },
  { path: /^\/api\/embed$/, kind: 'ollama.embed' },
];

/**
 * Ollama's paths are words anybody's web application uses (`/api/chat`): they count on the hosts such a server stands on, private
 * addresses and names that are no public ones.
 */
const LOCAL =
  /^(?:127\.|10\.|192\.168\.|172\.(?:1[6-9]|2[0-9]|3[01])\.|\[?(?:::1|f[cd])|[^.:]+$)|ollama|\.(?:local|lan|internal|localhost)$/;

/** A model's name as a path carries it; longer is none. */
const MOST_MODEL = 256;

/**
 * The LLM API a request is for, by its address alone, or `undefined`. A compatible server is recognised by the path, whatever its
 * host; then the provider is the API's inventor and `compatible` says so.
 */
export function recogniseLlm(head: LlmRequestHead): LlmApi | undefined {
  if (head.method !== 'POST' || !mayBeJson(head.requestContentType)) return undefined;
  const query = head.path.indexOf('?');
  const path = query === -1 ? head.path : head.path.slice(0, query);
  const provider = providerOf(head.host);
  for (const rule of PATHS) {
    const match = rule.path.exec(path);
    if (match === null || !mayStand(rule, head.host, provider)) continue;
    const model = decoded(match.groups?.['model']);
    return {
      kind: rule.kind,
      operation: operationOf(rule.kind, model),
      provider: provider ?? rule.provider ?? INVENTORS[rule.kind],
      ...(provider === undefined && { compatible: true }),
      ...(model !== undefined && { model }),
      ...(rule.stream && { stream: true }),
    };
  }
  return undefined;
}

function mayStand(rule: PathRule, host: string, provider: string | undefined): boolean {
  if (rule.known) return provider !== undefined;
  if (rule.kind.startsWith('ollama.')) return provider === 'ollama' || LOCAL.test(host);
  return true;
}

/**
 * `curl -d` says form-encoded and browsers say text/plain of JSON they send; servers such as Ollama take both. What it really is
 * the body tells.
 */
function mayBeJson(contentType: string | undefined): boolean {
  const type = contentType?.split(';')[0]?.trim().toLowerCase() ?? '';
  return /^(?:|application\/(?:[a-z0-9.+-]+\+)?json|application\/x-www-form-urlencoded|text\/plain)$/.test(type);
}

/** Bedrock's Invoke takes every family by one path; the model's name tells what it is asked. */
function operationOf(kind: LlmApiKind, model: string | undefined): LlmOperation {
  if (kind !== 'bedrock.invoke') return OPERATIONS[kind];
  if (/\bembed|titan-embed/.test(model ?? '')) return 'embeddings';
  return /titan-text/.test(model ?? '') ? 'text_completion' : 'chat';
}

function decoded(model: string | undefined): string | undefined {
  if (model === undefined || model.length > MOST_MODEL) return undefined;
  try {
    return decodeURIComponent(model);
  } catch {
    return model;
  }
}
