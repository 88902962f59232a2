import type { LogLine } from '../../src/model/admin.ts';
import { openUpstream } from '../e2e/harness.ts';
import { type Answer, type Ask, http2Through, https, over2, plain } from './agent.ts';
import { assemble } from './assemble.ts';
import type { Leaf } from './certs.ts';
import { type ScanOrigin, scanOrigin } from './scan-origin.ts';
import { startWeir, type Weir } from './weir.ts';

/** Assembled at run time, so that no scanner takes this file for a leak. */
export const SECRET = ['ghp', 'vQ3mZ8pT1xW6rB9nK4cH7sD2fL5gJ0yAeUiO'].join('_');
export const LABEL = '[GITHUB PERSONAL ACCESS TOKEN_REDACTED]';
export const RULE = 'github-pat';

const HOSTS = ['leak.test', '*.leak.test', 'api.github.com'];

interface Origin {
  readonly plainPort: number;
  readonly tlsPort: number;
  close(): unknown;
}

/** A Weir that reads TLS, and an origin with many names: `plain.test`, `leak.test` and what is below them, `api.github.com`. */
export interface LeakWorld<O = ScanOrigin> {
  readonly weir: Weir;
  readonly origin: O;
  /** Weir's. */
  readonly ca: string;
  close(): Promise<void>;
}

export function openLeakWorld(config: Record<string, unknown>): Promise<LeakWorld> {
  return openLeakWorldTo(scanOrigin, config);
}

export function openLeakWorldTo<O extends Origin>(
  start: (leaf: Leaf) => Promise<O>,
  config: Record<string, unknown>,
): Promise<LeakWorld<O>> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const origin = await start(upstream.authority.issue(HOSTS));
    later(() => origin.close());
    const [open, tls] = [`127.0.0.1:${origin.plainPort}`, `127.0.0.1:${origin.tlsPort}`];
    const resolve = {
      'plain.test': open,
      '*.plain.test': open,
      'leak.test': tls,
      '*.leak.test': tls,
      'api.github.com': tls,
    };
    const weir = await startWeir({
      config: { intercept: 'all', upstream: { resolve, ca_file: upstream.caFile }, ...config },
    });
    later(weir.stop);
    return { weir, origin, ca: await weir.ca() };
  });
}

/** The closing log line of one path. */
export async function lineOf({ weir }: Pick<LeakWorld, 'weir'>, path: string): Promise<LogLine> {
  const [line] = await weir.records(path, (one) => one.kind === 'exchange' && one.path?.startsWith(path) === true);
  return line as LogLine;
}

export type Way = 'plain' | 'http1' | 'http2';
export const WAYS: readonly Way[] = ['plain', 'http1', 'http2'];

/** One request, by `researcher` unless said otherwise. */
export async function send(
  { weir, ca }: Pick<LeakWorld, 'weir' | 'ca'>,
  way: Way,
  path: string,
  ask: Ask = {},
): Promise<Answer> {
  const asked = { agent: 'researcher', ...ask };
  if (way === 'plain') return plain(weir, `http://plain.test${path}`, asked);
  if (way === 'http1') return https(weir, `https://leak.test${path}`, { ...asked, ca });
  const session = await http2Through(weir, 'h2.leak.test', { agent: asked.agent, ca });
  try {
    return await over2(session, path, ask);
  } finally {
    session.close();
  }
}
