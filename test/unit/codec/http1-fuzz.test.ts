import assert from 'node:assert/strict';
import http from 'node:http';
import { Duplex } from 'node:stream';
import { after, before, test } from 'node:test';
import { pick, pieces, requestBytes, responseBytes, seeded } from '../../support/http1-inputs.ts';
import { type Message, type Reading, readRequests, readResponse } from '../../support/http1-reading.ts';

/** Inputs; `WEIR_FUZZ_SEED` and `WEIR_FUZZ_COUNT` repeat or widen a run. */
const REQUESTS = Number(process.env['WEIR_FUZZ_COUNT'] ?? 30_000);
const RESPONSES = Math.floor(REQUESTS / 3);
const SEED = Number(process.env['WEIR_FUZZ_SEED'] ?? 20_240_917);

/** A connection without a socket: `feed` is what the peer sent. */
class Wire extends Duplex {
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done();
  }
  feed(parts: readonly Buffer[]): void {
    for (const part of parts) this.push(part);
    this.push(null);
  }
}

const oracles = new WeakMap<object, { reading: Reading }>();
let server: http.Server;

before(() => {
  server = http.createServer({ requireHostHeader: false, maxHeaderSize: 300_000, keepAliveTimeout: 0 });
  const answer: http.RequestListener = (request, response) => {
    const oracle = oracles.get(request.socket);
    const message: Message = { what: `${request.method} ${request.url}`, payload: '', complete: false };
    oracle?.reading.messages.push(message);
    request.on('data', (chunk: Buffer) => {
      message.payload += chunk.toString('latin1');
    });
    request.on('end', () => {
      message.complete = true;
    });
    request.on('error', () => {});
    response.on('error', () => {});
    response.end();
  };
  for (const event of ['request', 'checkContinue', 'checkExpectation']) server.on(event, answer);
  const accept = (request: http.IncomingMessage, socket: Duplex): void => {
    oracles
      .get(socket)
      ?.reading.messages.push({ what: `${request.method} ${request.url}`, payload: '', complete: true });
    socket.destroy();
  };
  server.on('connect', accept);
  server.on('clientError', (error: Error & { code?: string }, socket: Duplex) => {
    const oracle = oracles.get(socket);
    if (oracle !== undefined) oracle.reading.stopped ??= error.code ?? 'error';
    // Later, so that what was parsed before the error still comes out of the request streams.
    setImmediate(() => socket.destroy());
  });
});
after(() => server.close());

/** How llhttp reads the same bytes. */
function oracleRequests(parts: readonly Buffer[]): Promise<Reading> {
  return new Promise((resolve) => {
    const wire = new Wire();
    const reading: Reading = { messages: [], stopped: undefined };
    oracles.set(wire, { reading });
    wire.on('error', () => {});
    wire.on('close', () => resolve(reading));
    server.emit('connection', wire);
    wire.feed(parts);
  });
}

function oracleResponse(parts: readonly Buffer[], method: string): Promise<Reading> {
  return new Promise((resolve) => {
    const wire = new Wire();
    const reading: Reading = { messages: [], stopped: undefined };
    wire.on('error', () => {});
    const request = http.request({ method, createConnection: () => wire, maxHeaderSize: 300_000, host: 'x.test' });
    const settle = (): void => {
      wire.destroy();
      setImmediate(resolve, reading);
    };
    request.on('information', (info) => {
      reading.messages.push({ what: `${info.statusCode}`, payload: '', complete: true });
    });
    request.on('continue', () => {});
    request.on('upgrade', (response) => {
      reading.messages.push({ what: `${response.statusCode}`, payload: '', complete: true });
      settle();
    });
    request.on('error', (error: Error & { code?: string }) => {
      reading.stopped ??= error.code ?? 'error';
      settle();
    });
    request.on('response', (response) => {
      const message: Message = { what: `${response.statusCode}`, payload: '', complete: false };
      reading.messages.push(message);
      response.on('data', (chunk: Buffer) => {
        message.payload += chunk.toString('latin1');
      });
      response.on('error', (error: Error & { code?: string }) => {
        reading.stopped ??= error.code ?? 'error';
      });
      response.on('end', () => {
        message.complete = response.complete;
      });
      response.on('close', settle);
    });
    request.on('socket', () => setImmediate(() => wire.feed(parts)));
    request.end();
  });
}

