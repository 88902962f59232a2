import type { ClientHttp2Session, ClientHttp2Stream, Http2Stream, ServerHttp2Stream } from 'node:http2';
import {
  NGHTTP2_CANCEL,
  NGHTTP2_NO_ERROR,
  NGHTTP2_REFUSED_STREAM,
  openStream,
  recordStream,
  type StreamLog,
  schemeOf,
} from './http2.ts';

/** Signals between both scripts, and the client's session. */
export interface Http2Stage {
  readonly session: ClientHttp2Session;
  readonly host: string;
  signal(name: string): void;
  wait(name: string): Promise<void>;
}

/** One stream (or several), scripted at both ends. The client's log is returned; the origin keeps its own. */
export interface Http2Scenario {
  readonly name: string;
  readonly client: (stage: Http2Stage) => Promise<StreamLog | StreamLog[]>;
  readonly origin: (
    stream: ServerHttp2Stream,
    stage: Pick<Http2Stage, 'signal' | 'wait'>,
    raw: readonly string[],
  ) => Promise<void> | void;
}

interface RequestOptions {
  readonly method?: string;
  readonly path?: string;
  readonly fields?: readonly string[];
  readonly endStream?: boolean;
  readonly trailers?: Readonly<Record<string, string>>;
}

/** Opens, records, lets `act` drive it, and resolves with the log when the stream has closed. */
async function request(
  stage: Http2Stage,
  options: RequestOptions,
  act: (stream: ClientHttp2Stream) => Promise<void> | void = () => undefined,
): Promise<StreamLog> {
  const { method = 'GET', path = '/', fields = [], endStream = false, trailers } = options;
  const stream = openStream(stage.session, stage.host, method, path, fields, endStream, trailers !== undefined);
  if (trailers !== undefined) stream.on('wantTrailers', () => stream.sendTrailers(trailers));
  const log: StreamLog = [];
  const closed = recordStream(stream, log);
  await act(stream);
  await closed;
  return log;
}

const respond = (
  stream: ServerHttp2Stream,
  fields: readonly string[],
  endStream = false,
  waitForTrailers = false,
): void => stream.respond(fields as never, { endStream, waitForTrailers, sendDate: false } as object);

const write = (stream: Http2Stream, data: string | Buffer): Promise<void> =>
  new Promise((resolve) => void stream.write(data, () => resolve()));

/** Resolves when the text received so far contains `text`. */
function heard(stream: Http2Stream): (text: string) => Promise<void> {
  let seen = '';
  let wake = (): void => undefined;
  stream.on('data', (bytes: Buffer) => {
    seen += bytes.toString('latin1');
    wake();
  });
  return (text) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`never heard ${text}`)), 10_000);
      const look = (): void => {
        const at = seen.indexOf(text);
        if (at < 0) return;
        seen = seen.slice(at + text.length);
        wake = () => undefined;
        clearTimeout(timer);
        resolve();
      };
      wake = look;
      look();
    });
}

const OK = [':status', '200'];

const get: Http2Scenario = {
  name: 'GET: field order, duplicates and cookie crumbs as they came',
  client: (stage) =>
    request(stage, {
      path: '/a?b=%20c&d=;',
      fields: ['x-b', '1', 'cookie', 'a=1', 'x-a', '', 'cookie', 'b=2', 'x-b', '2', 'user-agent', 'odd'],
      endStream: true,
    }),
  origin: (stream) => {
    respond(stream, [
      ...OK,
      'set-cookie',
      'a=1',
      'x-z',
      '1',
      'set-cookie',
      'b=2',
      'x-y',
      '',
      'x-z',
      '2',
      'alt-svc',
      'h2=":443"',
    ]);
    stream.end('body');
  },
};

const streamedPost: Http2Scenario = {
  name: 'streamed POST: each part seen before the next is sent',
  client: (stage) =>
    request(stage, { method: 'POST' }, async (stream) => {
      for (let i = 0; i < 20; i++) {
        await write(stream, `part ${i};`);
        await stage.wait(`got ${i}`);
      }
      stream.end();
    }),
  origin: async (stream, stage) => {
    const hear = heard(stream);
    for (let i = 0; i < 20; i++) {
      await hear(`part ${i};`);
      stage.signal(`got ${i}`);
    }
    stream.on('end', () => {
      respond(stream, OK);
      stream.end('done');
    });
  },
};

