import type { AgentStatus, LogLine } from '../model/admin.ts';
import type { BaselineState } from '../model/record.ts';
import type { Ask, Heard } from './demo-agent.ts';
import type { Stage } from './demo-stage.ts';
import { bytes } from './table.ts';

/** The agent of the story. */
export const AGENT = 'researcher';
const LLM = 'llm.example';
const GIT = 'git.example';
const PACKAGES = 'pypi.example';
const DROP = 'files-drop.example';
const PASTE = 'paste.example';
export const HOSTS: readonly string[] = [LLM, GIT, PACKAGES, DROP, PASTE];

/** Ready within seconds instead of a day, and one block list; all else is the default. */
export const CONFIG = {
  baseline: { ready_after_requests: 40, ready_after_hours: 0 },
  agents: { [AGENT]: { blocked_domains: [PASTE] } },
};

/** Invented, and put together here so that no scanner takes them for real. */
const OWN_KEY = ['demo', 'key', 'of', 'the', 'researcher'].join('-');
const FOREIGN_KEY = ['demo', 'key', 'of', 'somebody', 'else'].join('-');
const UPLOAD = 48_000;
const PASTED = 2000;

/** One piece of an act. What stands under `recorded` is data only. */
export type Part =
  | { readonly say: string }
  | { readonly command: string; readonly output: string }
  | { readonly quote: string }
  | { readonly recorded: LogLine };

export interface Act {
  readonly title: string;
  play(play: Play): AsyncGenerator<Part>;
}

/** What the acts work with; every method rejects when something did not happen. */
export interface Play {
  readonly stage: Pick<Stage, 'origin' | 'wait' | 'client'>;
  send(ask: Ask): Promise<Heard>;
  /** Runs a `weir` command and gives its output, as soon as `expected` is in it. */
  type(args: readonly string[], expected: string): Promise<Part>;
  /** Runs a `weir` command once. */
  typeOnce(args: readonly string[]): Promise<Part>;
}

export const ACTS: readonly Act[] = [
  { title: 'Weir learns what is normal', play: learn },
  { title: 'A host it has never seen', play: neverSeen },
  { title: 'A known host, somebody else’s key', play: foreignKey },
  { title: 'What would be blocked', play: wouldBlock },
  { title: 'The same, enforced', play: enforced },
];

/** Rounds of the daily work before the first look, and then until nothing is news. */
const FIRST = 2;
const MORE = 10;
/** The daily work: a model, a repository, a package index. */
const DAY: readonly Ask[] = [
  { method: 'POST', url: `http://${LLM}/v1/messages`, key: OWN_KEY, size: 300 },
  { method: 'GET', url: `http://${GIT}/acme/notes` },
  { method: 'POST', url: `http://${LLM}/v1/messages`, key: OWN_KEY, size: 300 },
  { method: 'GET', url: `http://${PACKAGES}/simple/requests/` },
];

async function* learn(play: Play): AsyncGenerator<Part> {
  const before = await learnedAfter(play, await work(play, FIRST), 'learning');
  yield { say: `${AGENT} asks a model, reads a repository, installs packages. After ${before.requests} requests:` };
  yield { quote: before.sentence };
  const more = await work(play, MORE);
  await learnedAfter(play, before.requests + more, 'ready');
  yield { say: `Nobody wrote a rule. ${more} requests later Weir knows what is normal:` };
  yield await play.type(['baseline', 'show', AGENT], `${AGENT}: ready`);
}

/** Returns the number of requests sent. */
async function work({ send }: Play, rounds: number): Promise<number> {
  for (let round = 0; round < rounds; round++) {
    for (const ask of DAY) must((await send(ask)).status === 200, `${ask.method} ${ask.url} was not answered with 200`);
  }
  return rounds * DAY.length;
}

/** What Weir says it has learned, once these requests are in it. */
function learnedAfter({ stage }: Play, requests: number, state: BaselineState): Promise<AgentStatus['baseline']> {
  return stage.wait(`${AGENT} to be ${state} after ${requests} requests`, async () => {
    const found = (await stage.client.status()).agents.find(({ agent }) => agent === AGENT)?.baseline;
    return found?.state === state && found.requests === requests ? found : undefined;
  });
}

