import type { Peer } from './peer.ts';
import type { Scenario, Stage } from './scenario.ts';

/** The agent ends an idle keep-alive connection. */
export async function leave(agent: Peer): Promise<void> {
  agent.fin();
  await agent.ended();
}

/** The origin's half of `leave`. */
export async function seeOff(server: Peer): Promise<void> {
  await server.ended();
  server.fin();
}

/** One chunk of a chunked body. */
export function chunk(data: string, extension = ''): string {
  return `${data.length.toString(16)}${extension}\r\n${data}\r\n`;
}

const ok = (body: string, ...lines: string[]): string =>
  `HTTP/1.1 200 OK\r\n${lines.map((l) => `${l}\r\n`).join('')}Content-Length: ${body.length}\r\n\r\n${body}`;

/** A request without a body, answered by fixed bytes; then the agent leaves. */
export function simple(name: string, request: (stage: Stage) => string, response: string, head = false): Scenario {
  return {
    name,
    client: async (agent, stage) => {
      await agent.send(request(stage));
      await agent.until('\r\n\r\n');
      if (!head) await agent.bytes(Buffer.byteLength(response, 'latin1') - response.indexOf('\r\n\r\n') - 4);
      await leave(agent);
    },
    origin: async (server) => {
      await server.until('\r\n\r\n');
      await server.send(response);
      await seeOff(server);
    },
  };
}

const keepAlive: Scenario = {
  name: 'GET: three on one connection, the last two pipelined in one segment',
  client: async (agent, stage) => {
    await agent.send(stage.head('GET', '/1?a=b%20c#x', 'X-ODD-case: Yes', 'Accept: */*'));
    await agent.until('one');
    await agent.send(stage.head('GET', '/2') + stage.head('GET', '/3', 'Cookie: a=1', 'Cookie: b=2'));
    await agent.until('three');
    await leave(agent);
  },
  origin: async (server) => {
    await server.until('\r\n\r\n');
    await server.send(ok('one', 'Set-Cookie: a=1', 'sEt-CoOkIe: b=2'));
    await server.until('\r\n\r\n');
    await server.send(ok('two'));
    await server.until('\r\n\r\n');
    await server.send(ok('three'));
    await seeOff(server);
  },
};

const streamedPost: Scenario = {
  name: 'streamed POST: odd chunk sizes, extensions, each chunk seen before the next is sent',
  client: async (agent, stage) => {
    await agent.send(stage.head('POST', '/upload', 'Transfer-Encoding: chunked', 'Content-Type: text/plain'));
    for (let i = 0; i < 20; i++) {
      await agent.send(chunk(`step-${i}-${'x'.repeat(i * 37)}`, i % 3 === 0 ? ';name="v;1"' : ''));
      await stage.wait(`got ${i}`);
    }
    await agent.send('0\r\n\r\n');
    await agent.until('done');
    await leave(agent);
  },
  origin: async (server, stage) => {
    await server.until('\r\n\r\n');
    for (let i = 0; i < 20; i++) {
      await server.until(`step-${i}-${'x'.repeat(i * 37)}\r\n`);
      stage.signal(`got ${i}`);
    }
    await server.until('0\r\n\r\n');
    await server.send(ok('done'));
    await seeOff(server);
  },
};

const sizedPost: Scenario = {
  name: 'streamed POST: with a length, in dribbles',
  client: async (agent, stage) => {
    await agent.send(stage.head('POST', '/sized', 'Content-Length: 300'));
    for (let i = 0; i < 30; i++) {
      await agent.send(`${String(i).padStart(2, '0')}abcdefgh`);
      await stage.wait(`got ${i}`);
    }
    await agent.until('done');
    await leave(agent);
  },
  origin: async (server, stage) => {
    await server.until('\r\n\r\n');
    for (let i = 0; i < 30; i++) {
      await server.bytes(10);
      stage.signal(`got ${i}`);
    }
    await server.send(ok('done'));
    await seeOff(server);
  },
};

