import { Agent, request } from 'node:http';
import type { Weir } from './weir.ts';

/** What an agent saw of one request: its path and when it was over (performance.now()). */
export interface Seen {
  readonly path: string;
  readonly status: number;
  readonly at: number;
}

/** Many plain requests to one host through the proxy, `width` at a time on kept connections. Stops at the first failure of each lane. */
export async function drive(
  weir: Pick<Weir, 'port'>,
  options: {
    readonly count: number;
    readonly host?: string;
    readonly agent?: string;
    readonly width?: number;
    readonly tag?: string;
  },
): Promise<Seen[]> {
  const { count, host = 'plain.test', agent = 'loader', width = 8, tag = 'n' } = options;
  const seen: Seen[] = [];
  const pool = new Agent({ keepAlive: true, maxSockets: width });
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      const path = `/ok/${tag}/${next++}`;
      const status = await once(pool, weir.port, `http://${host}${path}`, host, agent);
      if (status === undefined) return;
      seen.push({ path, status, at: performance.now() });
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  pool.destroy();
  return seen;
}

function once(pool: Agent, port: number, url: string, host: string, agent: string): Promise<number | undefined> {
  const authorization = `Basic ${Buffer.from(`${agent}:x`).toString('base64')}`;
  return new Promise((resolve) => {
    const sent = request(
      { agent: pool, port, host: '127.0.0.1', path: url, headers: { host, 'proxy-authorization': authorization } },
      (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode));
        response.on('error', () => resolve(undefined));
      },
    );
    sent.setTimeout(10_000, () => sent.destroy());
    sent.on('error', () => resolve(undefined));
    sent.end();
  });
}
