import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { assemble } from '../support/assemble.ts';
import { createAuthority } from '../support/certs.ts';
import { clientOrigin } from '../support/client-origin.ts';
import { GIT_ENV } from '../support/git-origin.ts';
import { cleanEnv, eventually, startWeir, type Weir } from '../support/weir.ts';
import { type Ran, runClient } from './harness.ts';

/**
 * Who Weir takes real clients for, by how their proxy is configured. The table is the expectation; every cell is one run of
 * the client through a running Weir, to a host name of its own, read back from Weir's rows.
 */
const PYTHON = process.env['WEIR_TEST_PYTHON'] ?? 'python3';
const TOKEN = ['correct', 'horse', 'battery'].join('-');

const COLUMNS = ['user', 'user:x', 'token', 'wrong token', 'listener', 'CIDR', 'header', 'conflict'] as const;
type Column = (typeof COLUMNS)[number];
type Row = Readonly<Record<Column, string>>;

const CLAIM = 'researcher by claim';
const NOBODY = 'default by default';
/** What every client that sends the credentials of its proxy URL at once is taken for. */
const USUAL: Row = {
  user: CLAIM,
  'user:x': CLAIM,
  token: 'keyed by token',
  'wrong token': 'refused, 407',
  listener: 'bound by listener',
  CIDR: 'sourced by source',
  header: 'scribe by claim',
  conflict: 'bound by listener, identity-conflict',
};

const TABLE: Readonly<Record<string, Row>> = {
  curl: USUAL,
  git: { ...USUAL, user: 'client stops: could not read Password' },
  // Sends nothing before it is challenged, and Weir challenges nobody who may be anonymous.
  'git without GIT_HTTP_PROXY_AUTHMETHOD': {
    ...USUAL,
    user: 'client stops: could not read Password',
    'user:x': NOBODY,
    token: NOBODY,
    'wrong token': NOBODY,
    conflict: 'bound by listener',
  },
  npm: { ...USUAL, header: 'cannot set one' },
  requests: { ...USUAL, user: NOBODY },
  urllib: { ...USUAL, user: NOBODY },
  httpx: USUAL,
  'Node fetch': { ...USUAL, user: NOBODY },
  'Node https': USUAL,
  ws: USUAL,
};

/**
 * Runs one client against `https://<host>`. `header` is the X-Weir-Agent it is to send where it can: curl on the CONNECT, the
 * others on the request, which Weir reads.
 */
type Client = (host: string, env: Record<string, string>, header?: string) => Promise<Ran>;

const python =
  (script: string): Client =>
  (host, env, header) =>
    runClient(PYTHON, ['-c', script, `https://${host}/`, ...(header === undefined ? [] : [header])], env);
const node =
  (script: string): Client =>
  (host, env, header) => {
    const args = ['--input-type=module', '-e', script, `https://${host}/`, ...(header === undefined ? [] : [header])];
    return runClient(process.execPath, args, env);
  };
const git =
  (method: string | undefined): Client =>
  (host, env, header) => {
    const bare: Record<string, string> = { ...env, ...GIT_ENV };
    delete bare['GIT_HTTP_PROXY_AUTHMETHOD'];
    const extra = header === undefined ? [] : ['-c', `http.extraHeader=X-Weir-Agent: ${header}`];
    const own = method === undefined ? bare : { ...bare, GIT_HTTP_PROXY_AUTHMETHOD: method };
    return runClient('git', [...extra, 'ls-remote', `https://${host}/git/tiny.git`], own);
  };
const HEADERS_JS = `const [url, agent] = process.argv.slice(1);
const headers = agent ? { 'X-Weir-Agent': agent } : {};`;
const HEADERS_PY = `import sys
url, headers = sys.argv[1], {"X-Weir-Agent": sys.argv[2]} if len(sys.argv) > 2 else {}`;

