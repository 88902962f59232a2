import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import type { ReportFacts } from '../model/report.ts';
import type { DirectSeen, RunEnd, RunOpened, RunRequest } from '../model/run.ts';
import { ACTOR_HEADER, AdminError, SOCKET_NAME } from './protocol.ts';

/** A run the collector holds open: the answer to `POST /runs`, which ends when the run or the collector does. */
export interface RunStream {
  readonly opened: RunOpened;
  /** Resolves when the stream has ended, for whatever reason; never rejects. */
  readonly ended: Promise<void>;
  /** Closes it from here: the collector counts the run as abandoned unless it was ended before. */
  close(): void;
}

/** The calls of `weir run`. Every method rejects with AdminError; `no-collector` means: ask again, there is none (any more). */
export interface RunClient {
  open(request: RunRequest): Promise<RunStream>;
  direct(id: string, seen: readonly DirectSeen[]): Promise<void>;
  end(id: string, end: RunEnd): Promise<ReportFacts>;
}

/** The collector binds a port and answers; only a stopped or overloaded one needs longer. */
const OPEN_MS = 30_000;
/** `endRun` waits about 5 s for rows to be stored. */
const CALL_MS = 20_000;
/** A facts document is a few KiB; more is not one of ours. */
const MAX_ANSWER = 4 * 1024 * 1024;
const GONE: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTSOCK']);

/**
 * Speaks about one run to the collector that owns a state directory. Each call has its own connection: the stream of
 * `open` occupies one for as long as the run lasts.
 */
export function createRunClient(options: { readonly stateDir: string; readonly actor: string }): RunClient {
  return {
    open: (asked) => open(options, asked),
    direct: async (id, seen) => {
      await call(options, '/runs/direct', { id, seen });
    },
    end: async (id, end) => (await call(options, '/runs/end', { id, end })) as ReportFacts,
  };
}

type Options = Parameters<typeof createRunClient>[0];

async function open(options: Options, asked: RunRequest): Promise<RunStream> {
  const sent = post(options, '/runs', asked, OPEN_MS);
  const response = await answer(sent, options);
  if (response.statusCode !== 200) throw refusal(response.statusCode, await text(response));
  return new Promise((resolve, reject) => {
    let head = '';
    let opened = false;
    let over = (): void => undefined;
    const ended = new Promise<void>((done) => {
      over = done;
    });
    const take = (chunk: string): void => {
      // After the first line only signs of life follow; reading them keeps the collector's side from filling up.
      if (opened) return;
      head += chunk;
      const end = head.indexOf('\n');
      if (end < 0 && head.length <= MAX_ANSWER) return;
      try {
        const first = JSON.parse(head.slice(0, Math.max(0, end))) as RunOpened;
        opened = true;
        resolve({ opened: first, ended, close: () => sent.destroy() });
      } catch (error) {
        sent.destroy();
        reject(new AdminError('failed', 'the collector’s answer cannot be read', { cause: error }));
      }
    };
    response.setEncoding('utf8').on('data', take);
    response.on('error', () => undefined);
    response.on('close', () => {
      over();
      if (!opened) reject(new AdminError('no-collector', 'the collector ended before it answered'));
    });
  });
}

async function call(options: Options, path: string, body: object): Promise<unknown> {
  const sent = post(options, path, body, CALL_MS);
  const response = await answer(sent, options);
  const content = await text(response);
  if (response.statusCode !== 200) throw refusal(response.statusCode, content);
  try {
    return JSON.parse(content);
  } catch (error) {
    throw new AdminError('failed', 'the collector’s answer cannot be read', { cause: error });
  }
}

function post({ stateDir, actor }: Options, path: string, body: object, timeout: number): ClientRequest {
  const payload = Buffer.from(JSON.stringify(body));
  const headers = { 'content-type': 'application/json', 'content-length': payload.length, [ACTOR_HEADER]: actor };
  const socketPath = join(stateDir, SOCKET_NAME);
  const sent = request({ socketPath, path, method: 'POST', headers, agent: false, timeout });
  sent.end(payload);
  return sent;
}

function answer(sent: ClientRequest, { stateDir }: Options): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    sent.on('error', (error) => reject(connectError(error, stateDir)));
    sent.once('timeout', () =>
      sent.destroy(Object.assign(new Error('no answer in time; is it stopped?'), { code: 'ETIMEDOUT' })),
    );
    sent.once('response', (response) => {
      // Times the wait for the head only: a run may be silent for as long as it likes.
      sent.setTimeout(0);
      resolve(response);
    });
  });
}

function text(response: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const cut = (cause?: Error): void =>
      reject(new AdminError('no-collector', 'the collector’s answer was cut off; it may have just ended', { cause }));
    let content = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      content += chunk;
      if (content.length > MAX_ANSWER) response.destroy();
    });
    response.on('error', cut);
    response.on('end', () => resolve(content));
    response.on('close', () => cut());
  });
}

function refusal(status: number | undefined, content: string): AdminError {
  let message = `the collector answered ${status}`;
  try {
    const { error } = JSON.parse(content) as { error?: unknown };
    if (typeof error === 'string') message = error;
  } catch {
    // Not ours; the status has to do.
  }
  if (status === 404)
    return new AdminError(
      'failed',
      'the collector that owns this state directory is older than this weir and knows no runs. End it and try again.',
    );
  // It is on its way out: the next one answers.
  if (status === 503) return new AdminError('no-collector', message);
  return new AdminError(status === 400 ? 'bad-request' : 'failed', message);
}

function connectError(error: NodeJS.ErrnoException, stateDir: string): AdminError {
  const options = { cause: error };
  if (GONE.has(error.code)) return new AdminError('no-collector', `no collector answers in ${stateDir}`, options);
  if (error.code === 'EACCES' || error.code === 'EPERM')
    return new AdminError(
      'no-permission',
      `${join(stateDir, SOCKET_NAME)} belongs to another user; take a state directory of yours: --state-dir`,
      options,
    );
  return new AdminError('failed', `the collector did not answer: ${error.message}`, options);
}
