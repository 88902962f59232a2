import type { Connection } from '../../../src/model/connection.ts';
import type { Exchange, RequestFacts } from '../../../src/model/exchange.ts';
import { parseAuthority } from '../../../src/model/host.ts';

export interface Made {
  readonly kind?: Exchange['kind'];
  readonly agent?: string;
  readonly scheme?: 'http' | 'https' | 'tcp';
  readonly method?: string;
  readonly target?: string;
  readonly fields?: readonly string[];
  readonly hostField?: string;
  readonly at?: number;
  readonly requestBytes?: number;
  readonly responseBytes?: number;
  readonly connection?: Partial<Connection>;
}

let serial = 0;

/** An exchange as the corridor makes it, to `authority` (`host`, `host:port`). */
export function exchangeTo(authority: string, made: Made = {}): Exchange {
  const kind = made.kind ?? 'exchange';
  const scheme = made.scheme ?? (kind === 'exchange' ? 'https' : 'tcp');
  const normal = parseAuthority(authority, scheme === 'http' ? 80 : 443);
  if ('error' in normal) throw new Error(`${authority}: ${normal.error}`);
  const request: RequestFacts = {
    method: made.method ?? (kind === 'exchange' ? 'GET' : 'CONNECT'),
    scheme,
    authority,
    target: made.target ?? (kind === 'exchange' ? '/' : ''),
    protocol: '1.1',
    fields: made.fields ?? [],
    ...(made.hostField === undefined ? {} : { hostField: made.hostField }),
  };
  const connection: Connection = {
    id: `c${++serial}`,
    openedAt: 0,
    client: { address: '127.0.0.1', port: 1 },
    via: kind === 'exchange' ? 'absolute-form' : 'connect',
    visibility: 'plaintext',
    exchanges: 0,
    ...made.connection,
  };
  return {
    kind,
    id: `e${serial}`,
    traceId: '0'.repeat(32),
    spanId: '0'.repeat(16),
    connection,
    startedAt: made.at ?? 0,
    startedMono: 0,
    request,
    destination: { scheme, host: normal.host, port: normal.port },
    identity: { agent: made.agent ?? 'researcher', by: 'claim' },
    findings: [],
    ruling: { mode: 'monitor', verdict: 'allow', action: 'forward', would: 'none' },
    firstSeen: false,
    requestBytes: made.requestBytes ?? 0,
    responseBytes: made.responseBytes ?? 0,
  };
}
