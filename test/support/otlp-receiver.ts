import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** A span of OTLP/JSON with its attributes as a plain map. */
export interface ReceivedSpan {
  readonly name: string;
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly status: { readonly code?: number; readonly message?: string };
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}
export interface ReceivedLog {
  readonly eventName: string;
  readonly severityNumber: number;
  readonly severityText: string;
  readonly body: unknown;
  readonly traceId?: string;
  readonly spanId?: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly resource: Readonly<Record<string, unknown>>;
}
export interface ReceivedMetric {
  readonly name: string;
  readonly unit: string;
  readonly points: readonly {
    readonly attributes: Readonly<Record<string, unknown>>;
    readonly value?: number;
    readonly count?: number;
    readonly sum?: number;
  }[];
}

/** How it answers: `ok`, an HTTP status, `hang` (never), `close` (connection reset), 200 with this JSON (whatever the path). */
export type Behaviour = 'ok' | 'hang' | 'close' | number | { readonly json: string };

export interface OtlpReceiver {
  /** Base URL, e.g. for `telemetry.endpoint`. */
  readonly url: string;
  readonly port: number;
  readonly spans: ReceivedSpan[];
  readonly logs: ReceivedLog[];
  /** The last value of every metric by name. */
  readonly metrics: Map<string, ReceivedMetric>;
  /** Every accepted body as text, for canary searches. */
  readonly bodies: string[];
  /** Headers of every request, also of refused ones. */
  readonly requests: { readonly path: string; readonly headers: IncomingMessage['headers'] }[];
  behave(how: Behaviour): void;
  /** Resolves when `condition` holds, looking again after every request and every 10 ms. */
  until(condition: (receiver: OtlpReceiver) => boolean, ms?: number): Promise<void>;
  close(): Promise<void>;
}

type Json = Record<string, unknown>;
const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);

function plain(value: unknown): unknown {
  const any = value as Json;
  if (any === null || typeof any !== 'object') return any;
  if ('stringValue' in any) return any['stringValue'];
  if ('intValue' in any) return Number(any['intValue']);
  if ('doubleValue' in any) return any['doubleValue'];
  if ('boolValue' in any) return any['boolValue'];
  if ('arrayValue' in any) return list((any['arrayValue'] as Json)['values']).map(plain);
  return any;
}

function attributes(value: unknown): Record<string, unknown> {
  const out: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const entry of list(value)) out[String(entry['key'])] = plain(entry['value']);
  return { ...out };
}

function takeSpans(body: Json, into: ReceivedSpan[]): void {
  for (const group of list(body['resourceSpans'])) {
    const resource = attributes((group['resource'] as Json | undefined)?.['attributes']);
    for (const scope of list(group['scopeSpans'])) {
      for (const span of list(scope['spans'])) {
        into.push({
          ...(span as unknown as ReceivedSpan),
          status: (span['status'] ?? {}) as ReceivedSpan['status'],
          links: list(span['links']) as unknown as ReceivedSpan['links'],
          attributes: attributes(span['attributes']),
          resource,
        });
      }
    }
  }
}

function takeLogs(body: Json, into: ReceivedLog[]): void {
  for (const group of list(body['resourceLogs'])) {
    const resource = attributes((group['resource'] as Json | undefined)?.['attributes']);
    for (const scope of list(group['scopeLogs'])) {
      for (const record of list(scope['logRecords'])) {
        into.push({
          ...(record as unknown as ReceivedLog),
          body: plain(record['body']),
          attributes: attributes(record['attributes']),
          resource,
        });
      }
    }
  }
}

function takeMetrics(body: Json, into: Map<string, ReceivedMetric>): void {
  for (const group of list(body['resourceMetrics'])) {
    for (const scope of list(group['scopeMetrics'])) {
      for (const metric of list(scope['metrics'])) {
        const data = (metric['sum'] ?? metric['gauge'] ?? metric['histogram'] ?? {}) as Json;
        const points = list(data['dataPoints']).map((point) => ({
          attributes: attributes(point['attributes']),
          ...('asDouble' in point || 'asInt' in point ? { value: Number(point['asDouble'] ?? point['asInt']) } : {}),
          ...('count' in point ? { count: Number(point['count']), sum: Number(point['sum']) } : {}),
        }));
        into.set(String(metric['name']), { name: String(metric['name']), unit: String(metric['unit']), points });
      }
    }
  }
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  return request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}

/** Key and certificate of a receiver that speaks TLS; with `ca` it takes nobody without a certificate of that authority. */
export interface ReceiverTls {
  readonly key: string;
  readonly cert: string;
  readonly ca?: string;
}

/** A fake OTLP/HTTP JSON receiver for traces, logs and metrics on a loopback port (0 = ephemeral). Protobuf is taken unread. */
export async function startOtlpReceiver(port = 0, tls?: ReceiverTls): Promise<OtlpReceiver> {
  let behaviour: Behaviour = 'ok';
  const sockets = new Set<Socket>();
  const waiting = new Set<() => void>();
  const answer = (response: ServerResponse, status: number, text: string): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(text);
  };
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = request.url ?? '';
    receiver.requests.push({ path, headers: request.headers });
    if (behaviour === 'close') {
      request.socket.destroy();
      return;
    }
    const bytes = await bodyOf(request);
    if (behaviour === 'hang') return;
    if (typeof behaviour === 'number') {
      answer(response, behaviour, '{"message":"told to refuse"}');
      return;
    }
    const text = bytes.toString('utf8');
    receiver.bodies.push(text);
    if (request.headers['content-type'] === 'application/x-protobuf') {
      // An empty message; what is in protobuf is left to a real Collector.
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
      return;
    }
    const body = JSON.parse(text) as Json;
    if (path === '/v1/traces') takeSpans(body, receiver.spans);
    else if (path === '/v1/logs') takeLogs(body, receiver.logs);
    else if (path === '/v1/metrics') takeMetrics(body, receiver.metrics);
    else if (behaviour === 'ok') {
      answer(response, 404, '{}');
      return;
    }
    answer(response, 200, behaviour === 'ok' ? '{}' : behaviour.json);
  };
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    request.on('error', () => {});
    take(request, response)
      .catch(() => response.headersSent || answer(response, 400, '{}'))
      .finally(() => {
        for (const check of waiting) check();
      });
  };
  const server =
    tls === undefined ? createServer(serve) : createTlsServer({ ...tls, requestCert: tls.ca !== undefined }, serve);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  await listen(server, port);
  const bound = (server.address() as AddressInfo).port;
  const receiver: OtlpReceiver = {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${bound}`,
    port: bound,
    spans: [],
    logs: [],
    metrics: new Map(),
    bodies: [],
    requests: [],
    behave(how) {
      behaviour = how;
    },
    until(condition, ms = 20_000) {
      return new Promise((resolve, reject) => {
        const done = (error?: Error): void => {
          clearInterval(timer);
          clearTimeout(deadline);
          waiting.delete(check);
          if (error === undefined) resolve();
          else reject(error);
        };
        const check = (): void => {
          if (condition(receiver)) done();
        };
        const timer = setInterval(check, 10);
        const deadline = setTimeout(
          () =>
            done(new Error(`not received in ${ms} ms: ${receiver.spans.length} spans, ${receiver.logs.length} logs`)),
          ms,
        );
        waiting.add(check);
        check();
      });
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return receiver;
}
