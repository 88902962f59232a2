import { lookup } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { Agent, type Dispatcher } from 'undici';

/** One of our own listening sockets. */
export type IsSelf = (address: string, port: number) => boolean;

/** A call of ours that did not work; the message is a sentence for people and holds no key and no query. */
export class CallError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CallError';
  }
}

/** Calls to one address: never through a proxy of the environment, never through our own checks, never to ourselves. */
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

const SELF = 'the address leads to Weir itself';
const REPORTED = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN']);

export function createCaller(address: string, isSelf: IsSelf): Caller {
  const url = new URL(address);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  const agent = new Agent({ connections: 2, keepAliveTimeout: 1_000, connect: { lookup: guarded(isSelf, port) } });
  return {
    async call({ method, headers, body, timeoutMs, maxBytes }) {
      if (isIP(host) !== 0 && isSelf(host, port)) throw new CallError(SELF);
      const signal = AbortSignal.timeout(timeoutMs);
      try {
        const response = await agent.request({
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
    close: () => void agent.destroy().catch(() => undefined),
  };
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
