import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A row as `GET /v1/policies` answers it: every field there (strathon-compat §1.4). */
export function row(name: string, expression: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: `00000000-0000-4000-8000-${Buffer.from(name).toString('hex').padEnd(12, '0').slice(0, 12)}`,
    project_id: '00000000-0000-4000-8000-000000000000',
    name,
    description: null,
    match_expression: expression,
    action: 'block',
    action_config: null,
    applies_to: null,
    enabled: true,
    priority: 0,
    match_count: Math.floor(Date.now() / 7),
    last_matched_at: new Date().toISOString(),
    shadow: false,
    created_at: '2026-01-01T00:00:00Z',
    updated_at: '2026-01-01T00:00:00Z',
    ...more,
  };
}

type Answerer = (request: IncomingMessage, response: ServerResponse) => void;

/** A stand-in for Strathon's receiver that behaves as documented, and as badly as it is told to. */
export interface StrathonReceiver {
  readonly url: string;
  readonly key: string;
  /** Requests so far: method, path with query, authorization. */
  readonly asked: {
    readonly line: string;
    readonly authorization: string | undefined;
    readonly etag: string | undefined;
  }[];
  rows: readonly Record<string, unknown>[];
  default: 'allow' | 'block';
  etag: string | undefined;
  /** Instead of the documented answer. */
  answer: Answerer | undefined;
  close(): Promise<void>;
}

export async function strathonReceiver(rows: readonly Record<string, unknown>[]): Promise<StrathonReceiver> {
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    const { authorization, 'if-none-match': etag } = request.headers;
    receiver.asked.push({ line: `${request.method} ${request.url}`, authorization, etag });
    if (receiver.answer !== undefined) receiver.answer(request, response);
    else if (authorization !== `Bearer ${receiver.key}`) response.writeHead(401).end('{"detail":"Unauthorized"}');
    else if (receiver.etag !== undefined && etag === receiver.etag) response.writeHead(304).end();
    else {
      const headers = receiver.etag === undefined ? {} : { etag: receiver.etag };
      response.writeHead(200, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify({ policies: receiver.rows, intervention_default_action: receiver.default }));
    }
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const receiver: StrathonReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    // Assembled: no scanner is to take it for a key.
    key: ['stra', 'test'.repeat(10)].join('_'),
    asked: [],
    rows,
    default: 'allow',
    etag: undefined,
    answer: undefined,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
  return receiver;
}