/** Both bodies stream at once; each side sends chunk n+1 only after it has the other side's chunk n. */
export function duplex(steps: number): Scenario {
  return {
    name: `duplex: lock-step, ${steps} steps each way`,
    client: async (agent, stage) => {
      await agent.send(stage.head('POST', '/duplex', 'Transfer-Encoding: chunked'));
      await agent.until('\r\n\r\n');
      for (let i = 0; i < steps; i++) {
        await agent.send(chunk(`up ${i}`));
        await agent.until(`down ${i}\r\n`);
      }
      await agent.send('0\r\n\r\n');
      await agent.until('0\r\n\r\n');
      await leave(agent);
    },
    origin: async (server) => {
      await server.until('\r\n\r\n');
      await server.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      for (let i = 0; i < steps; i++) {
        await server.until(`up ${i}\r\n`);
        await server.send(chunk(`down ${i}`));
      }
      await server.until('0\r\n\r\n');
      await server.send('0\r\n\r\n');
      await seeOff(server);
    },
  };
}

const expectContinue: Scenario = {
  name: '100: the body is sent only after the origin said so',
  client: async (agent, stage) => {
    await agent.send(stage.head('PUT', '/big', 'Expect: 100-continue', 'Content-Length: 5'));
    await agent.until('\r\n\r\n');
    await agent.send('hello');
    await agent.until('thanks');
    await leave(agent);
  },
  origin: async (server) => {
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 100 Continue\r\nX-Why: not\r\n\r\n');
    await server.bytes(5);
    await server.send(ok('thanks'));
    await seeOff(server);
  },
};

const expectRefused: Scenario = {
  name: '100: refused, the body is never sent',
  client: async (agent, stage) => {
    await agent.send(stage.head('PUT', '/big', 'Expect: 100-continue', 'Content-Length: 5'));
    await agent.until('no');
    agent.fin();
    await agent.ended();
  },
  origin: async (server) => {
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno');
    await seeOff(server);
  },
};

const hints: Scenario = {
  name: '103: early hints, 102 and an unasked 100 before the answer',
  client: async (agent, stage) => {
    await agent.send(stage.head('GET', '/hints'));
    await agent.until('/style.css>; rel=preload\r\n\r\n');
    stage.signal('hinted');
    await agent.until('body');
    await leave(agent);
  },
  origin: async (server, stage) => {
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n');
    await stage.wait('hinted');
    await server.send('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n');
    await server.send(ok('body'));
    await seeOff(server);
  },
};

const trailers: Scenario = {
  name: 'trailers: both ways',
  client: async (agent, stage) => {
    await agent.send(
      stage.head('POST', '/t', 'TE: trailers', 'Trailer: X-Sum', 'Connection: TE', 'Transfer-Encoding: chunked'),
    );
    await agent.send(`${chunk('abc')}0\r\nX-Sum: 1\r\nx-More: two words \r\n\r\n`);
    await agent.until('late\r\n\r\n');
    await leave(agent);
  },
  origin: async (server) => {
    await server.until('two words \r\n\r\n');
    await server.send('HTTP/1.1 200 OK\r\nTrailer: X-Late\r\nTransfer-Encoding: chunked\r\n\r\n');
    await server.send(`${chunk('def', ';q=1')}0;last\r\nX-Late: very late\r\n\r\n`);
    await seeOff(server);
  },
};

const earlyAnswer: Scenario = {
  name: 'early answer: the origin answers before the upload is complete and closes',
  client: async (agent, stage) => {
    await agent.send(`${stage.head('POST', '/early', 'Content-Length: 1000000')}first part`);
    await agent.until('too large');
    await agent.ended();
    agent.fin();
  },
  origin: async (server) => {
    await server.until('first part');
    await server.send('HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large');
    server.fin();
    await server.ended();
  },
};

