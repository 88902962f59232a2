import type { LlmApi, LlmFacts, LlmRequestFacts, LlmResponseFacts } from '../model/llm.ts';

/**
 * Puts one call together. `startedAt`: the clock the response reader was given, when the request began; `unitsPerSecond`: of that
 * clock, 1000 for milliseconds.
 */
export function llmFacts(
  api: LlmApi,
  request: LlmRequestFacts,
  response?: LlmResponseFacts,
  startedAt?: number,
  unitsPerSecond = 1000,
): LlmFacts {
  if (response === undefined) return { api, request };
  const { firstEventAt, firstTokenAt, ...kept } = response;
  const seconds = (at: number | undefined): number | undefined =>
    at === undefined || startedAt === undefined ? undefined : Math.max(0, at - startedAt) / unitsPerSecond;
  const timeToFirstChunk = seconds(firstEventAt);
  const timeToFirstToken = seconds(firstTokenAt);
  return {
    api,
    request,
    response: kept,
    ...(timeToFirstChunk !== undefined && { timeToFirstChunk }),
    ...(timeToFirstToken !== undefined && { timeToFirstToken }),
  };
}
