import { Agent, request } from 'node:http';

const ANSWER_MS = 15_000;

export interface Ask {
  readonly method: string;
  /** Absolute `http://` URL. */
  readonly url: string;
  readonly key?: string;
  /** Bytes of the body. */
  readonly size?: number;
}

/** An answer as a program reads it. */
export interface Heard {
  readonly status: number;
  readonly statusLine: string;
  readonly body: string;
}

/** A program that goes through the proxy on this port under its name, over one connection. */
export interface DemoAgent {
  /** Rejects when there is no whole answer. */
  send(ask: Ask): Promise<Heard>;
  close(): void;
}

export function createAgent(name: string, port: number): DemoAgent {
  // An agent of its own: the global one may follow HTTP_PROXY (NODE_USE_ENV_PROXY).
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  // Always with a password, as in the documented form http://researcher:x@127.0.0.1:8080.
  const credentials = `Basic ${Buffer.from(`${name}:x`).toString('base64')}`;
  return {
    close: () => agent.destroy(),
    send: ({ method, url, key, size = 0 }) =>
      new Promise((resolve, reject) => {
        const headers = {
          host: new URL(url).host,
          'user-agent': `${name}/1.0`,
          'proxy-authorization': credentials,
          'content-length': size,
          ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
        };
        const sent = request({ host: '127.0.0.1', port, agent, method, path: url, headers }, (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (text: string) => {
            body += text;
          });
          response.on('error', reject);
          response.on('end', () => {
            const { httpVersion, statusCode = 0, statusMessage = '' } = response;
            resolve({ status: statusCode, statusLine: `HTTP/${httpVersion} ${statusCode} ${statusMessage}`, body });
          });
        });
        sent.setTimeout(ANSWER_MS, () => sent.destroy(new Error(`no answer to ${method} ${url}`)));
        sent.on('error', reject);
        sent.end('.'.repeat(size));
      }),
  };
}
