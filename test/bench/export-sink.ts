import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTls } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzip } from 'node:zlib';

/** What `GET /` of the sink tells. */
export interface SinkCounts {
  /** Spans of JSON bodies: all, and different ones (span ids below `ids`). */
  readonly spans: number;
  readonly different: number;
  readonly requests: number;
  readonly bytes: number;
}

/** An OTLP receiver in a process of its own. Reads JSON bodies for span ids where it is told how many there are. */
const { keyFile, certFile, ids } = JSON.parse(process.argv[2] ?? '{}') as {
  readonly keyFile?: string;
  readonly certFile?: string;
  readonly ids?: number;
};
const seen = new Uint8Array((ids ?? 0) + 1);
const counts = { spans: 0, different: 0, requests: 0, bytes: 0 };
const SPAN = Buffer.from('"spanId":"');

function read(body: Buffer): void {
  for (let at = body.indexOf(SPAN); at >= 0; at = body.indexOf(SPAN, at + SPAN.length)) {
    const from = at + SPAN.length;
    const id = Number.parseInt(body.toString('latin1', from, from + 16), 16);
    counts.spans++;
    if (seen[id] === 0) counts.different++;
    seen[id] = 1;
  }
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  if (request.method === 'GET') {
    response.end(JSON.stringify(counts satisfies SinkCounts));
    return;
  }
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => {
    counts.bytes += part.length;
    if (ids !== undefined) parts.push(part);
  });
  request.on('end', () => {
    counts.requests++;
    const answer = (): void =>
      void response.writeHead(200, { 'content-type': request.headers['content-type'] ?? '' }).end();
    const body = Buffer.concat(parts);
    if (request.headers['content-encoding'] === 'gzip' && ids !== undefined) {
      gunzip(body, (_error, plain) => {
        read(plain);
        answer();
      });
      return;
    }
    read(body);
    answer();
  });
}

const server =
  keyFile === undefined || certFile === undefined
    ? createServer(serve)
    : createTls({ key: readFileSync(keyFile), cert: readFileSync(certFile) }, serve);
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: (server.address() as AddressInfo).port })));
