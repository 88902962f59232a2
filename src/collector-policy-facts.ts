import { llmApiOf } from './collector-calls.ts';
import type { LiveExchange } from './pipeline/live.ts';
import type { Attributes, AttributeValue } from './policy/cel-context.ts';

/** What policies read beside the exchange itself: the baseline's word, tenant, credential, environment, a tunnel's protocol. */
type Read = (exchange: LiveExchange, environment?: string, protocol?: string) => AttributeValue | undefined;

const MORE: ReadonlyMap<string, Read> = new Map<string, Read>([
  ['weir.baseline.state', ({ baselineState }) => baselineState],
  ['weir.destination.tenant', ({ tenant }) => tenant],
  ['weir.credential.fingerprint', ({ credentialFp }) => credentialFp],
  ['strathon.project.environment', (_, environment) => environment],
  ['deployment.environment', (_, environment) => environment],
  ['weir.tunnel.protocol', (_, __, protocol) => protocol],
  ['gen_ai.provider.name', (exchange) => llmApiOf(exchange)?.provider],
  ['gen_ai.operation.name', (exchange) => llmApiOf(exchange)?.operation],
]);

/** @param environment `deployment.environment.name` of the resource · @param protocol what a CONNECT turned out to carry */
export function moreOf(exchange: LiveExchange, environment?: string, protocol?: string): Attributes {
  return {
    get: (key) => MORE.get(key)?.(exchange, environment, protocol),
    keys: () => MORE.keys(),
  };
}

/** `deployment.environment.name`, or its old name, of OTEL_RESOURCE_ATTRIBUTES: what spans say, policies say too. */
export function environmentOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const pairs = (env['OTEL_RESOURCE_ATTRIBUTES'] ?? '').split(',').map((pair) => pair.split('=', 2));
  const named = (name: string): string | undefined => pairs.find(([key]) => key?.trim() === name)?.[1]?.trim();
  const value = named('deployment.environment.name') ?? named('deployment.environment');
  return value === undefined || value === '' ? undefined : value;
}