const earlyThenFinish: Scenario = {
  name: 'early answer: the agent finishes its upload all the same and goes on',
  client: async (agent, stage) => {
    await agent.send(`${stage.head('POST', '/early', 'Content-Length: 20')}0123456789`);
    await agent.until('enough');
    await agent.send('0123456789');
    await agent.send(stage.head('GET', '/next'));
    await agent.until('next');
    await leave(agent);
  },
  origin: async (server) => {
    await server.until('0123456789');
    await server.send(ok('enough'));
    await server.bytes(10);
    await server.until('\r\n\r\n');
    await server.send(ok('next'));
    await seeOff(server);
  },
};

const halfClose: Scenario = {
  name: 'half-close: the agent ends its side, the answer still comes',
  client: async (agent, stage) => {
    await agent.send(stage.head('GET', '/half', 'Connection: close'));
    agent.fin();
    await agent.ended();
  },
  origin: async (server) => {
    await server.until('\r\n\r\n');
    await server.ended();
    await server.send('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end');
    await server.send(' of the connection');
    server.fin();
  },
};

const resetByOrigin: Scenario = {
  name: 'reset: by the origin in the middle of a body',
  client: async (agent, stage) => {
    await agent.send(stage.head('GET', '/reset'));
    await agent.until('some');
    stage.signal('seen');
    await agent.ended();
  },
  origin: async (server, stage) => {
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome');
    await stage.wait('seen');
    server.rst();
  },
};

const resetByAgent: Scenario = {
  name: 'reset: by the agent in the middle of an upload',
  client: async (agent, stage) => {
    await agent.send(`${stage.head('POST', '/reset', 'Content-Length: 100')}some`);
    await stage.wait('seen');
    agent.rst();
  },
  origin: async (server, stage) => {
    await server.until('some');
    stage.signal('seen');
    await server.ended();
  },
};

/** The origin announces more than it sends and closes. */
function short(name: string, response: string): Scenario {
  return {
    name: `short body: ${name}`,
    client: async (agent, stage) => {
      await agent.send(stage.head('GET', '/short'));
      await agent.ended();
      agent.fin();
    },
    origin: async (server) => {
      await server.until('\r\n\r\n');
      await server.send(response);
      server.fin();
      await server.ended();
    },
  };
}

const headThenGet: Scenario = {
  name: 'HEAD: a length without a body, then a GET on the same connection',
  client: async (agent, stage) => {
    await agent.send(stage.head('HEAD', '/big'));
    await agent.until('\r\n\r\n');
    await agent.send(stage.head('GET', '/small'));
    await agent.until('small');
    await leave(agent);
  },
  origin: async (server) => {
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 200 OK\r\nContent-Length: 123456\r\n\r\n');
    await server.until('\r\n\r\n');
    await server.send(ok('small'));
    await seeOff(server);
  },
};

const withoutBody: Scenario = {
  name: '204/304: no body, whatever the fields say, then another request',
  client: async (agent, stage) => {
    await agent.send(stage.head('DELETE', '/x'));
    await agent.until('\r\n\r\n');
    await agent.send(stage.head('GET', '/cached', 'If-None-Match: "abc"'));
    await agent.until('\r\n\r\n');
    await agent.send(stage.head('OPTIONS', '/'));
    await agent.until('end');
    await leave(agent);
  },
  origin: async (server) => {
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n');
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 304 Not Modified\r\nETag: "abc"\r\nContent-Length: 777\r\n\r\n');
    await server.until('\r\n\r\n');
    await server.send(ok('end'));
    await seeOff(server);
  },
};

/** The issue's table: {GET, streamed POST, duplex, 100, 103, trailers, HEAD, 204/304, early answer, half-close, reset, short body}. */
export const MATRIX: readonly Scenario[] = [
  keepAlive,
  streamedPost,
  sizedPost,
  duplex(50),
  expectContinue,
  expectRefused,
  hints,
  trailers,
  headThenGet,
  withoutBody,
  earlyAnswer,
  earlyThenFinish,
  halfClose,
  resetByOrigin,
  resetByAgent,
  short('of a length', 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.'),
  short('of a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nten bytes.'),
  short('without the last chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nten bytes.\r\n'),
];