const CLIENTS: Readonly<Record<string, Client>> = {
  curl: (host, env, header) => {
    const extra = header === undefined ? [] : ['--proxy-header', `X-Weir-Agent: ${header}`];
    return runClient('curl', ['-sS', '-o', '/dev/null', ...extra, `https://${host}/`], env);
  },
  git: git('basic'),
  'git without GIT_HTTP_PROXY_AUTHMETHOD': git(undefined),
  npm: (host, env) => {
    const quiet = { npm_config_update_notifier: 'false', npm_config_fetch_retries: '0', npm_config_audit: 'false' };
    const files = { npm_config_cache: join(env['HOME'] ?? '', 'npm'), npm_config_userconfig: '/dev/null' };
    return runClient('npm', ['view', 'weir-tiny', 'version', '--registry', `https://${host}/npm/`], {
      ...env,
      ...quiet,
      ...files,
    });
  },
  requests: python(`${HEADERS_PY}
import requests
requests.get(url, headers=headers, timeout=10).raise_for_status()`),
  urllib: python(`${HEADERS_PY}
import urllib.request
urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10).read()`),
  httpx: python(`${HEADERS_PY}
import httpx
httpx.get(url, headers=headers, timeout=10).raise_for_status()`),
  'Node fetch': node(`${HEADERS_JS}
const response = await fetch(url, { headers });
await response.text();`),
  'Node https': node(`${HEADERS_JS}
import https from 'node:https';
https.get(url, { headers }, (response) => response.resume());`),
  // Without an agent ws goes direct, whatever the environment says.
  ws: node(`${HEADERS_JS}
import { Agent } from 'node:https';
import { WebSocket } from 'ws';
const socket = new WebSocket(url.replace('https', 'wss'), { headers, agent: new Agent({ proxyEnv: process.env }) });
socket.on('message', () => socket.close(1000));`),
};

/** What has to run before a row can: command, then arguments that succeed. */
const NEEDS: Readonly<Record<string, readonly [string, ...string[]]>> = {
  curl: ['curl', '--version'],
  git: ['git', '--version'],
  'git without GIT_HTTP_PROXY_AUTHMETHOD': ['git', '--version'],
  npm: ['npm', '--version'],
  requests: [PYTHON, '-c', 'import requests'],
  urllib: [PYTHON, '-c', 'import urllib.request'],
  httpx: [PYTHON, '-c', 'import httpx'],
};

async function lacking(name: string): Promise<string | false> {
  const [command, ...args] = NEEDS[name] ?? [process.execPath, '--version'];
  const { code, stderr } = await runClient(command, args, cleanEnv());
  return code === 0 ? false : `${name} is not there: ${stderr.trim().split('\n').at(-1)}`;
}

interface House {
  /** The proxy URL of a column, without credentials in front. */
  proxy(column: Column): string;
  env(proxy: string): Record<string, string>;
  /** By host: who its client was taken for, in the words of the table. */
  rows(hosts: readonly string[]): Promise<ReadonlyMap<string, string>>;
  close(): Promise<void>;
}

function openHouse(): Promise<House> {
  return assemble(async (later) => {
    const authority = createAuthority();
    const origin = await clientOrigin(authority.issue(['*.cell.test']));
    later(origin.close);
    const home = await mkdtemp(join(tmpdir(), 'weir-identity-'));
    later(() => rm(home, { recursive: true, force: true }));
    const ca = join(home, 'ca.pem');
    await writeFile(ca, authority.cert);
    const common = {
      intercept: 'all',
      upstream: { resolve: { '*.cell.test': `127.0.0.1:${origin.tlsPort}` }, ca_file: ca },
    };
    const bound = { address: '127.0.0.1:0', agent: 'bound' };
    const agents = { researcher: {}, scribe: {}, keyed: { token: TOKEN } };
    const weir = await startWeir({ config: { ...common, listen: ['127.0.0.1:0', bound], agents } });
    later(weir.stop);
    const sourced = await startWeir({ config: { ...common, agents: { sourced: { sources: ['127.0.0.0/8'] } } } });
    later(sourced.stop);
    const trust = join(home, 'trust.pem');
    await writeFile(trust, (await weir.ca()) + (await sourced.ca()));
    const { listeners } = await weir.status();
    const boundTo = listeners.find(({ agent }) => agent === 'bound')?.address ?? '';
    return {
      proxy: (column) => {
        if (column === 'listener' || column === 'conflict') return boundTo;
        return `127.0.0.1:${(column === 'CIDR' ? sourced : weir).port}`;
      },
      env: (proxy) => environment(proxy, trust, home),
      rows: async (hosts) => new Map([...(await taken(weir, hosts)), ...(await taken(sourced, hosts))]),
    };
  });
}

