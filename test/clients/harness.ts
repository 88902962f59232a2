import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assemble } from '../support/assemble.ts';
import { createAuthority } from '../support/certs.ts';
import { type ClientOrigin, clientOrigin } from '../support/client-origin.ts';
import { HOSTS } from '../support/lanes.ts';
import { cleanEnv, startWeir, type Weir } from '../support/weir.ts';

/** How a client's traffic is seen: by which host name it is sent. */
export type View = keyof typeof HOSTS;

export const AGENT = 'researcher';
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

export interface ClientHouse {
  readonly weir: Weir;
  readonly origin: ClientOrigin;
  /** Test authority and Weir's CA in one PEM file. */
  readonly trust: string;
  readonly trustPem: string;
  /** A fresh directory for the client's files, removed at the end. */
  readonly directory: string;
  /** Base URL by view, `http://plain.test`, `https://tunnel.test`, `https://read.test`. */
  base(view: View): string;
  /** Environment of a client behind Weir, as `weir env` would write it. */
  env(extra?: Readonly<Record<string, string>>): Record<string, string>;
  /** Demands a record of this view by the agent; `path` where Weir can see one. */
  seen(view: View, path?: string, agent?: string): Promise<void>;
  close(): Promise<void>;
}

/** Starts the stand-ins and Weir (intercepting `read.test` only). */
export function openClientHouse(config: Record<string, unknown> = {}): Promise<ClientHouse> {
  return assemble(async (later) => {
    const authority = createAuthority();
    const origin = await clientOrigin(authority.issue([HOSTS.tunnel, HOSTS.intercepted]));
    later(origin.close);
    const directory = await mkdtemp(join(tmpdir(), 'weir-client-'));
    later(() => rm(directory, { recursive: true, force: true }));
    const caFile = join(directory, 'upstream-ca.pem');
    await writeFile(caFile, authority.cert);
    const resolve = {
      [HOSTS.plain]: `127.0.0.1:${origin.plainPort}`,
      [HOSTS.tunnel]: `127.0.0.1:${origin.tlsPort}`,
      [HOSTS.intercepted]: `127.0.0.1:${origin.tlsPort}`,
    };
    const settings = { intercept: { only: [HOSTS.intercepted] }, upstream: { resolve, ca_file: caFile } };
    const weir = await startWeir({ config: { ...settings, ...config } });
    later(weir.stop);
    const trustPem = authority.cert + (await weir.ca());
    const trust = join(directory, 'trust.pem');
    await writeFile(trust, trustPem);
    const house: Omit<ClientHouse, 'close'> = {
      weir,
      origin,
      trust,
      trustPem,
      directory,
      base: (view) => `${view === 'plain' ? 'http' : 'https'}://${HOSTS[view]}`,
      env: (extra = {}) => cleanEnv({ ...proxyEnv(weir.proxyUrl(AGENT), trust), ...extra }),
      seen: (view, path, agent = AGENT) => seen(weir, view, path, agent),
    };
    return house;
  });
}

function proxyEnv(url: string, trust: string): Record<string, string> {
  return {
    HTTP_PROXY: url,
    HTTPS_PROXY: url,
    http_proxy: url,
    https_proxy: url,
    NODE_USE_ENV_PROXY: '1',
    NODE_EXTRA_CA_CERTS: trust,
    SSL_CERT_FILE: trust,
    REQUESTS_CA_BUNDLE: trust,
    CURL_CA_BUNDLE: trust,
    GIT_SSL_CAINFO: trust,
    GIT_HTTP_PROXY_AUTHMETHOD: 'basic',
    npm_config_cafile: trust,
  };
}

async function seen(weir: Weir, view: View, path: string | undefined, agent: string): Promise<void> {
  const host = HOSTS[view];
  const lines = await weir.records(`${agent} → ${host}${path ?? ''}`, (line) => {
    if (line.agent !== agent || line.destination?.includes(host) !== true) return false;
    if (view === 'tunnel') return line.kind === 'connect' || line.kind === 'tunnel';
    return line.kind === 'exchange' && (path === undefined || line.path?.startsWith(path) === true);
  });
  const visibility = view === 'plain' ? 'plaintext' : view;
  assert.ok(
    lines.some((line) => line.visibility === visibility || (view === 'tunnel' && line.kind === 'connect')),
    `${host} should be ${visibility}: ${JSON.stringify(lines)}`,
  );
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a client to its end (30 s). Never rejects: the exit code says. */
export function runClient(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
  cwd = REPOSITORY,
): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(command, [...args], { env, cwd, timeout: 30_000, maxBuffer: 16 << 20 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, stdout, stderr: error !== null && stderr === '' ? String(error) : stderr });
    });
  });
}

/** Runs a module of JavaScript in a child Node that resolves packages from the repository. */
export function runNode(script: string, env: Record<string, string>): Promise<Ran> {
  return runClient(process.execPath, ['--input-type=module', '-e', script], env);
}

/** Demands success and gives stdout. */
export function succeeded(ran: Ran): string {
  assert.equal(ran.code, 0, `the client failed (${ran.code}):\n${ran.stderr}\n${ran.stdout}`);
  return ran.stdout;
}