async function* neverSeen(play: Play): AsyncGenerator<Part> {
  await play.send({ method: 'PUT', url: `http://${DROP}/in/notes.tar`, size: UPLOAD });
  yield recorded(await found(play, DROP, ({ rules }) => rules.includes('first-seen')));
  arrived(play, DROP, UPLOAD);
  yield { say: `${AGENT} uploads ${bytes(UPLOAD)} to ${DROP}. Monitor lets it pass and says so:` };
  yield await play.type(['logs', '--agent', AGENT, '-n', '1'], 'it has never connected to');
}

async function* foreignKey(play: Play): AsyncGenerator<Part> {
  const rule = 'credential-first-seen';
  await play.send({ method: 'POST', url: `http://${LLM}/v1/messages`, key: FOREIGN_KEY, size: 300 });
  yield recorded(await found(play, LLM, ({ rules }) => rules.includes(rule)));
  yield { say: `A request to ${LLM} like the others, with a key that ${AGENT} has never used there:` };
  yield await play.type(['logs', '--agent', AGENT, '-n', '1'], 'a credential it has never used');
  yield { say: 'Whose key is it? Weir keeps a keyed hash of each, never the key:' };
  const sql = `SELECT credential_fp, count(*) n FROM exchanges WHERE host='${LLM}' GROUP BY 1`;
  // Rows come a moment after the line: the one foreign request must be among them.
  yield await play.type(['query', sql], ' 1\n');
}

async function* wouldBlock(play: Play): AsyncGenerator<Part> {
  const answer = await play.send({ method: 'POST', url: `http://${PASTE}/new`, size: PASTED });
  yield recorded(await found(play, PASTE, ({ would, action }) => would === 'block' && action === 'forward'));
  must(answer.status === 200, `monitor answered ${answer.status}`);
  arrived(play, PASTE, PASTED);
  yield { say: `The configuration of ${AGENT} says  blocked_domains: [${PASTE}]. The mode is still monitor:` };
  yield await play.type(['logs', '--agent', AGENT, '--blocked'], 'would block');
  yield { say: `${PASTE} got all ${bytes(play.stage.origin(PASTE).bytes)}. Nothing breaks on the day you start.` };
}

async function* enforced(play: Play): AsyncGenerator<Part> {
  const { stage } = play;
  await stage.wait('the would-block to be counted', async () =>
    (await stage.client.preflight(AGENT, 'enforce')).wouldLose > 0 ? true : undefined,
  );
  yield { say: 'The switch says first what it would have cost:' };
  yield await play.typeOnce(['mode', AGENT, 'enforce']);
  const before = stage.origin(PASTE).requests;
  const answer = await play.send({ method: 'POST', url: `http://${PASTE}/new`, size: PASTED });
  const line = await found(play, PASTE, ({ action, status }) => action === 'block' && status === 403);
  yield recorded(line);
  const ref = line.id.slice(-10);
  must(answer.status === 403, `the same request was answered ${answer.status}`);
  must(stage.origin(PASTE).requests === before, `the same request reached ${PASTE}`);
  must(refOf(answer.body) === ref, 'the refusal does not name its row');
  yield { say: `${AGENT} sends the same again. ${PASTE} gets nothing, ${AGENT} reads why and what to do:` };
  yield { quote: `${answer.statusLine}\n${answer.body.trimEnd()}` };
  yield { say: 'Both, as rows:' };
  const sql = `SELECT mode, verdict, action, status, ref FROM exchanges WHERE host='${PASTE}'`;
  yield await play.type(['query', sql], ref);
}

function refOf(body: string): unknown {
  try {
    return (JSON.parse(body) as { ref?: unknown } | null)?.ref;
  } catch {
    return undefined;
  }
}

/** The newest line of this host that is as it should be. */
function found({ stage }: Play, host: string, wanted: (line: LogLine) => boolean): Promise<LogLine> {
  return stage.wait(`a record of the request to ${host}`, async () =>
    (await stage.client.logs({ agent: AGENT, limit: 20 })).findLast(
      (line) => line.destination?.startsWith(`${host}:`) === true && wanted(line),
    ),
  );
}

function arrived({ stage }: Play, host: string, size: number): void {
  const { requests, bytes: got } = stage.origin(host);
  must(requests === 1 && got === size, `${host} got ${got} bytes in ${requests} requests instead of ${size} in one`);
}

function recorded(line: LogLine): Part {
  return { recorded: line };
}

function must(held: boolean, what: string): void {
  if (!held) throw new Error(what);
}
