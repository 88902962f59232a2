import { interceptionOf, listsOf } from './collector-stages.ts';
import type { Config } from './config/schema.ts';
import type { Categories } from './inspect/categories.ts';
import { createDestinations, type DestinationLists, type Destinations } from './inspect/destination.ts';
import type { DestinationRule } from './inspect/destination-rules.ts';
import { createAgentKeys } from './inspect/identity.ts';
import type { Exchange } from './model/exchange.ts';
import type { Finding } from './model/finding.ts';

/** Findings of lists: those a replay makes anew. */
export const LIST_RULES: ReadonlySet<string> = new Set(['destination-blocked', 'destination-not-allowed']);

/** One stored request as lists see it. */
export interface ListedRequest {
  readonly kind: Exchange['kind'];
  readonly agent: string;
  readonly scheme: Exchange['destination']['scheme'];
  readonly host: string;
  readonly port: number;
  readonly method: string;
  /** undefined = not stored as it was. */
  readonly path: string | undefined;
  /** It belongs to a `weir run`, which says itself what is read. */
  readonly run: boolean;
  /** Bytes followed the CONNECT, and it was judged by them, too. */
  readonly begun: boolean;
}

/** What lists say of a stored request: one finding, none, or both with the reason why it is not known. */
export interface ListVerdict {
  readonly possible: readonly (Finding | undefined)[];
  readonly reason?: string;
}

export interface StoredLists {
  /** Some rule asks for a path. */
  readonly readPaths: boolean;
  ask(request: ListedRequest): ListVerdict;
  /** A list names this port of this host, so what is opaque there is expected. */
  namesPort(request: ListedRequest): boolean;
}

type Change = (rule: DestinationRule) => DestinationRule | undefined;
type Ask = (exchange: Exchange) => Finding | undefined;

const AS_IT_IS: Change = (rule) => rule;
const ANY_PATH: Change = (rule) => (rule.paths.length === 0 ? rule : { ...rule, paths: [] });
const NO_PATH: Change = (rule) => (rule.paths.length === 0 ? rule : undefined);
const ANY_REQUEST: Change = (rule) => ({ ...rule, paths: [], methods: [] });

/** The lists of a configuration for requests of which only rows are left. Throws Error for a rule that means nothing. */
export function storedLists(config: Config, categories: Categories): StoredLists {
  const readsTls = interceptionOf(config.intercept, categories);
  const compile = (willRead: boolean, allowed: Change = AS_IT_IS, blocked: Change = AS_IT_IS): Destinations =>
    listed(config, categories, { willRead, allowed, blocked });
  const whole = compile(true);
  const open = by(whole);
  const closed = by(compile(false));
  const worst = by(compile(false, AS_IT_IS, ANY_REQUEST));
  const anywhere = [[ANY_PATH, NO_PATH] as const, [NO_PATH, NO_PATH] as const, [NO_PATH, ANY_PATH] as const].map(
    ([allowed, blocked]) => by(compile(true, allowed, blocked)),
  );
  return {
    readPaths: allRules(config).some(({ paths }) => paths.length > 0),
    namesPort: (request) => whole.namesPort(exchangeOf(request)),
    ask(request) {
      const exchange = exchangeOf(request);
      const all = (asks: readonly Ask[], reason: string): ListVerdict =>
        either(
          asks.map((ask) => ask(exchange)),
          reason,
        );
      if (request.kind === 'exchange') {
        return all(request.path === undefined ? anywhere : [open], 'reads a path that is not stored as it was');
      }
      const read = readsTls(request.host);
      if (request.kind === 'connect') {
        if (!request.run && !request.begun) return all([request.port === 80 || read ? open : closed], '');
        return all([open, closed], 'carried nothing');
      }
      // What was a tunnel may be read the next time, request by request.
      return all(read || request.run ? [open, closed, worst] : [closed], 'was a tunnel');
    },
  };
}

function allRules(config: Config): readonly DestinationRule[] {
  const { allowed, blocked } = config.destinations;
  return [
    allowed,
    blocked,
    ...[...config.agents.values()].flatMap((a) => [a.allowed_domains, a.blocked_domains]),
  ].flat();
}

interface Variant {
  readonly willRead: boolean;
  readonly allowed: Change;
  readonly blocked: Change;
}

function listed(config: Config, categories: Categories, variant: Variant): Destinations {
  const changed = ({ allowed, blocked }: DestinationLists): DestinationLists => ({
    allowed: withChange(allowed, variant.allowed),
    blocked: withChange(blocked, variant.blocked),
  });
  return createDestinations({
    global: changed(config.destinations),
    agents: new Map([...listsOf(config)].map(([key, lists]) => [key, changed(lists)])),
    agentKey: createAgentKeys(config.agents.keys(), config.agent).configKey,
    categories,
    willRead: () => variant.willRead,
  });
}

/** A list that loses its last rule must not become none: `allowed` without entries allows everything. */
function withChange(rules: readonly DestinationRule[], change: Change): readonly DestinationRule[] {
  return rules.map((rule) => change(rule) ?? { ...rule, host: 'nothing.invalid', paths: [] });
}

function by({ inspector }: Destinations): Ask {
  return (exchange) => inspector.inspect(exchange, {}).find(({ rule }) => LIST_RULES.has(rule));
}

function either(findings: readonly (Finding | undefined)[], reason: string): ListVerdict {
  const rules = new Set(findings.map((finding) => finding?.rule));
  const possible = [...rules].map((rule) => findings.find((finding) => finding?.rule === rule));
  return possible.length === 1 ? { possible } : { possible, reason };
}

const ADDRESS = { address: '', port: 0 } as const;

/** An exchange as far as lists look at one. */
export function exchangeOf({ kind, agent, scheme, host, port, method, path }: ListedRequest): Exchange {
  const request = { method, scheme, authority: host, target: path ?? '/', protocol: '1.1', fields: [] } as const;
  return {
    kind: kind === 'exchange' ? kind : 'connect',
    id: '',
    traceId: '',
    spanId: '',
    connection: { id: '', openedAt: 0, client: ADDRESS, via: 'connect', visibility: 'tunnel', exchanges: 0 },
    startedAt: 0,
    startedMono: 0,
    request,
    destination: { scheme, host, port },
    identity: { agent, by: 'default' },
    findings: [],
    ruling: { mode: 'monitor', verdict: 'allow', action: 'forward', would: 'none' },
    firstSeen: false,
    requestBytes: 0,
    responseBytes: 0,
  };
}
