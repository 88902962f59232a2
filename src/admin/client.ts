import { join } from 'node:path';
import { Client, type Dispatcher } from 'undici';
import type {
  AdminHandlers,
  BaselineRequest,
  CaFacts,
  Containment,
  EnvironmentFacts,
  LogLine,
  LogQuery,
  ModeResult,
  ModeVerb,
  PurgeFilter,
  PurgeResult,
  StatusReport,
} from '../model/admin.ts';
import type { ApprovalResult, ExplainReport, ExplainRequest, PolicyReport } from '../model/policy.ts';
import type { Preflight } from '../model/preflight.ts';
import type { AgentStat } from '../model/record.ts';
import { ACTOR_HEADER, AdminError, SOCKET_NAME } from './protocol.ts';

/** The collector as the command line sees it. Every method rejects with AdminError. */
export interface AdminClient {
  status(): Promise<StatusReport>;
  preflight(agent: string | undefined, mode: ModeVerb): Promise<Preflight>;
  mode(agent: string | undefined, mode: ModeVerb): Promise<ModeResult>;
  baselines(agent?: string): Promise<readonly AgentStat[]>;
  baseline(request: Omit<BaselineRequest, 'actor'>): Promise<{ readonly message: string }>;
  logs(query: LogQuery): Promise<readonly LogLine[]>;
  /** Live lines until the signal aborts or the collector ends. `{missed: n}` = lines lost because we read too slowly. */
  follow(query: LogQuery, signal: AbortSignal): AsyncGenerator<LogLine | { readonly missed: number }>;
  prepareQuery(): ReturnType<AdminHandlers['prepareQuery']>;
  purge(filter: PurgeFilter): Promise<PurgeResult>;
  ca(): Promise<CaFacts>;
  rotateCa(): Promise<CaFacts>;
  caTrusted(): ReturnType<AdminHandlers['caTrusted']>;
  environment(agent?: string): Promise<EnvironmentFacts>;
  reload(): Promise<{ readonly message: string }>;
  verified(result: { readonly containment?: Containment }): Promise<void>;
  policies(): Promise<PolicyReport>;
  approve(ref: string, forMs: number): Promise<ApprovalResult>;
  explain(request: ExplainRequest): Promise<ExplainReport>;
  acceptPolicies(): Promise<{ readonly message: string }>;
  /** Asks a background collector without runs to end. */
  leave(): Promise<void>;
  close(): Promise<void>;
}

export interface AdminClientOptions {
  readonly stateDir: string;
  /** Who asks, for audit rows. */
  readonly actor: string;
}

/** A line longer than this is not one of ours. */
const MAX_LINE = 1024 * 1024;

/** Speaks to the collector that owns a state directory, over its unix socket. Connects on first use. */
export function createAdminClient({ stateDir, actor }: AdminClientOptions): AdminClient {
  const path = join(stateDir, SOCKET_NAME);
  const client = new Client('http://weir', { connect: { socketPath: path }, bodyTimeout: 0, headersTimeout: 300_000 });

  const send = async (method: 'GET' | 'POST', url: string, body?: object, signal?: AbortSignal) => {
    try {
      return await client.request({
        method,
        path: url,
        headers: { [ACTOR_HEADER]: actor, ...(method === 'POST' ? { 'content-type': 'application/json' } : {}) },
        ...(method === 'POST' ? { body: JSON.stringify(body ?? {}) } : {}),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      throw connectError(error, stateDir, path);
    }
  };
  const call = async <T>(method: 'GET' | 'POST', url: string, body?: object): Promise<T> => {
    const response = await send(method, url, body);
    return (await readJson(response)) as T;
  };
  const get = <T>(url: string, query: Readonly<Record<string, unknown>> = {}): Promise<T> =>
    call('GET', withQuery(url, query));
  const post = <T>(url: string, body: object = {}): Promise<T> => call('POST', url, body);

  return {
    status: () => get('/status'),
    preflight: (agent, mode) => get('/preflight', { agent, mode }),
    mode: (agent, mode) => post('/mode', { agent, mode }),
    baselines: (agent) => get('/baselines', { agent }),
    baseline: (request) => post('/baseline', request),
    logs: (query) => get('/logs', { ...query }),
    follow: (query, signal) =>
      follow(() => send('GET', withQuery('/logs/stream', { ...query }), undefined, signal), signal),
    prepareQuery: () => post('/query/prepare'),
    purge: (filter) => post('/purge', Object.keys(filter).length === 0 ? { all: true } : filter),
    ca: () => get('/ca'),
    rotateCa: () => post('/ca/rotate'),
    caTrusted: () => post('/ca/trusted'),
    environment: (agent) => get('/environment', { agent }),
    reload: () => post('/reload'),
    verified: async (result) => {
      await post('/verified', result);
    },
    policies: () => get('/policies'),
    approve: (ref, forMs) => post('/approve', { ref, for_ms: forMs }),
    explain: (request) => post('/explain', request),
    acceptPolicies: () => post('/policies/accept'),
    leave: async () => {
      await post('/leave');
    },
    close: () => client.destroy(),
  };
}

function withQuery(path: string, query: Readonly<Record<string, unknown>>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) if (value !== undefined) params.set(key, String(value));
  return params.size === 0 ? path : `${path}?${params}`;
}

async function readJson(response: Dispatcher.ResponseData): Promise<unknown> {
  let value: unknown;
  try {
    value = await response.body.json();
  } catch (error) {
    throw new AdminError('failed', 'the collector’s answer was cut off; it may have just ended', { cause: error });
  }
  if (response.statusCode < 300) return value;
  const message = (value as { error?: unknown } | null)?.error;
  const text = typeof message === 'string' ? message : `the collector answered ${response.statusCode}`;
  throw new AdminError(response.statusCode === 400 ? 'bad-request' : 'failed', text);
}

async function* follow(
  open: () => Promise<Dispatcher.ResponseData>,
  signal: AbortSignal,
): AsyncGenerator<LogLine | { readonly missed: number }> {
  try {
    const response = await open();
    if (response.statusCode !== 200) {
      await readJson(response);
      return;
    }
    let rest = '';
    response.body.setEncoding('utf8');
    for await (const chunk of response.body as AsyncIterable<string>) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE) throw new AdminError('failed', 'the collector sent a line without end');
      for (const line of lines) if (line !== '') yield JSON.parse(line) as LogLine;
    }
  } catch (error) {
    if (signal.aborted) return;
    if (error instanceof AdminError) throw error;
    throw new AdminError('no-collector', 'the collector has ended', { cause: error });
  }
}

function connectError(error: unknown, stateDir: string, path: string): AdminError {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ECONNREFUSED')
    return new AdminError('no-collector', `no collector is running with ${stateDir}. Start one: weir start`, {
      cause: error,
    });
  if (code === 'EACCES' || code === 'EPERM')
    return new AdminError('no-permission', `${path} belongs to another user; run this as the user that runs Weir`, {
      cause: error,
    });
  return new AdminError('failed', `the collector did not answer: ${message}`, { cause: error });
}
