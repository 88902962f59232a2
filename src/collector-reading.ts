import { llmApiOf, llmCall, mcpCall, type ReadCall } from './collector-calls.ts';
import type { SaidPolicies } from './collector-policy-said.ts';
import { readPrices } from './collector-prices.ts';
import type { Config } from './config/schema.ts';
import { type Copy, copyBody } from './content/copy.ts';
import type { Tokens } from './inspect/tokens.ts';
import type { Exchange } from './model/exchange.ts';
import { fieldOf } from './model/fields.ts';
import type { ReadingStage } from './pipeline/stages.ts';

export interface ReadingOptions {
  readonly config: Config;
  /** Keyed hash of the state directory. */
  readonly hash: (text: string) => string;
  readonly tokens: Tokens;
  /** Policies on what is said, as they are for this exchange. */
  readonly said: (exchange: Exchange) => SaidPolicies | undefined;
  readonly failed: (error: unknown) => void;
}

/** A call while it lasts. */
interface Open {
  readonly call: ReadCall;
  /** The response ended before its framing said so, or not all of it could be read. */
  cut: boolean;
}

/** Application protocols read out of bodies, on a copy: LLM APIs and MCP. Outlives reloads: what is open keeps its reader. */
export function readingStage({ config, hash, tokens, said, failed }: ReadingOptions): ReadingStage {
  const { decoded_bytes: decodedBytes, decode_ratio: decodeRatio } = config.body;
  const prices = readPrices(config.telemetry.prices_file);
  const exports = config.telemetry.content === 'on';
  const calls = new WeakMap<Exchange, Open>();
  const copy = (fields: readonly string[], onData: (bytes: Uint8Array) => void): Copy | undefined =>
    copyBody({ contentEncoding: fieldOf(fields, 'content-encoding'), decodedBytes, decodeRatio, onData });
  const request = (exchange: Exchange) => {
    // Cheap where it is no such call: most requests have no body and are not asked about.
    if (exchange.kind !== 'exchange' || exchange.request.method !== 'POST') return undefined;
    const call =
      llmCall(exchange, { tokens, prices, keeps: exports || said(exchange) !== undefined, exports }) ??
      mcpCall(exchange, hash);
    if (call === undefined) return undefined;
    calls.set(exchange, { call, cut: false });
    const body = copy(exchange.request.fields, (bytes) => call.ask(bytes));
    return body && { push: (payload: Uint8Array) => body.push(payload), finish: () => waited(body.finish()) };
  };
  const response = (exchange: Exchange) => {
    const open = calls.get(exchange);
    if (open === undefined) return undefined;
    const body = copy(exchange.responseFields ?? [], (bytes) => open.call.answer(bytes, performance.now()));
    open.cut = body === undefined;
    if (body === undefined) return undefined;
    return {
      push: (payload: Uint8Array) => body.push(payload),
      finish: (complete: boolean) =>
        waited(body.finish(), (whole) => {
          open.cut = !complete || !whole;
        }),
    };
  };
  return {
    copy: (exchange, direction) => (direction === 'request' ? request(exchange) : response(exchange)),
    holds: (exchange) =>
      // Elsewhere nothing said could be stopped, and nobody should wait.
      exchange.ruling.mode === 'enforce' && said(exchange)?.readPrompts === true && llmApiOf(exchange) !== undefined,
    judge(exchange, direction) {
      const words = calls.get(exchange)?.call.said();
      return words === undefined ? [] : (said(exchange)?.judge(exchange, direction, words) ?? []);
    },
    told(exchange) {
      const open = calls.get(exchange);
      return open?.call.told(exchange, open.cut);
    },
    failed,
  };
}

function waited(whole: boolean | Promise<boolean>, then: (whole: boolean) => void = () => undefined) {
  if (whole instanceof Promise) return whole.then(then);
  then(whole);
  return undefined;
}
