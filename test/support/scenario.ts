import assert from 'node:assert/strict';
import { HOSTS, type Lane, type LaneName, type LaneParts, lane } from './lanes.ts';
import { type Capture, difference, type Peer } from './peer.ts';

/** What a script needs to know of the lane it runs on. */
export interface Stage {
  readonly host: string;
  readonly lane: LaneName;
  /** A request head: method, path, then field lines without CRLF. `Host` is added first unless a line has it. */
  head(method: string, path: string, ...lines: string[]): string;
  /** In-process signal between both scripts, outside the connection under test. */
  signal(name: string): void;
  wait(name: string): Promise<void>;
}

/** One conversation, both ends scripted. Ends are recorded after both scripts returned and both sides were seen to end. */
export interface Scenario {
  readonly name: string;
  readonly client: (agent: Peer, stage: Stage) => Promise<void>;
  readonly origin: (server: Peer, stage: Stage) => Promise<void>;
  /** Compare endings too (FIN or RST seen by each side). Off where both sides close at once. Default true. */
  readonly endings?: boolean;
}

export interface Outcome {
  readonly agent: Capture;
  readonly origin: Capture;
}

/** Named one-shot signals between two scripts. */
export class Signals {
  readonly #given = new Set<string>();
  readonly #waiting = new Map<string, (() => void)[]>();

  signal(name: string): void {
    this.#given.add(name);
    for (const wake of this.#waiting.get(name) ?? []) wake();
    this.#waiting.delete(name);
  }

  wait(name: string): Promise<void> {
    if (this.#given.has(name)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the other script never signalled "${name}"`)), 10_000);
      const waiters = this.#waiting.get(name) ?? [];
      waiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
      this.#waiting.set(name, waiters);
    });
  }
}

function stageFor(road: Lane): Stage {
  const signals = new Signals();
  return {
    host: road.host,
    lane: road.name,
    head: (method, path, ...lines) => {
      const host = lines.some((line) => /^host:/i.test(line)) ? '' : `Host: ${road.host}\r\n`;
      const fields = lines.map((line) => `${line}\r\n`).join('');
      return `${method} ${road.target(path)} HTTP/1.1\r\n${host}${road.fields}${fields}\r\n`;
    },
    signal: (name) => signals.signal(name),
    wait: (name) => signals.wait(name),
  };
}

/** Plays one scenario on one lane. */
export async function play(scenario: Scenario, road: Lane): Promise<Outcome> {
  road.origin.forget();
  const stage = stageFor(road);
  const arriving = road.origin.next();
  arriving.catch(() => undefined);
  const agent = await road.open();
  let server: Peer | undefined;
  try {
    await Promise.all([
      scenario.client(agent, stage).catch((error: Error) => fail(road, 'agent', error)),
      arriving
        .then((peer) => {
          server = peer;
          return scenario.origin(peer, stage);
        })
        .catch((error: Error) => fail(road, 'origin', error)),
    ]);
    if (scenario.endings !== false) await Promise.all([agent.ended(), server?.ended()]);
    return {
      agent: agent.capture,
      origin: (server as Peer | undefined)?.capture ?? { bytes: Buffer.alloc(0), ending: 'open' },
    };
  } finally {
    agent.destroy();
    server?.destroy();
  }
}

function fail(road: Lane, side: string, error: Error): never {
  throw new Error(`${road.name}, ${side}: ${error.message}`, { cause: error });
}

/** The direct lane that shows the same bytes as a proxied lane. */
export function directFor(name: LaneName, parts: LaneParts): Lane {
  if (name === 'tunnel') return lane('direct-tls', parts, HOSTS.tunnel);
  if (name === 'intercepted') return lane('direct-tls', parts, HOSTS.intercepted);
  return lane('direct', parts, HOSTS.plain);
}

/** Plays a scenario directly and on the lane, and demands the same bytes and the same endings at both ends. */
export async function assertPassive(scenario: Scenario, name: LaneName, parts: LaneParts): Promise<void> {
  const expected = await play(scenario, directFor(name, parts));
  const got = await play(scenario, lane(name, parts));
  const origin = difference(expected.origin.bytes, got.origin.bytes);
  assert.equal(origin, undefined, `what the origin received (${scenario.name}, ${name}): ${origin}`);
  const agent = difference(expected.agent.bytes, got.agent.bytes);
  assert.equal(agent, undefined, `what the agent received (${scenario.name}, ${name}): ${agent}`);
  if (scenario.endings === false) return;
  assert.equal(got.origin.ending, expected.origin.ending, `how the origin saw the end (${scenario.name}, ${name})`);
  assert.equal(got.agent.ending, expected.agent.ending, `how the agent saw the end (${scenario.name}, ${name})`);
}
