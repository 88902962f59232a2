import { CallError, type Caller, createCaller, type IsSelf, type Via } from './direct.ts';

const TIMEOUT_MS = 5_000;
/** Some ten thousand policies. */
const MAX_BYTES = 4 * 1024 * 1024;

/** What a Strathon receiver answered to `GET /v1/policies` (strathon-compat §1.4). */
export type Pulled = { readonly unchanged: true } | { readonly answer: unknown; readonly etag?: string };

export interface ReceiverClient {
  /** Rejects with CallError. @param etag of the answer that is held */
  pull(etag: string | undefined): Promise<Pulled>;
  close(): void;
}

/** @param base as configured: https, or http on loopback; that has been checked */
export function createReceiver(base: string, key: string | undefined, isSelf: IsSelf, via?: Via): ReceiverClient {
  const url = new URL(base);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/policies`;
  // Servers ignore it (strathon-compat §1.1); rows that are off are skipped here.
  url.search = '?enabled=true';
  const caller: Caller = createCaller(url.href, isSelf, via);
  return {
    async pull(etag) {
      const { status, headers, body } = await caller.call({
        method: 'GET',
        headers: {
          accept: 'application/json',
          'user-agent': 'weir',
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
          ...(etag === undefined ? {} : { 'if-none-match': etag }),
        },
        timeoutMs: TIMEOUT_MS,
        maxBytes: MAX_BYTES,
      });
      if (status === 304) return { unchanged: true };
      if (status !== 200) throw new CallError(refusedBy(status, key));
      const tag = headers['etag'];
      return { answer: parsed(body), ...(typeof tag === 'string' ? { etag: tag } : {}) };
    },
    close: () => caller.close(),
  };
}

function refusedBy(status: number, key: string | undefined): string {
  if (status === 401) {
    return key === undefined
      ? 'it wants a key (401): set STRATHON_API_KEY where the collector starts'
      : 'it does not know the key in STRATHON_API_KEY (401)';
  }
  if (status === 403)
    return 'the key in STRATHON_API_KEY may not read policies (403): it needs the scope policies:read';
  if (status >= 300 && status < 400) return `it redirects (${status}); name the address it redirects to`;
  return `it answered ${status}`;
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new CallError('its answer is no JSON', { cause: error });
  }
}
