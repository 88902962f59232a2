import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';

/** One of our own listening sockets. */
export type IsSelf = (address: string, port: number) => boolean;

/** A call of ours that did not work; the message is a sentence for people and holds no key and no query. */
export class CallError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CallError';
  }
}

/**
 * URL of the proxy to call through (`http`, `https`, `socks5`), undefined = none. Asked for every call: it may be another one after a
 * reload.
 */
export type Via = () => string | undefined;

/** Calls to one address, through the parent proxy where there is one: never through our own checks, never to ourselves. */
export interface Caller {
  /**
   * One request, not redirected, over within the timeout. Rejects with CallError.
   * @param maxBytes of the answer's body; more is an error
   */
  call(options: CallOptions): Promise<CallResult>;
  close(): void;
}

export interface CallOptions {
  readonly method: 'GET' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly maxBytes: number;
}

export interface CallResult {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly body: string;
}

const DIRECT: Via = () => undefined;
const SELF = 'the address leads to Weir itself';
const REPORTED = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN']);

export function createCaller(address: string, isSelf: IsSelf, via: Via = DIRECT): Caller {
  const url = new URL(address);
  const { host, port } = placeOf(url);
  const direct = new Agent({ ...POOL, connect: { lookup: guarded(isSelf, port) } });
  let parent: { readonly proxy: string; readonly agent: Dispatcher } | undefined;
  const route = (): Dispatcher => {
    const proxy = via();
    if (proxy === undefined || isOurs(proxy, isSelf)) return direct;
    if (parent?.proxy === proxy) return parent.agent;
    void parent?.agent.destroy().catch(() => undefined);
    parent = { proxy, agent: through(proxy, isSelf) };
    return parent.agent;
  };
  return {
    async call({ method, headers, body, timeoutMs, maxBytes }) {
      if (isIP(host) !== 0 && isSelf(host, port)) throw new CallError(SELF);
      const signal = AbortSignal.timeout(timeoutMs);
      try {
        const response = await route().request({
          origin: url.origin,
          path: `${url.pathname}${url.search}`,
          method,
          headers,
          signal,
          ...(body === undefined ? {} : { body }),
        });
        const text = await readAll(response.body, maxBytes);
        return { status: response.statusCode, headers: response.headers, body: text };
      } catch (error) {
        if (error instanceof CallError) throw error;
        if (signal.aborted) throw new CallError(`no answer within ${timeoutMs / 1000} s`, { cause: error });
        throw new CallError(reasonOf(error), { cause: error });
      }
    },
    close() {
      for (const agent of [direct, parent?.agent]) void agent?.destroy().catch(() => undefined);
    },
  };
}

const POOL = { connections: 2, keepAliveTimeout: 1_000 } as const;
const PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443, 'socks:': 1080, 'socks5:': 1080 };

function placeOf({ hostname, port, protocol }: URL): { readonly host: string; readonly port: number } {
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || PORTS[protocol]) };
}

/** A shell that was set up for agents has us as its proxy: our own calls go out directly then. */
function isOurs(proxy: string, isSelf: IsSelf): boolean {
  const { host, port } = placeOf(new URL(proxy));
  return host === 'localhost'
    ? isSelf('127.0.0.1', port) || isSelf('::1', port)
    : isIP(host) !== 0 && isSelf(host, port);
}

/** Names are resolved by the proxy, as for agents. Throws CallError for a kind of proxy that cannot be used. */
function through(proxy: string, isSelf: IsSelf): Dispatcher {
  const url = new URL(proxy.replace(/^socks5h:/i, 'socks5:'));
  if (PORTS[url.protocol] === undefined)
    throw new CallError(`a ${url.protocol.slice(0, -1)} proxy cannot be used for Weir's own calls`);
  // We are no SOCKS proxy.
  if (url.protocol.startsWith('socks')) return new ProxyAgent({ ...POOL, uri: url.href });
  const lookup = guarded(isSelf, placeOf(url).port);
  return new ProxyAgent({ ...POOL, uri: url.href, proxyTls: { lookup } });
}

async function readAll(body: Dispatcher.ResponseData['body'], maxBytes: number): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    size += part.length;
    // Leaving the loop destroys the stream.
    if (size > maxBytes) throw new CallError(`the answer is larger than ${maxBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function reasonOf(error: unknown): string {
  const { code, cause, message } = error as NodeJS.ErrnoException & { cause?: unknown };
  if (message === SELF || (cause as Error | undefined)?.message === SELF) return SELF;
  const refused = /^Proxy response \((\d+)\)|^Proxy Authentication Required \((407)\)/.exec(message);
  if (refused !== null) return `the proxy refuses it (${refused[1] ?? refused[2]})`;
  if (code !== undefined && REPORTED.has(code)) return `it cannot be reached (${code})`;
  return `the call failed (${code ?? message})`;
}

function guarded(isSelf: IsSelf, port: number): LookupFunction {
  return (hostname, options, done) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return done(error, '', 4);
      if (found.some(({ address }) => isSelf(address, port))) return done(new Error(SELF), '', 4);
      if (options.all === true) return done(null, found);
      const [first] = found;
      return first === undefined ? done(new Error('no address'), '', 4) : done(null, first.address, first.family);
    });
  };
}
