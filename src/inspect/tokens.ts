import type { Finding } from '../model/finding.ts';
import type { LlmFacts, TokenHistory } from '../model/llm.ts';

/** Tokens an agent spends on LLM calls, against its own history. One per traffic thread. */
export interface Tokens {
  /** Takes in what is stored, for agents that spent nothing since the start. */
  load(histories: readonly TokenHistory[]): void;
  /** One finished call; what is far beyond is told: each such call, and each such hour once. `at`: epoch ms. */
  spent(agent: string, facts: LlmFacts, at: number): readonly Finding[];
}

/** Calls and hours of an agent that are remembered. */
export const CALLS_KEPT = 200;
export const HOURS_KEPT = 168;
/** Agents that are remembered; beyond it the one that has been quiet longest is forgotten. */
const AGENTS_KEPT = 1000;

/** Nothing is judged before that much is known. */
const CALLS_NEEDED = 30;
const HOURS_NEEDED = 12;
/** Far beyond: more than this often the most there was, and more than anybody would overlook. */
const CALL_FACTOR = 4;
const CALL_LEAST = 50_000;
const HOUR_FACTOR = 4;
const HOUR_LEAST = 500_000;
const HOUR_MS = 3_600_000;

interface Spender {
  /** Tokens of the last calls; a ring. */
  readonly calls: number[];
  next: number;
  /** Tokens by hour, the oldest first; the last one is under way. */
  readonly hours: { readonly hour: number; sum: number; told: boolean }[];
}

export function createTokens(): Tokens {
  const spenders = new Map<string, Spender>();
  const of = (agent: string): Spender => {
    let spender = spenders.get(agent);
    if (spender === undefined) {
      if (spenders.size >= AGENTS_KEPT) spenders.delete(spenders.keys().next().value as string);
      spender = { calls: [], next: 0, hours: [] };
    } else spenders.delete(agent);
    // Moved to the young end.
    spenders.set(agent, spender);
    return spender;
  };
  return {
    load(histories) {
      for (const { agent, calls, hours } of histories) {
        if (spenders.has(agent)) continue;
        const spender = of(agent);
        spender.calls.push(...calls.slice(-CALLS_KEPT));
        spender.next = spender.calls.length % CALLS_KEPT;
        for (const [hour, sum] of hours.slice(-HOURS_KEPT)) spender.hours.push({ hour, sum, told: true });
      }
    },
    spent(agent, { request, response }, at) {
      const { input = 0, output = 0 } = response?.usage ?? {};
      const total = input + output;
      if (total === 0) return [];
      const spender = of(agent);
      const model = response?.model ?? request.model ?? 'a model';
      const call = callFinding(spender, agent, total, model);
      keepCall(spender, total);
      const hour = hourFinding(spender, agent, total, Math.floor(at / HOUR_MS));
      return [call, hour].filter((finding) => finding !== undefined);
    },
  };
}

function keepCall(spender: Spender, total: number): void {
  if (spender.calls.length < CALLS_KEPT) spender.calls.push(total);
  else spender.calls[spender.next] = total;
  spender.next = (spender.next + 1) % CALLS_KEPT;
}

function callFinding(spender: Spender, agent: string, total: number, model: string): Finding | undefined {
  const { calls } = spender;
  if (calls.length < CALLS_NEEDED || total < CALL_LEAST) return undefined;
  const most = Math.max(...calls);
  if (total <= most * CALL_FACTOR) return undefined;
  const evidence = `the most of its last ${calls.length} calls was ${count(most)}`;
  return finding('tokens-call', `${agent} spent ${count(total)} tokens in one call of ${model}; ${evidence}`);
}

function hourFinding(spender: Spender, agent: string, total: number, hour: number): Finding | undefined {
  const { hours } = spender;
  let current = hours.at(-1);
  if (current === undefined || current.hour !== hour) {
    // A call that began in the hour before counts in the hour it ended in.
    if (current !== undefined && current.hour > hour) return undefined;
    current = { hour, sum: 0, told: false };
    hours.push(current);
    if (hours.length > HOURS_KEPT) hours.shift();
  }
  current.sum += total;
  if (current.told || hours.length <= HOURS_NEEDED || current.sum < HOUR_LEAST) return undefined;
  let most = 0;
  for (const { sum } of hours.slice(0, -1)) most = Math.max(most, sum);
  if (current.sum <= most * HOUR_FACTOR) return undefined;
  current.told = true;
  const evidence = `the most of its last ${hours.length - 1} hours with calls was ${count(most)}`;
  return finding('tokens-hour', `${agent} has spent ${count(current.sum)} tokens within an hour; ${evidence}`);
}

const count = (tokens: number): string => tokens.toLocaleString('en-US');

function finding(rule: string, message: string): Finding {
  return { inspector: 'tokens', rule, severity: 'medium', disposition: 'flag', message };
}
