import type {
  AdminHandlers,
  BaselineRequest,
  BaselineVerb,
  Containment,
  LogQuery,
  ModeVerb,
  PurgeFilter,
} from '../model/admin.ts';
import type { AgentStat } from '../model/record.ts';
import { AdminError } from './protocol.ts';
import { directSeen, endRun } from './runs.ts';

/** A parsed admin request. `body` is undefined for GET. */
interface AdminCall {
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>>;
  readonly actor: string;
}
export type Route = (handlers: AdminHandlers, call: AdminCall) => unknown;

const MODES: readonly string[] = ['monitor', 'redact', 'enforce', 'stop', 'resume'] satisfies ModeVerb[];
const VERBS: readonly string[] = ['accept', 'ignore', 'forget', 'lock', 'unlock', 'import'] satisfies BaselineVerb[];
const CONTAINMENTS: readonly string[] = ['cooperative', 'separate-user', 'network'] satisfies Containment[];

/** `METHOD path` → handler. `/logs/stream` and `/runs` are the server's own: they last. */
export const ROUTES: ReadonlyMap<string, Route> = new Map<string, Route>([
  ['GET /status', (h) => h.status()],
  ['GET /preflight', (h, c) => h.preflight(optional(c.query.get('agent')), modeVerb(c.query.get('mode')))],
  ['POST /mode', (h, c) => h.mode(text(c.body, 'agent'), modeVerb(c.body['mode']), c.actor)],
  ['GET /baselines', (h, c) => h.baselines(optional(c.query.get('agent')))],
  ['POST /baseline', (h, c) => h.baseline(baselineRequest(c))],
  ['GET /logs', (h, c) => h.logs(logQuery(c.query))],
  ['POST /query/prepare', (h) => h.prepareQuery()],
  ['POST /purge', (h, c) => h.purge(purgeFilter(c.body), c.actor)],
  ['GET /ca', (h) => h.ca()],
  ['POST /ca/rotate', (h, c) => h.rotateCa(c.actor)],
  ['POST /ca/trusted', (h, c) => h.caTrusted(c.actor)],
  ['GET /environment', (h, c) => h.environment(optional(c.query.get('agent')))],
  ['POST /runs/direct', (h, c) => directSeen(h, c.body)],
  ['POST /runs/end', (h, c) => endRun(h, c.body)],
  ['GET /policies', (h) => h.policies()],
  ['POST /policies/accept', (h, c) => h.acceptPolicies(c.actor)],
  ['POST /approve', approve],
  ['POST /explain', explain],
  ['POST /leave', (h, c) => h.leave(c.actor)],
  ['POST /reload', (h, c) => h.reload(c.actor)],
  ['POST /verified', verified],
]);

function verified(handlers: AdminHandlers, { body, actor }: AdminCall): object {
  const containment = text(body, 'containment');
  if (containment !== undefined && !CONTAINMENTS.includes(containment)) throw bad('containment', CONTAINMENTS);
  handlers.verified(containment === undefined ? {} : { containment: containment as Containment }, actor);
  return {};
}

const MOST_MS = 30 * 24 * 3_600_000;

function approve(handlers: AdminHandlers, { body, actor }: AdminCall): unknown {
  const ref = text(body, 'ref');
  if (ref === undefined || !/^[0-9A-Za-z]{10}$/.test(ref))
    throw new AdminError('bad-request', 'ref must be the ten characters of a refusal');
  const forMs = number(body['for_ms'], 'for_ms') ?? 0;
  if (forMs <= 0 || forMs > MOST_MS) throw new AdminError('bad-request', 'an approval lasts at most 30 days');
  return handlers.approve(ref, forMs, actor);
}

function explain(handlers: AdminHandlers, { body }: AdminCall): unknown {
  const [agent, method, url] = [text(body, 'agent'), text(body, 'method'), text(body, 'url')];
  if (!agent || !url || !method || !/^[A-Z][A-Z-]{0,20}$/.test(method))
    throw new AdminError('bad-request', 'agent, method and url must say what is asked about');
  return handlers.explain({ agent, method, url });
}

function bad(key: string, allowed: readonly string[]): AdminError {
  return new AdminError('bad-request', `${key} must be one of ${allowed.join(', ')}`);
}

function optional(value: string | null): string | undefined {
  return value === null || value === '' ? undefined : value;
}

function text(body: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const value = body[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw new AdminError('bad-request', `${key} must be a text`);
  return value;
}

function number(value: unknown, key: string): number | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  const n = Number(value);
  if (!Number.isFinite(n)) throw new AdminError('bad-request', `${key} must be a number`);
  return n;
}

function modeVerb(value: unknown): ModeVerb {
  if (typeof value !== 'string' || !MODES.includes(value)) throw bad('mode', MODES);
  return value as ModeVerb;
}

/** Reads the query of `/logs` and `/logs/stream`. */
export function logQuery(query: URLSearchParams): LogQuery {
  const agent = optional(query.get('agent'));
  const since = number(query.get('since'), 'since');
  const limit = number(query.get('limit'), 'limit');
  return {
    ...(agent === undefined ? {} : { agent }),
    ...(since === undefined ? {} : { since }),
    ...(limit === undefined ? {} : { limit }),
    ...(query.get('blocked') === 'true' ? { blocked: true } : {}),
  };
}

function baselineRequest({ body, actor }: AdminCall): BaselineRequest {
  const verb = text(body, 'verb') ?? '';
  if (!VERBS.includes(verb)) throw bad('verb', VERBS);
  const agent = text(body, 'agent');
  if (agent === undefined || agent === '') throw new AdminError('bad-request', 'agent is missing');
  const destinations = body['destinations'] ?? [];
  if (!Array.isArray(destinations) || !destinations.every((d) => typeof d === 'string'))
    throw new AdminError('bad-request', 'destinations must be a list of host or host:port');
  const document = body['document'];
  if (verb === 'import' && (typeof document !== 'object' || document === null))
    throw new AdminError('bad-request', 'document is missing');
  return {
    verb: verb as BaselineVerb,
    agent,
    destinations: destinations as string[],
    actor,
    ...(verb === 'import' ? { document: document as AgentStat } : {}),
  };
}

function purgeFilter(body: Readonly<Record<string, unknown>>): PurgeFilter {
  const agent = text(body, 'agent');
  const host = text(body, 'host');
  const before = number(body['before'], 'before');
  if (agent === undefined && host === undefined && before === undefined && body['all'] !== true)
    throw new AdminError('bad-request', 'say what to purge: agent, host, before, or all: true');
  return {
    ...(agent === undefined ? {} : { agent }),
    ...(host === undefined ? {} : { host }),
    ...(before === undefined ? {} : { before }),
  };
}