/** Lock-step both ways on one stream. */
export function duplex2(steps: number): Http2Scenario {
  return {
    name: `duplex: lock-step, ${steps} steps each way`,
    client: (stage) =>
      request(stage, { method: 'POST' }, async (stream) => {
        const hear = heard(stream);
        for (let i = 0; i < steps; i++) {
          await write(stream, `up ${i};`);
          await hear(`down ${i};`);
        }
        stream.end();
      }),
    origin: async (stream) => {
      const hear = heard(stream);
      respond(stream, OK);
      for (let i = 0; i < steps; i++) {
        await hear(`up ${i};`);
        await write(stream, `down ${i};`);
      }
      stream.end();
    },
  };
}

const expectContinue: Http2Scenario = {
  name: '100: the body is sent only after the origin said so',
  client: (stage) =>
    request(stage, { method: 'PUT', fields: ['expect', '100-continue', 'content-length', '5'] }, async (stream) => {
      await new Promise((resolve) => stream.once('headers', resolve));
      stream.end('hello');
    }),
  origin: (stream) => {
    stream.additionalHeaders({ ':status': 100 });
    stream.on('end', () => {
      respond(stream, OK);
      stream.end('thanks');
    });
  },
};

const hints: Http2Scenario = {
  name: '103: early hints before the answer',
  client: (stage) =>
    request(stage, { endStream: true }, (stream) => {
      stream.once('headers', () => stage.signal('hinted'));
    }),
  origin: async (stream, stage) => {
    stream.additionalHeaders({ ':status': 103, link: '</style.css>; rel=preload' });
    await stage.wait('hinted');
    stream.additionalHeaders({ ':status': 103, link: '</script.js>; rel=preload' });
    respond(stream, OK);
    stream.end('body');
  },
};

const trailers: Http2Scenario = {
  name: 'trailers: both ways',
  client: (stage) =>
    request(
      stage,
      { method: 'POST', fields: ['te', 'trailers', 'trailer', 'x-sum'], trailers: { 'x-sum': '1', 'x-more': 'two' } },
      (stream) => {
        stream.end('abc');
      },
    ),
  origin: (stream) => {
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-late': ['very', 'again'] }));
    stream.on('end', () => {
      respond(stream, [...OK, 'trailer', 'x-late'], false, true);
      stream.end('def');
    });
  },
};

const grpcTrailersOnly: Http2Scenario = {
  name: 'trailers: gRPC Trailers-Only (END_STREAM on the answer)',
  client: (stage) =>
    request(stage, { method: 'POST', fields: ['content-type', 'application/grpc', 'te', 'trailers'] }, (stream) => {
      stream.end(Buffer.from([0, 0, 0, 0, 0]));
    }),
  origin: (stream) => {
    stream.on('end', () =>
      respond(
        stream,
        [...OK, 'content-type', 'application/grpc', 'grpc-status', '9', 'grpc-message', 'caf%C3%A9'],
        true,
      ),
    );
  },
};

/** A gRPC message (length-prefixed, uncompressed). */
function message(text: string): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(text.length, 1);
  return Buffer.concat([head, Buffer.from(text)]);
}

const grpcStream: Http2Scenario = {
  name: 'gRPC: bidirectional stream of messages, status in the trailers',
  client: (stage) =>
    request(
      stage,
      {
        method: 'POST',
        path: '/weir.Test/Talk',
        fields: ['content-type', 'application/grpc', 'te', 'trailers', 'grpc-timeout', '10S'],
      },
      async (stream) => {
        const hear = heard(stream);
        for (let i = 0; i < 20; i++) {
          await write(stream, message(`ask ${i};`));
          await hear(`answer ${i};`);
        }
        stream.end();
      },
    ),
  origin: async (stream) => {
    const hear = heard(stream);
    stream.on('wantTrailers', () =>
      stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': '', 'x-trail-bin': 'AP8B' }),
    );
    respond(stream, [...OK, 'content-type', 'application/grpc'], false, true);
    for (let i = 0; i < 20; i++) {
      await hear(`ask ${i};`);
      await write(stream, message(`answer ${i};`));
    }
    stream.end();
  },
};

function bodiless(name: string, method: string, fields: readonly string[]): Http2Scenario {
  return {
    name,
    client: (stage) => request(stage, { method, endStream: true }),
    origin: (stream) => respond(stream, fields, true),
  };
}

const earlyAnswer: Http2Scenario = {
  name: 'early answer: complete answer, then RST_STREAM(NO_ERROR), before the upload is done',
  client: (stage) =>
    request(stage, { method: 'POST', fields: ['content-length', '100000'] }, async (stream) => {
      await write(stream, 'first part');
    }),
  origin: (stream) => {
    stream.once('data', () => {
      respond(stream, [':status', '413']);
      stream.end('too large', () => stream.close(NGHTTP2_NO_ERROR));
    });
  },
};

