import { hostPort } from '../model/destination.ts';
import type { Exchange } from '../model/exchange.ts';
import { fieldOf } from '../model/fields.ts';
import type { Finding } from '../model/finding.ts';
import type { Inspector } from '../model/ports.ts';
import type { Categories } from './categories.ts';
import {
  allowance,
  blockedBy,
  compileRules,
  type DestinationRule,
  namesPort,
  type RuleList,
} from './destination-rules.ts';

export interface DestinationLists {
  readonly allowed: readonly DestinationRule[];
  readonly blocked: readonly DestinationRule[];
}

export interface DestinationOptions {
  readonly global: DestinationLists;
  /** Keyed like `agents:`; `agentKey` leads from a name to its key. */
  readonly agents: ReadonlyMap<string, DestinationLists>;
  readonly agentKey: (agent: string) => string;
  readonly categories: Categories;
  /** A person accepted this destination: its risky category is no news (product.md §6). */
  readonly accepted?: (agent: string, host: string, port: number) => boolean;
  /** False when what follows this CONNECT will stay a tunnel: rules about methods and paths then allow nothing. */
  readonly willRead?: (exchange: Exchange) => boolean;
  /** False when TLS inside this CONNECT will not be read. */
  readonly readsTls?: (exchange: Exchange) => boolean;
}

export interface Destinations {
  readonly inspector: Inspector;
  /** Asked again with what a CONNECT turned out to carry. */
  readonly carried: Inspector;
  /** A list names this destination (not just `*`). */
  allows(exchange: Exchange): boolean;
  /** An allow list names this host with this port. */
  namesPort(exchange: Exchange): boolean;
}

interface Compiled {
  readonly allowed: RuleList;
  readonly blocked: RuleList;
}

const NONE: readonly Finding[] = [];
const NOT_ALLOWED = 'destination-not-allowed';
/** Request bodies over this many bytes in clear are an upload worth a word. */
const CLEARTEXT_BYTES = 1024;

/**
 * Where agents may go (product.md §7.1). Lists add up; a block wins over every allow; no allow entry anywhere for this agent
 * means everything, one entry means only the union. Throws Error at compile time for a rule that means nothing.
 */
export function createDestinations(options: DestinationOptions): Destinations {
  const { categories, agentKey } = options;
  const compile = (lists: DestinationLists): Compiled => ({
    allowed: compileRules(lists.allowed, categories),
    blocked: compileRules(lists.blocked, categories),
  });
  const global = compile(options.global);
  const nothing = compile({ allowed: [], blocked: [] });
  const agents = new Map([...options.agents].map(([key, lists]) => [key, compile(lists)]));
  const own = (exchange: Exchange): Compiled => agents.get(agentKey(exchange.identity.agent)) ?? nothing;
  const explicit = (exchange: Exchange): boolean =>
    allowance(global.allowed, exchange) === 'explicit' || allowance(own(exchange).allowed, exchange) === 'explicit';

  const inspect = (exchange: Exchange): readonly Finding[] => {
    const mine = agents.size === 0 ? nothing : own(exchange);
    const blocked = blockedBy(global.blocked, exchange) ?? blockedBy(mine.blocked, exchange);
    if (blocked !== undefined) return [blockedFinding(exchange, blocked)];
    if (!global.allowed.empty || !mine.allowed.empty) {
      const refused = notAllowed(global, mine, exchange, options.willRead);
      if (refused !== undefined) return [refused];
    }
    return risk(options, exchange, explicit);
  };
  return {
    inspector: { id: 'destination', phase: 'request', inspect },
    carried: {
      id: 'destination',
      phase: 'tls',
      inspect(exchange, { tls, protocol }) {
        const read = tls === undefined ? isRead(protocol ?? '') : options.readsTls?.(exchange) !== false;
        if (read || exchange.findings.some(({ rule }) => rule === NOT_ALLOWED)) return NONE;
        const mine = own(exchange);
        if (global.allowed.empty && mine.allowed.empty) return NONE;
        const refused = notAllowed(global, mine, exchange, unread);
        return refused === undefined ? NONE : [refused];
      },
    },
    allows: explicit,
    namesPort(exchange) {
      const { host, port } = exchange.destination;
      return namesPort(global.allowed, host, port) || namesPort(own(exchange).allowed, host, port);
    },
  };
}

/** Nothing yet, or exchanges that are judged one by one. */
function isRead(protocol: string): boolean {
  return protocol === '' || protocol === 'silence' || protocol === 'http/1.1' || protocol === 'h2';
}

function unread(): boolean {
  return false;
}

function blockedFinding(exchange: Exchange, rule: DestinationRule): Finding {
  const { host } = exchange.destination;
  return {
    inspector: 'destination',
    rule: 'destination-blocked',
    severity: 'high',
    disposition: 'block',
    message: rule.host === host ? `${host} is on a block list` : `${host} is on a block list (${rule.host})`,
    blockReason: 'destination',
  };
}

function notAllowed(
  global: Compiled,
  mine: Compiled,
  exchange: Exchange,
  willRead: DestinationOptions['willRead'],
): Finding | undefined {
  const first = allowance(global.allowed, exchange);
  if (first === 'explicit' || first === 'any') return undefined;
  const second = allowance(mine.allowed, exchange);
  if (second === 'explicit' || second === 'any') return undefined;
  const { host, port } = exchange.destination;
  const { agent } = exchange.identity;
  const scoped = first === 'scoped' || second === 'scoped';
  if (scoped && (willRead === undefined || willRead(exchange))) return undefined;
  return {
    inspector: 'destination',
    rule: NOT_ALLOWED,
    severity: 'high',
    disposition: 'block',
    message: scoped
      ? `${hostPort(host, port)} is allowed for ${agent} only with a method or path, which cannot be seen in a tunnel`
      : `${hostPort(host, port)} is not allowed for ${agent}`,
    blockReason: 'destination',
  };
}

/** Risky categories are flagged from the first request on, unless somebody said yes to this destination. */
function risk(
  options: DestinationOptions,
  exchange: Exchange,
  explicit: (exchange: Exchange) => boolean,
): readonly Finding[] {
  const { host, port, scheme } = exchange.destination;
  const category = options.categories.risky(host);
  const cleartext = scheme === 'http' && isCleartextUpload(exchange);
  if (category === undefined && !cleartext) return NONE;
  if (options.accepted?.(exchange.identity.agent, host, port) === true || explicit(exchange)) return NONE;
  const findings: Finding[] = [];
  if (category !== undefined) {
    findings.push({
      inspector: 'destination',
      rule: 'risky-destination',
      severity: 'medium',
      disposition: 'flag',
      message: `${host} is a ${category.label} (@${category.name})`,
    });
  }
  if (cleartext) {
    findings.push({
      inspector: 'destination',
      rule: 'cleartext-upload',
      severity: 'low',
      disposition: 'flag',
      message: `an upload to ${host} crosses the network unencrypted`,
    });
  }
  return findings;
}

function isCleartextUpload({ request, destination }: Exchange): boolean {
  const { method } = request;
  if (method !== 'POST' && method !== 'PUT' && method !== 'PATCH') return false;
  if (destination.host === 'localhost' || destination.host === '::1' || destination.host.startsWith('127.'))
    return false;
  const length = fieldOf(request.fields, 'content-length');
  if (length !== undefined) return Number(length) > CLEARTEXT_BYTES;
  return fieldOf(request.fields, 'transfer-encoding') !== undefined;
}