/** What llhttp may refuse although we forward it: names we do not judge, and obs-text in targets. No boundary depends on these. */
const REFUSED_REQUEST = new Set(['HPE_INVALID_METHOD', 'HPE_INVALID_URL', 'HPE_INVALID_CONSTANT']);

/** Undefined, or how the two readings differ in a way that matters: another message, another body, another end. */
function difference(ours: Reading, theirs: Reading, tolerated: ReadonlySet<string>): string | undefined {
  for (const [index, message] of ours.messages.entries()) {
    const other = theirs.messages[index];
    if (other === undefined) {
      if (theirs.stopped !== undefined && tolerated.has(theirs.stopped)) return undefined;
      return `message ${index} (${message.what}) does not exist for llhttp (${theirs.stopped ?? 'no error'})`;
    }
    if (other.what !== message.what) return `message ${index} is ${message.what} here, ${other.what} there`;
    const last = index === ours.messages.length - 1 && ours.stopped !== undefined && ours.stopped !== 'last';
    if (last && !message.complete) return undefined;
    const refused = !other.complete && theirs.stopped !== undefined && tolerated.has(theirs.stopped);
    if (refused) return undefined;
    if (other.complete !== message.complete) {
      return `message ${index} ends here: ${message.complete}, there: ${other.complete} (${theirs.stopped ?? 'no error'})`;
    }
    if (other.payload !== message.payload) return `message ${index} has another body`;
  }
  const more = theirs.messages[ours.messages.length];
  return more !== undefined && ours.stopped === undefined ? `llhttp sees another message: ${more.what}` : undefined;
}

test(`no request we accept has other boundaries in llhttp (${REQUESTS} inputs)`, { timeout: 120_000 }, async () => {
  let accepted = 0;
  for (let i = 0; i < REQUESTS; i++) {
    const random = seeded(SEED + i);
    const bytes = requestBytes(random);
    const parts = pieces(random, bytes);
    const ours = readRequests(parts.map((part) => Buffer.from(part)));
    if (ours.messages.length === 0) continue;
    accepted++;
    const theirs = await oracleRequests(parts);
    const differs = difference(ours, theirs, REFUSED_REQUEST);
    assert.equal(differs, undefined, `WEIR_FUZZ_SEED=${SEED + i} ${JSON.stringify(bytes.toString('latin1'))}`);
  }
  // A codec that refuses everything would pass the comparison.
  assert.ok(accepted > REQUESTS / 4, `only ${accepted} accepted`);
});

/** A repeated equal Content-Length, padded chunk sizes, `close` before the final response: one reading, refused by llhttp. */
const REFUSED_RESPONSE = new Set([
  'HPE_CLOSED_CONNECTION',
  'HPE_UNEXPECTED_CONTENT_LENGTH',
  'HPE_INVALID_CHUNK_SIZE',
  'HPE_INVALID_HEADER_TOKEN',
  'HPE_INVALID_STATUS',
  'HPE_INVALID_CONSTANT',
]);

test(`no response we accept has other boundaries in llhttp (${RESPONSES} inputs)`, { timeout: 120_000 }, async () => {
  let accepted = 0;
  for (let i = 0; i < RESPONSES; i++) {
    const random = seeded(SEED + i);
    const bytes = responseBytes(random);
    const method = pick(random, ['GET', 'GET', 'HEAD']);
    const parts = pieces(random, bytes);
    const ours = readResponse(
      parts.map((part) => Buffer.from(part)),
      method,
    );
    if (ours.messages.length === 0 || ours.messages.some((message) => message.what === '101')) continue;
    accepted++;
    const theirs = await oracleResponse(parts, method);
    const differs = difference(ours, theirs, REFUSED_RESPONSE);
    assert.equal(
      differs,
      undefined,
      `WEIR_FUZZ_SEED=${SEED + i} ${method} ${JSON.stringify(bytes.toString('latin1'))}`,
    );
  }
  assert.ok(accepted > RESPONSES / 4, `only ${accepted} accepted`);
});