const halfClose: Http2Scenario = {
  name: 'half-close: END_STREAM by the agent, the answer streams on afterwards',
  client: (stage) =>
    request(stage, { method: 'POST' }, (stream) => {
      stream.end('all');
    }),
  origin: (stream) => {
    stream.on('end', async () => {
      respond(stream, OK);
      for (let i = 0; i < 5; i++) {
        await write(stream, `late ${i};`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      stream.end();
    });
  },
};

const resetByOrigin: Http2Scenario = {
  name: 'reset: by the origin in the middle of a body (INTERNAL_ERROR)',
  client: (stage) =>
    request(stage, { endStream: true }, (stream) => {
      stream.once('data', () => stage.signal('seen'));
    }),
  origin: async (stream, stage) => {
    respond(stream, OK);
    await write(stream, 'some');
    await stage.wait('seen');
    // close(code) would end the body first; destroying with an error sends RST_STREAM at once.
    stream.destroy(new Error('scripted'));
  },
};

const refusedStream: Http2Scenario = {
  name: 'reset: refused before any answer (REFUSED_STREAM)',
  client: (stage) => request(stage, { endStream: true }),
  origin: (stream) => stream.close(NGHTTP2_REFUSED_STREAM),
};

const resetByAgent: Http2Scenario = {
  name: 'reset: by the agent in the middle of an upload (CANCEL)',
  client: (stage) =>
    request(stage, { method: 'POST' }, async (stream) => {
      await write(stream, 'some');
      await stage.wait('seen');
      stream.close(NGHTTP2_CANCEL);
    }),
  origin: (stream, stage) => {
    stream.once('data', () => stage.signal('seen'));
  },
};

const shortBody: Http2Scenario = {
  name: 'short body: END_STREAM before the announced length',
  client: (stage) => request(stage, { endStream: true }),
  origin: (stream) => {
    respond(stream, [...OK, 'content-length', '100']);
    stream.end('ten bytes.');
  },
};

const manyFields: Http2Scenario = {
  name: 'head: 600 fields both ways',
  client: (stage) =>
    request(stage, {
      fields: Array.from({ length: 600 }, (_, i) => [`x-field-${i}`, `value ${i}`]).flat(),
      endStream: true,
    }),
  origin: (stream) => {
    respond(stream, [...OK, ...Array.from({ length: 600 }, (_, i) => [`x-out-${i}`, `v${i}`]).flat()]);
    stream.end('ok');
  },
};

const webSocket: Http2Scenario = {
  name: 'WebSocket over HTTP/2 (RFC 8441): extended CONNECT, opaque bytes both ways',
  client: async (stage) => {
    const fields = [
      ':method',
      'CONNECT',
      ':protocol',
      'websocket',
      ':scheme',
      schemeOf(stage.session),
      ':path',
      '/ws',
      ':authority',
      stage.host,
    ];
    const stream = stage.session.request([...fields, 'sec-websocket-version', '13'] as never, { endStream: false });
    const log: StreamLog = [];
    const closed = recordStream(stream, log);
    const hear = heard(stream);
    for (let i = 0; i < 5; i++) {
      await write(stream, `frame ${i};`);
      await hear(`echo frame ${i};`);
    }
    stream.end();
    await closed;
    return log;
  },
  origin: (stream) => {
    respond(stream, OK);
    stream.on('data', (bytes: Buffer) => stream.write(`echo ${bytes.toString()}`));
    stream.on('end', () => stream.end());
  },
};

const concurrent: Http2Scenario = {
  name: 'GET: 40 streams at once',
  client: (stage) =>
    Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        request(stage, { path: `/n/${String(i).padStart(2, '0')}`, endStream: true }),
      ),
    ),
  origin: (stream, _stage, raw) => {
    respond(stream, OK);
    setTimeout(() => stream.end(`answer to ${raw[raw.indexOf(':path') + 1]}`), Math.random() * 20);
  },
};

/** The table for HTTP/2. */
export const MATRIX2: readonly Http2Scenario[] = [
  get,
  concurrent,
  streamedPost,
  duplex2(50),
  expectContinue,
  hints,
  trailers,
  grpcTrailersOnly,
  grpcStream,
  bodiless('HEAD: a length without a body', 'HEAD', [...OK, 'content-length', '123456']),
  bodiless('204/304: no content', 'DELETE', [':status', '204', 'x-a', 'b']),
  bodiless('204/304: not modified', 'GET', [':status', '304', 'etag', '"abc"']),
  earlyAnswer,
  halfClose,
  resetByOrigin,
  refusedStream,
  resetByAgent,
  shortBody,
  manyFields,
  webSocket,
];
