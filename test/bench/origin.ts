import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createSecureServer } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTls } from 'node:tls';
import type { OriginPorts } from './plan.ts';

/** Raw HTTP/1.1 origin (plain and TLS), HTTP/2 origin and OTLP sink in one process, so that their cost is nobody else's. */
const { keyFile, certFile } = JSON.parse(process.argv[2] ?? '{}') as { keyFile: string; certFile: string };
const key = readFileSync(keyFile);
const cert = readFileSync(certFile);

const BODY = JSON.stringify({ answer: 'a weir measures the water and lets it pass. '.repeat(23) });
const RESPONSE = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: bench\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
);
const BLOCK = Buffer.alloc(256 * 1024, 'weir ');

function answer(socket: Socket): void {
  socket.on('error', () => undefined);
  socket.setNoDelay(true);
  socket.on('data', (bytes: Buffer) => {
    // The generator sends one bodiless request at a time: a request is complete when its blank line is.
    if (bytes.length < 4 || bytes.readUInt32BE(bytes.length - 4) !== 0x0d0a0d0a) return;
    if (bytes.toString('latin1', 0, 10) !== 'GET /bulk/') {
      socket.write(RESPONSE);
      return;
    }
    const size = Number.parseInt(bytes.toString('latin1', 10, 30), 10);
    socket.write(`HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ${size}\r\n\r\n`);
    pour(socket, size);
  });
}

function pour(socket: Socket, size: number): void {
  let left = size;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      const part = left < BLOCK.length ? BLOCK.subarray(0, left) : BLOCK;
      left -= part.length;
      if (!socket.write(part)) {
        socket.once('drain', more);
        return;
      }
    }
  };
  more();
}

function listen(server: { listen: Server['listen']; address: Server['address'] }): Promise<number> {
  return new Promise((resolve) => {
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => resolve((server.address() as AddressInfo).port));
  });
}

const h2 = createSecureServer({ key, cert, settings: { maxConcurrentStreams: 1000 } });
h2.on('stream', (stream) => {
  stream.on('error', () => undefined);
  stream.respond({ ':status': 200, 'content-type': 'application/json', 'content-length': BODY.length });
  stream.end(BODY);
});
h2.on('sessionError', () => undefined);
const tls = createTls({ key, cert, ALPNProtocols: ['http/1.1'] }, answer);
tls.on('tlsClientError', () => undefined);
const otlp = createHttp((request, response) => {
  request
    .resume()
    .on('end', () => response.writeHead(200, { 'content-type': request.headers['content-type'] ?? '' }).end());
});

const ports: OriginPorts = {
  plain: await listen(createServer(answer)),
  tls: await listen(tls),
  h2: await listen(h2),
  otlp: await listen(otlp),
};
console.log(JSON.stringify(ports));
