import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { type Http2Origin, http2Client, type StreamLog } from './http2.ts';
import { AGENT_FIELDS } from './lanes.ts';
import { connectThrough, dial, secure } from './origins.ts';
import { Signals } from './scenario.ts';
import type { Http2Scenario } from './scenarios-http2.ts';

export interface Http2Lane {
  readonly host: string;
  readonly origin: Http2Origin;
  /** What the agent trusts; absent = cleartext HTTP/2 with prior knowledge. */
  readonly ca?: string;
  /** Through this proxy port; absent = directly. */
  readonly proxyPort?: number;
}

export interface Http2Outcome {
  readonly agent: readonly StreamLog[];
  readonly origin: readonly StreamLog[];
}

/** Plays one HTTP/2 scenario on a fresh connection. */
export async function playHttp2(scenario: Http2Scenario, lane: Http2Lane): Promise<Http2Outcome> {
  const signals = new Signals();
  lane.origin.logs.length = 0;
  lane.origin.handle = (stream, raw) => {
    void Promise.resolve(scenario.origin(stream, signals, raw)).catch((error: Error) => stream.destroy(error));
  };
  const { ca, host } = lane;
  const socket =
    lane.proxyPort === undefined
      ? await dial(lane.origin.port)
      : (await connectThrough(lane.proxyPort, `${host}:${ca === undefined ? 80 : 443}`, AGENT_FIELDS)).socket;
  const road = ca === undefined ? socket : await secure(socket, { servername: host, ca, alpn: ['h2', 'http/1.1'] });
  const session = await http2Client(road, host);
  try {
    const result = await limited(
      scenario.client({ session, host: lane.host, signal: (n) => signals.signal(n), wait: (n) => signals.wait(n) }),
      'the agent',
    );
    await limited(lane.origin.settled(), 'the origin');
    return {
      agent: Array.isArray(result[0]?.[0]) ? (result as StreamLog[]) : [result as StreamLog],
      origin: ordered(lane.origin.logs),
    };
  } finally {
    session.destroy();
    socket.destroy();
  }
}

function ordered(logs: readonly StreamLog[]): StreamLog[] {
  return [...logs].sort((a, b) => (inspect(a[0]) < inspect(b[0]) ? -1 : 1));
}

function limited<T>(work: Promise<T>, who: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${who} did not finish within 12 s`)), 12_000);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Plays it directly and through the proxy, and demands the same events with the same content at both ends. */
export async function assertPassiveHttp2(
  scenario: Http2Scenario,
  direct: Http2Lane,
  proxied: Http2Lane,
): Promise<void> {
  const expected = await playHttp2(scenario, direct);
  const got = await playHttp2(scenario, proxied);
  assert.deepEqual(readable(got.origin), readable(expected.origin), `what the origin received (${scenario.name})`);
  assert.deepEqual(readable(got.agent), readable(expected.agent), `what the agent received (${scenario.name})`);
}

/** Long DATA is compared by length and content but shown short. */
function readable(logs: readonly StreamLog[]): unknown[] {
  return logs.map((log) =>
    log.map(([kind, ...rest]) => [kind, ...rest.map((v) => (Buffer.isBuffer(v) ? v.toString('latin1') : v))]),
  );
}
