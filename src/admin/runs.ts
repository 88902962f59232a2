import type { ServerResponse } from 'node:http';
import type { AdminHandlers } from '../model/admin.ts';
import type { Mode } from '../model/finding.ts';
import type { DirectSeen, InterceptChoice, RunEnd, RunRequest } from '../model/run.ts';
import { AdminError } from './protocol.ts';

type Body = Readonly<Record<string, unknown>>;

/** As in the configuration (product.md §4 "Agent identity"). */
const AGENT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const MODES: readonly string[] = ['monitor', 'redact', 'enforce'] satisfies Mode[];
/** The runner notices a collector that hangs, and we a runner that is gone without a word. */
const ALIVE_MS = 5_000;

/** `POST /runs`: the run lasts as long as this answer; its first line is `RunOpened`. */
export async function streamRun(handlers: AdminHandlers, body: Body, response: ServerResponse): Promise<void> {
  const { opened, gone } = await handlers.openRun(runRequest(body));
  if (response.destroyed) return gone();
  response.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  response.write(`${JSON.stringify(opened)}\n`);
  const alive = setInterval(() => response.write('{"alive":1}\n'), ALIVE_MS);
  alive.unref();
  response.on('close', () => {
    clearInterval(alive);
    gone();
  });
  return undefined;
}

export function directSeen(handlers: AdminHandlers, body: Body): object {
  const seen = body['seen'];
  if (!Array.isArray(seen)) throw bad('seen must be a list');
  handlers.directSeen(
    text(body, 'id'),
    seen.map((entry: unknown) => direct(record(entry, 'seen'))),
  );
  return {};
}

export function endRun(handlers: AdminHandlers, body: Body): Promise<unknown> {
  const end = record(body['end'], 'end');
  const signal = optionalText(end, 'signal');
  const code = end['code'];
  const facts: RunEnd = {
    ...(code === undefined ? {} : { code: whole(code, 'code') }),
    ...(signal === undefined ? {} : { signal }),
    restarts: whole(end['restarts'] ?? 0, 'restarts'),
    directWatched: end['directWatched'] === true,
  };
  return handlers.endRun(text(body, 'id'), facts);
}

function runRequest(body: Body): RunRequest {
  const agent = text(body, 'agent');
  if (!AGENT.test(agent)) throw bad(`${JSON.stringify(agent)} is not an agent name`);
  const mode = optionalText(body, 'mode');
  if (mode !== undefined && !MODES.includes(mode)) throw bad(`mode must be one of ${MODES.join(', ')}`);
  const environment = Object.entries(record(body['environment'] ?? {}, 'environment'));
  if (!environment.every(([, value]) => typeof value === 'string')) throw bad('environment must be a map of texts');
  const secrets = Object.entries(record(body['secrets'] ?? {}, 'secrets'));
  if (!secrets.every(([, value]) => typeof value === 'string')) throw bad('secrets must be a map of texts');
  return {
    agent,
    program: text(body, 'program'),
    environment: Object.fromEntries(environment) as Record<string, string>,
    secrets: Object.fromEntries(secrets) as Record<string, string>,
    id: optionalText(body, 'id'),
    port: body['port'] === undefined ? undefined : whole(body['port'], 'port'),
    mode: mode as Mode | undefined,
    intercept: intercept(body['intercept']),
    roots: optionalText(body, 'roots'),
    caFingerprint: optionalText(body, 'caFingerprint'),
  };
}

function intercept(value: unknown): InterceptChoice | undefined {
  if (value === undefined || value === 'none' || value === 'all') return value;
  const lists = record(value, 'intercept');
  for (const key of ['only', 'except'] as const) {
    const list = lists[key];
    if (Array.isArray(list) && list.length > 0 && list.every((entry) => typeof entry === 'string'))
      return key === 'only' ? { only: list } : { except: list };
  }
  throw bad('intercept must be none, all, {only: [hosts]} or {except: [hosts]}');
}

function direct(entry: Body): DirectSeen {
  const protocol = entry['protocol'];
  if (protocol !== 'tcp' && protocol !== 'udp') throw bad('protocol must be tcp or udp');
  return {
    program: text(entry, 'program').slice(0, 64),
    address: text(entry, 'address').slice(0, 64),
    port: whole(entry['port'], 'port'),
    protocol,
    count: whole(entry['count'], 'count'),
  };
}

function bad(message: string): AdminError {
  return new AdminError('bad-request', message);
}

function record(value: unknown, key: string): Body {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad(`${key} must be an object`);
  return value as Body;
}

function text(body: Body, key: string): string {
  const value = optionalText(body, key);
  if (value === undefined || value === '') throw bad(`${key} is missing`);
  return value;
}

function optionalText(body: Body, key: string): string | undefined {
  const value = body[key];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw bad(`${key} must be a text`);
  return value;
}

function whole(value: unknown, key: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw bad(`${key} must be a whole number`);
  return value;
}
