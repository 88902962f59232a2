/** What a host is known for. */
interface KnownHost {
  readonly host: RegExp;
  /** `gen_ai.provider.name`: the conventions' name where they have one, else the service's own. */
  readonly provider: string;
}

/** Hosts of the providers' API references, 2026-11-20. */
const HOSTS: readonly KnownHost[] = [
  { host: /^(?:[a-z0-9-]+\.)?api\.openai\.com$|^chatgpt\.com$/, provider: 'openai' },
  { host: /^api\.anthropic\.com$/, provider: 'anthropic' },
  { host: /(?:^|\.)bedrock-(?:runtime|mantle)(?:-fips)?\.[a-z0-9.-]+$/, provider: 'aws.bedrock' },
  { host: /^[a-z0-9-]+\.(?:openai|cognitiveservices)\.azure\.(?:com|us|cn)$/, provider: 'azure.ai.openai' },
  {
    host: /^[a-z0-9-]+\.(?:services|inference|models)\.ai\.azure\.(?:com|us|cn)$|^models\.inference\.ai\.azure\.com$/,
    provider: 'azure.ai.inference',
  },
  { host: /^generativelanguage\.googleapis\.com$/, provider: 'gcp.gemini' },
  { host: /(?:^|[.-])aiplatform(?:\.[a-z0-9-]+\.rep)?\.googleapis\.com$/, provider: 'gcp.vertex_ai' },
  { host: /\.googleapis\.com$/, provider: 'gcp.gen_ai' },
  { host: /^(?:api|codestral)\.mistral\.ai$/, provider: 'mistral_ai' },
  { host: /^api\.cohere\.(?:com|ai)$/, provider: 'cohere' },
  { host: /^api\.deepseek\.com$/, provider: 'deepseek' },
  { host: /^api\.groq\.com$/, provider: 'groq' },
  { host: /^api\.perplexity\.ai$/, provider: 'perplexity' },
  { host: /^(?:[a-z0-9-]+\.)?api\.x\.ai$/, provider: 'x_ai' },
  { host: /^api\.moonshot\.(?:ai|cn)$/, provider: 'moonshot_ai' },
  { host: /^openrouter\.ai$/, provider: 'openrouter' },
  { host: /^api\.together\.(?:xyz|ai)$/, provider: 'together_ai' },
  { host: /^api\.fireworks\.ai$/, provider: 'fireworks_ai' },
  { host: /^api\.cerebras\.ai$/, provider: 'cerebras' },
  { host: /^router\.huggingface\.co$/, provider: 'huggingface' },
  { host: /^models\.github\.ai$|^api(?:\.[a-z0-9-]+)?\.githubcopilot\.com$/, provider: 'github' },
  { host: /^integrate\.api\.nvidia\.com$/, provider: 'nvidia' },
  { host: /^ollama\.com$/, provider: 'ollama' },
];

/** `gen_ai.provider.name` of a normalised host; `undefined`: none we know. */
export function providerOf(host: string): string | undefined {
  return HOSTS.find((known) => known.host.test(host))?.provider;
}