function environment(proxy: string, trust: string, home: string): Record<string, string> {
  const set = (names: readonly string[], value: string) => Object.fromEntries(names.map((name) => [name, value]));
  return cleanEnv({
    ...set(['HTTP_PROXY', 'HTTPS_PROXY', 'http_proxy', 'https_proxy'], proxy),
    ...set(['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'], trust),
    ...set(['GIT_SSL_CAINFO', 'npm_config_cafile'], trust),
    NODE_USE_ENV_PROXY: '1',
    GIT_ASKPASS: '',
    SSH_ASKPASS: '',
    HOME: home,
  });
}

async function taken(weir: Weir, hosts: readonly string[]): Promise<[string, string][]> {
  const names = hosts.map((host) => `'${host}'`).join(', ');
  // The CONNECT knows of a conflict first and tells it; the exchange inside it is the row.
  const rows = await weir.query(
    `SELECT host, agent, identified_by, status, EXISTS (FROM findings f
       WHERE f.host = e.host AND f.rule = 'identity-conflict') AS conflict
     FROM exchanges e WHERE host IN (${names}) ORDER BY started_at`,
  );
  return rows.map(({ host, agent, identified_by, status, conflict }) => {
    const suffix = conflict === true ? ', identity-conflict' : '';
    const said = Number(status) === 407 ? 'refused, 407' : `${agent} by ${identified_by}${suffix}`;
    return [String(host), said];
  });
}

function urlFor(column: Column, proxy: string): string {
  const credentials: Partial<Record<Column, string>> = {
    user: 'researcher@',
    'user:x': 'researcher:x@',
    token: `keyed:${TOKEN}@`,
    'wrong token': 'keyed:not-the-token@',
    conflict: 'researcher:x@',
  };
  return `http://${credentials[column] ?? ''}${proxy}`;
}

function markdown(seen: ReadonlyMap<string, Row>): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const body = [...seen].map(([name, row]) => line([name, ...COLUMNS.map((column) => row[column])]));
  return [line(['client', ...COLUMNS]), line(['client', ...COLUMNS].map(() => '---')), ...body].join('\n');
}

describe('clients: who Weir takes them for', { timeout: 400_000 }, async () => {
  const seen = new Map<string, Row>();
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house?.close());

  for (const [index, name] of Object.keys(TABLE).entries()) {
    const skip = await lacking(name);
    it(name, { skip }, async () => {
      const expected = TABLE[name] as Row;
      const hostOf = (column: Column): string => `r${index}c${COLUMNS.indexOf(column)}.cell.test`;
      const ran = new Map<Column, Ran>();
      for (const column of COLUMNS) {
        if (expected[column] === 'cannot set one') continue;
        const env = house.env(urlFor(column, house.proxy(column)));
        const client = CLIENTS[name] as Client;
        ran.set(column, await client(hostOf(column), env, column === 'header' ? 'scribe' : undefined));
      }
      const recorded = COLUMNS.filter((column) => !/^c(lient stops|annot set)/.test(expected[column])).map(hostOf);
      let rows: ReadonlyMap<string, string> = new Map();
      const complete = async (): Promise<boolean> => {
        rows = await house.rows(COLUMNS.map(hostOf));
        return recorded.every((host) => rows.has(host));
      };
      // What is missing after that the comparison below shows better.
      await eventually(complete, 'all rows').catch(() => undefined);
      const cell = (column: Column): string => {
        const result = ran.get(column);
        if (result === undefined) return 'cannot set one';
        const said = rows.get(hostOf(column));
        if (said !== undefined) return said;
        const prompt = /could not read Password/.exec(result.stderr)?.[0];
        return `client stops: ${prompt ?? `${result.code} ${result.stderr.trim()}`}`;
      };
      const found = Object.fromEntries(COLUMNS.map((column) => [column, cell(column)])) as unknown as Row;
      seen.set(name, found);
      assert.deepEqual(found, expected);
      for (const [column, { code, stderr, stdout }] of ran) {
        const fails = /refused|stops/.test(expected[column]);
        assert.equal(code !== 0, fails, `${column}: ${code} ${stderr} ${stdout}`);
        assert.ok(!(stderr + stdout).includes(TOKEN), `${column}: the token is not repeated by Weir's answer`);
      }
    });
  }

  it('as Markdown', (t) => {
    for (const line of markdown(seen).split('\n')) t.diagnostic(line);
  });
});
