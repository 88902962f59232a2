import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createServer as createTlsServer, connect as tlsConnect } from 'node:tls';
import { type Answer, type Ask, connectTo, http2Through, https, over, over2, plain } from '../support/agent.ts';
import { assemble, type Later } from '../support/assemble.ts';
import { type Authority, createAuthority } from '../support/certs.ts';
import { type EchoOrigin, echoOrigin } from '../support/echo-origin.ts';
import { dial, listening, secure } from '../support/origins.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../support/otlp-receiver.ts';
import { httpParent, type ParentProxy, socksParent } from '../support/parents.ts';
import { cleanEnv, startWeir, type Weir, type WeirOptions } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

interface World {
  readonly origin: EchoOrigin;
  readonly tls: EchoOrigin;
  readonly authority: Authority;
  readonly caFile: string;
  start(config: Record<string, unknown>, more?: WeirOptions): Promise<Weir>;
  close(): Promise<void>;
}

const AGENT = 'researcher';

/** Origins, and Weirs that end with the world. Names below `far.test` and `far.example` exist nowhere. */
function openWorld(): Promise<World> {
  return assemble(async (later: Later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const [origin, tls] = await Promise.all([
      echoOrigin(),
      echoOrigin({ tls: upstream.authority.issue(['*.far.example', '*.near.example']) }),
    ]);
    later(origin.close);
    later(tls.close);
    return {
      origin,
      tls,
      authority: upstream.authority,
      caFile: upstream.caFile,
      start: async (config, more) => {
        const weir = await startWeir({ ...more, config });
        later(weir.stop);
        return weir;
      },
    };
  });
}

const errorOf = (answer: Answer): string => (JSON.parse(answer.body) as { error: string }).error;

describe('upstreams: through a parent proxy', () => {
  let world: World;
  let otlp: OtlpReceiver;
  const closing: (() => unknown)[] = [];
  before(async () => {
    [world, otlp] = await Promise.all([openWorld(), startOtlpReceiver()]);
  });
  after(async () => {
    for (const close of closing) await close();
    await world?.close();
    await otlp?.close();
  });

  const route = (host: string): number => (host.endsWith('.example') ? world.tls.port : world.origin.port);
  const through = async (parent: ParentProxy, url: string): Promise<Weir> => {
    closing.push(parent.close);
    return world.start({
      intercept: { only: ['read.far.example'] },
      telemetry: { endpoint: otlp.url },
      upstream: { proxy: url, ca_file: world.caFile },
    });
  };
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };

  /** The same five requests through any parent; gives back what the parent was asked for. */
  const play = async (weir: Weir, parent: ParentProxy): Promise<string[]> => {
    const ca = await weir.ca();
    assert.equal((await plain(weir, 'http://plain.far.test/p?q=1', { agent: AGENT })).status, 200);
    const { socket, answer } = await connectTo(weir, 'inner.far.test:80', { agent: AGENT });
    assert.equal(answer.status, 200, answer.reason);
    assert.equal((await over(socket, 'inner.far.test', '/')).status, 200);
    socket.destroy();
    const tunnelled = await https(weir, 'https://tunnel.far.example/', { agent: AGENT, ca: world.authority.cert });
    assert.equal(tunnelled.status, 200);
    const session = await http2Through(weir, 'read.far.example', { agent: AGENT, ca });
    assert.equal((await over2(session, '/')).status, 200);
    session.destroy();
    const ws = await dial(weir.port);
    const lines = Object.entries(upgrade).map(([name, value]) => `${name}: ${value}\r\n`);
    ws.write(`GET http://ws.far.test/ HTTP/1.1\r\nHost: ws.far.test\r\n${lines.join('')}\r\n`);
    const [head] = (await once(ws, 'data')) as [Buffer];
    assert.match(head.toString('latin1'), /^HTTP\/1\.1 101 /);
    ws.write(Buffer.from([0x81, 0x80, 0, 0, 0, 0]));
    const [frame] = (await once(ws, 'data')) as [Buffer];
    assert.deepEqual(frame, Buffer.from([0x81, 0x80, 0, 0, 0, 0]));
    ws.destroy();
    return parent.asked.map(({ how, target }) => `${how} ${target}`);
  };

  const assertDelegated = async (): Promise<void> => {
    await otlp.until(({ spans }) => spans.some((span) => span.attributes['server.address'] === 'plain.far.test'));
    const spans = otlp.spans.splice(0).filter((span) => String(span.attributes['server.address']).includes('.far.'));
    for (const span of spans) assert.equal(span.attributes['weir.address.delegated'], true, span.name);
  };

  const CONNECTED = ['CONNECT inner.far.test:80', 'CONNECT tunnel.far.example:443', 'CONNECT read.far.example:443'];

  for (const kind of ['http', 'https'] as const) {
    it(`${kind}: absolute-form for plain HTTP, CONNECT for the rest, names unresolved, with credentials`, async () => {
      const leaf = world.authority.issue(['localhost', '127.0.0.1']);
      const parent = await httpParent({ route, ...(kind === 'https' ? { tls: leaf } : {}) });
      const weir = await through(parent, `${kind}://corp:s3cr%40t@127.0.0.1:${parent.port}`);
      const asked = await play(weir, parent);
      assert.deepEqual(asked, ['GET http://plain.far.test/p?q=1', ...CONNECTED, 'UPGRADE http://ws.far.test/']);
      const basic = `Basic ${Buffer.from('corp:s3cr@t').toString('base64')}`;
      assert.deepEqual(new Set(parent.asked.map(({ credentials }) => credentials)), new Set([basic]));
      const last = world.origin.seen.findLast(({ host }) => host === 'plain.far.test');
      assert.equal(last?.path, '/p?q=1');
      await assertDelegated();
      assert.doesNotMatch(weir.logs() + otlp.bodies.join(''), /s3cr/);
      await weir.stop();
    });
  }

  for (const [scheme, how, credentials] of [
    ['socks4a', 'socks4', undefined],
    ['socks5h', 'socks5', undefined],
    ['socks5', 'socks5', 'corp:s3cret'],
  ] as const) {
    it(`${scheme}${credentials === undefined ? '' : ' with a password'}: everything by name`, async () => {
      const parent = await socksParent({ route });
      const user = credentials === undefined ? '' : `${credentials}@`;
      const weir = await through(parent, `${scheme}://${user}127.0.0.1:${parent.port}`);
      const asked = await play(weir, parent);
      const names = [
        'plain.far.test:80',
        'inner.far.test:80',
        'tunnel.far.example:443',
        'read.far.example:443',
        'ws.far.test:80',
      ];
      assert.deepEqual(
        asked,
        names.map((name) => `${how} ${name}`),
      );
      assert.deepEqual(new Set(parent.asked.map((one) => one.credentials)), new Set([credentials]));
      await assertDelegated();
      await weir.stop();
    });
  }

  it('a parent that refuses, hangs or is gone: 502 and 504 with a bounded error, never its password', async () => {
    const parent = await httpParent({ route });
    closing.push(parent.close);
    const weir = await world.start({
      limits: { connect_ms: 400 },
      upstream: { proxy: `http://corp:s3cret@127.0.0.1:${parent.port}` },
    });
    const ask = async (): Promise<Answer> => {
      const { socket, answer } = await connectTo(weir, 'a.far.test:443', { agent: AGENT });
      socket.destroy();
      return answer;
    };
    parent.behave(407);
    const refused = await ask();
    assert.deepEqual([refused.status, errorOf(refused)], [502, 'upstream-proxy-failed']);
    assert.match(refused.body, /it answered 407 to CONNECT/);
    parent.behave('hang');
    const hung = await ask();
    assert.deepEqual([hung.status, errorOf(hung)], [504, 'connect-timeout']);
    parent.behave(503);
    const passed = await plain(weir, 'http://a.far.test/', { agent: AGENT });
    assert.equal(passed.status, 503, 'what the parent says to a plain request is the answer');
    await parent.close();
    const gone = await ask();
    assert.deepEqual([gone.status, errorOf(gone)], [502, 'upstream-proxy-failed']);
    for (const answer of [refused, hung, gone]) {
      assert.match(answer.reason, /^Weir: a\.far\.test: .* \(ref [0-9A-Z]{10}\)$/);
      assert.doesNotMatch(answer.body + answer.reason, /s3cret|corp/);
    }
    assert.doesNotMatch(weir.logs(), /s3cret/);
    await weir.stop();
  });

  it('inherit takes the parent of Weir’s own environment, and its NO_PROXY; none ignores both', async () => {
    const parent = await httpParent({ route });
    closing.push(parent.close);
    const env = { HTTPS_PROXY: `http://127.0.0.1:${parent.port}`, no_proxy: '.skipped.test,192.0.2.0/24' };
    const config = {
      upstream: { resolve: { 'mapped.test': `127.0.0.1:${world.origin.port}` } },
      limits: { connect_ms: 400 },
    };
    const weir = await world.start(config, { env });
    assert.equal((await plain(weir, 'http://a.far.test/', { agent: AGENT })).status, 200);
    assert.equal(parent.asked.length, 1);
    assert.equal(
      (await plain(weir, 'http://mapped.test/', { agent: AGENT })).status,
      200,
      'the operator’s word is dialled directly',
    );
    const local = await plain(weir, `http://127.0.0.1:${world.origin.port}/`, { agent: AGENT });
    assert.equal(local.status, 200, 'loopback is never asked of a parent');
    const skipped = await plain(weir, 'http://a.skipped.test/', { agent: AGENT });
    assert.deepEqual([skipped.status, errorOf(skipped)], [502, 'dns-failed']);
    assert.equal(parent.asked.length, 1);
    await weir.stop();
    const alone = await world.start({ ...config, upstream: { ...config.upstream, proxy: 'none' } }, { env });
    const unknown = await plain(alone, 'http://a.far.test/', { agent: AGENT });
    assert.deepEqual([unknown.status, errorOf(unknown)], [502, 'dns-failed']);
    assert.equal(parent.asked.length, 1);
    await alone.stop();
  });
});

describe('upstreams: resolving, IPv6', () => {
  let world: World;
  let weir: Weir;
  let six: EchoOrigin;
  before(async () => {
    world = await openWorld();
    six = await echoOrigin({ host: '::1' });
    const { port } = world.origin;
    weir = await world.start({
      mode: 'enforce',
      listen: ['127.0.0.1:0', '[::1]:0'],
      upstream: {
        proxy: 'none',
        resolve: {
          'exact.test': `127.0.0.1:${port}`,
          '*.wild.test': '127.0.0.1:1',
          '*.deep.wild.test': `127.0.0.1:${port}`,
          'own-port.test': '127.0.0.1',
          'six.test': `[::1]:${six.port}`,
          '10.1.2.3': `127.0.0.1:${port}`,
          'by-name.test': `localhost:${port}`,
        },
      },
      destinations: { internal: ['::1'] },
    });
  });
  after(async () => {
    await six?.close();
    await world?.close();
  });

  const get = async (url: string, ask: Ask = {}): Promise<number> =>
    (await plain(weir, url, { agent: AGENT, ...ask })).status;

  it('upstream.resolve: exact, wildcard, longest suffix, port, literal, name; exempt from the address guard', async () => {
    assert.equal(await get('http://exact.test/'), 200);
    assert.equal(await get('http://EXACT.test./'), 200);
    assert.equal(await get('http://a.deep.wild.test/'), 200, 'the longest suffix');
    assert.equal(await get('http://a.wild.test/'), 502, 'nothing listens on port 1');
    assert.equal(await get('http://wild.test/'), 502, 'a wildcard excludes its apex');
    assert.equal(await get(`http://own-port.test:${world.origin.port}/`), 200, 'without a port the destination’s own');
    assert.equal(await get('http://10.1.2.3/'), 200, 'an address is a name like any other');
    assert.equal(await get('http://by-name.test/'), 200);
    assert.equal(await get(`http://127.0.0.1:${world.origin.port}/`), 403, 'and the guard still stands for the rest');
  });

  it('IPv6: upstream by map and by literal, and our own listener', async () => {
    assert.equal(await get('http://six.test/'), 200);
    assert.equal(await get(`http://[::1]:${six.port}/`), 200);
    assert.equal(await get(`http://[0:0:0:0:0:0:0:1]:${six.port}/`), 200, 'normalised');
    const { socket, answer } = await connectTo(weir, `[::1]:${six.port}`, { agent: AGENT });
    assert.equal(answer.status, 200, answer.reason);
    assert.equal((await over(socket, '[::1]', '/')).status, 200);
    socket.destroy();
    const { listeners } = await weir.status();
    const address = listeners.find((one) => one.address.startsWith('[::1]'))?.address ?? '';
    const port = Number(address.split(':').at(-1));
    assert.equal((await plain({ host: '::1', port }, 'http://exact.test/', { agent: AGENT })).status, 200);
    assert.equal(await get(`http://${address}/`), 508, 'Weir itself');
    const rows = await weir.query(
      `SELECT DISTINCT host, peer_address FROM exchanges WHERE port = ${six.port} AND host = '::1'`,
    );
    assert.deepEqual(rows, [{ host: '::1', peer_address: '::1' }]);
  });
});

/** A port where connecting never ends: its process is stopped and its queue of connections is full. */
async function blackHole(): Promise<{ port: number; child: ChildProcess; fillers: Socket[] }> {
  const code = "const s=require('net').createServer();s.listen(0,'127.0.0.1',1,()=>console.log(s.address().port))";
  const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [text] = (await once(child.stdout as NonNullable<typeof child.stdout>, 'data')) as [Buffer];
  const port = Number(text.toString());
  child.kill('SIGSTOP');
  const fillers: Socket[] = [];
  for (let i = 0; i < 6; i++)
    void dial(port).then(
      (socket) => fillers.push(socket),
      () => undefined,
    );
  await new Promise((resolve) => setTimeout(resolve, 200));
  return { port, child, fillers };
}

describe('upstreams: what cannot be reached is answered, recorded and counted', () => {
  it('refused, unresolvable, too slow: 502 and 504 with error type and reference', async () => {
    const world = await openWorld();
    const hole = await blackHole();
    try {
      const weir = await world.start({
        limits: { connect_ms: 300 },
        upstream: { proxy: 'none', resolve: { 'refused.test': '127.0.0.1:1', 'slow.test': `127.0.0.1:${hole.port}` } },
      });
      for (const [host, status, error] of [
        ['refused.test', 502, 'connect-refused'],
        ['nowhere.invalid', 502, 'dns-failed'],
        ['slow.test', 504, 'connect-timeout'],
      ] as const) {
        const flat = await plain(weir, `http://${host}/`, { agent: AGENT });
        const { socket, answer } = await connectTo(weir, `${host}:443`, { agent: AGENT });
        socket.destroy();
        for (const one of [flat, answer]) {
          assert.deepEqual([one.status, errorOf(one)], [status, error]);
          const { ref, destination } = JSON.parse(one.body) as { ref: string; destination: string };
          assert.match(one.reason, new RegExp(`^Weir: ${host.replace('.', '\\.')}: .* \\(ref ${ref}\\)$`));
          assert.equal(one.headers['x-weir-error'], error);
          assert.ok(destination.startsWith(`${host}:`));
          const [row] = await weir.query(
            `SELECT outcome, error_type, status, action, host FROM exchanges WHERE ref = '${ref}'`,
          );
          assert.deepEqual(row, { outcome: 'failed', error_type: error, status, action: 'forward', host });
        }
      }
      await weir.stop();
    } finally {
      hole.child.kill('SIGKILL');
      for (const socket of hole.fillers) socket.destroy();
      await world.close();
    }
  });
});

describe('upstreams: TLS that cannot be verified or read', () => {
  let world: World;
  let stranger: EchoOrigin;
  let strangers: Authority;
  let noTls: Server;
  let noTlsPort: number;
  before(async () => {
    world = await openWorld();
    strangers = createAuthority('Somebody else');
    stranger = await echoOrigin({ tls: strangers.issue(['*.near.example']) });
    noTls = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'));
    });
    noTlsPort = await listening(noTls);
  });
  after(async () => {
    noTls?.close();
    await stranger?.close();
    await world?.close();
  });

  const config = (mode: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
    mode,
    intercept: 'all',
    upstream: {
      proxy: 'none',
      ca_file: world.caFile,
      resolve: {
        'known.near.example': `127.0.0.1:${world.tls.port}`,
        'unknown.near.example': `127.0.0.1:${stranger.port}`,
        'no-tls.near.example': `127.0.0.1:${noTlsPort}`,
      },
    },
    ...more,
  });

  it('monitor: the untouched ClientHello is spliced and the client judges for itself', async () => {
    const weir = await world.start(config('monitor'));
    const ca = await weir.ca();
    assert.equal(
      (await https(weir, 'https://known.near.example/', { agent: AGENT, ca })).status,
      200,
      'ca_file is trusted',
    );
    const own = await https(weir, 'https://unknown.near.example/', { agent: AGENT, ca: strangers.cert });
    assert.equal(own.status, 200);
    await assert.rejects(https(weir, 'https://unknown.near.example/', { agent: AGENT, ca }), /verify|certificate/);
    await assert.rejects(https(weir, 'https://no-tls.near.example/', { agent: AGENT, ca }));
    const [line] = await weir.records('the spliced one', (l) => l.destination === 'unknown.near.example:443');
    assert.equal(line?.visibility, 'tunnel');
    const rows = await weir.query(
      "SELECT DISTINCT host, interception_skipped FROM exchanges WHERE visibility = 'tunnel' ORDER BY host",
    );
    assert.deepEqual(rows, [
      { host: 'no-tls.near.example', interception_skipped: 'upstream-handshake' },
      { host: 'unknown.near.example', interception_skipped: 'upstream-unverifiable' },
    ]);
    await weir.stop();
  });

  it('enforce: 502 inside TLS; on_unverifiable: tunnel lets it pass', async () => {
    const weir = await world.start(config('enforce'));
    const ca = await weir.ca();
    for (const [host, error] of [
      ['unknown.near.example', 'upstream-unverifiable'],
      ['no-tls.near.example', 'upstream-tls-failed'],
    ] as const) {
      const answer = await https(weir, `https://${host}/`, { agent: AGENT, ca });
      assert.deepEqual([answer.status, errorOf(answer)], [502, error]);
      assert.match(answer.reason, new RegExp(`^Weir: ${host.replaceAll('.', '\\.')}: .* \\(ref [0-9A-Z]{10}\\)$`));
    }
    await weir.stop();
    const lenient = await world.start(config('enforce', { tls: { on_unverifiable: 'tunnel' } }));
    const passed = await https(lenient, 'https://unknown.near.example/', { agent: AGENT, ca: strangers.cert });
    assert.equal(passed.status, 200);
    await lenient.stop();
  });

  it('a server that demands a client certificate: one lost connection, then a tunnel, and status says why', async () => {
    const clients = createAuthority('Clients');
    const leaf = world.authority.issue(['mutual.near.example']);
    for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
      const server = createTlsServer(
        {
          ...leaf,
          ca: clients.cert,
          requestCert: true,
          rejectUnauthorized: true,
          minVersion: 'TLSv1.2',
          maxVersion: version,
        },
        (socket) => {
          socket.on('error', () => undefined);
          socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
        },
      );
      server.on('tlsClientError', () => undefined);
      const port = await listening(server);
      const upstream = {
        proxy: 'none',
        ca_file: world.caFile,
        resolve: { 'mutual.near.example': `127.0.0.1:${port}` },
      };
      const weir = await world.start({ intercept: 'all', upstream });
      const own = clients.issue(['the agent']);
      const attempt = async (ca: string): Promise<number> => {
        const { socket } = await connectTo(weir, 'mutual.near.example:443', { agent: AGENT });
        const tls = tlsConnect({ socket, servername: 'mutual.near.example', ca, ...own, ALPNProtocols: ['http/1.1'] });
        tls.on('error', () => undefined);
        try {
          await once(tls, 'secureConnect');
          return (await over(tls, 'mutual.near.example', '/')).status;
        } catch {
          return 0;
        } finally {
          tls.destroy();
        }
      };
      const ca = await weir.ca();
      // TLS 1.2 says so in the handshake: the tunnel is there at once. TLS 1.3 says so after it: one connection is lost.
      if (version === 'TLSv1.3') assert.notEqual(await attempt(ca), 200);
      assert.equal(await attempt(world.authority.cert), 200, version);
      const { exceptions } = await weir.status();
      assert.deepEqual(
        exceptions.map(({ agent, subject, reason, fix }) => ({ agent, subject, reason, fix })),
        [
          {
            agent: AGENT,
            subject: 'mutual.near.example',
            reason: 'client-certificate-required',
            fix: 'the host asks for a client certificate: intercept: {except: [mutual.near.example]}',
          },
        ],
      );
      assert.ok((exceptions[0]?.until ?? 0) > Date.now() + 6 * 86_400_000);
      await weir.stop();
      server.close();
    }
  });

  const curl = async (weir: Weir, host: string): Promise<string> => {
    const args = ['-s', '-o', '/dev/null', '-w', '%{http_code}', '--cacert', world.caFile, '-x', weir.proxyUrl('curl')];
    const child = spawn('curl', [...args, `https://${host}/`], {
      env: cleanEnv(),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let text = '';
    child.stdout.on('data', (part: Buffer) => {
      text += part.toString();
    });
    const [code] = (await once(child, 'close')) as [number];
    return `${code} ${text}`;
  };

  it('curl says no with an alert: one lost connection for all hosts', async () => {
    const weir = await world.start(config('monitor'));
    assert.equal(await curl(weir, 'known.near.example'), '60 000');
    assert.equal(await curl(weir, 'known.near.example'), '0 200');
    assert.match(await curl(weir, 'unknown.near.example'), /^60 /, 'its own judgement of a stranger');
    const { exceptions } = await weir.status();
    assert.deepEqual(
      exceptions.map(({ agent, reason }) => [agent, /ALERT_(UNKNOWN_CA|BAD_CERT)/.test(reason)]),
      [['curl', true]],
    );
    await weir.stop();
    const strict = await world.start(config('enforce'));
    for (let i = 0; i < 2; i++)
      assert.equal(await curl(strict, 'known.near.example'), '60 000', 'enforce lets nothing by unread');
    const [row] = await strict.query("SELECT DISTINCT outcome, error_type FROM exchanges WHERE agent = 'curl'");
    assert.deepEqual(row, { outcome: 'failed', error_type: 'uninspectable' });
    await strict.stop();
  });

  it('a client that closes on our certificate is tunnelled; enforce refuses it', async () => {
    const weir = await world.start(config('monitor'));
    const ask = { agent: 'pinned', ca: world.authority.cert };
    // Node closes without an alert: three times in a row is a no.
    for (let i = 0; i < 3; i++)
      await assert.rejects(https(weir, 'https://known.near.example/', ask), 'it does not trust us');
    assert.equal((await https(weir, 'https://known.near.example/', ask)).status, 200, 'left alone');
    const { exceptions } = await weir.status();
    assert.equal(exceptions.length, 1);
    assert.equal(exceptions[0]?.agent, 'pinned');
    assert.match(String(exceptions[0]?.subject), /^t1[23]/, 'a client kind (JA4), not a host');
    assert.match(String(exceptions[0]?.fix), /^make the client trust .*bundle\.pem \(weir env\), or intercept/);
    const { stdout } = await weir.cli(['status']);
    assert.match(stdout, /not intercepted although configured\n +pinned: t1[23]\S* is tunnelled until /);
    const trusting = await https(weir, 'https://known.near.example/', { agent: AGENT, ca: await weir.ca() });
    assert.equal(trusting.status, 200, 'other agents are still read');
    const [line] = await weir.records(
      'the tunnel',
      (l) => l.agent === 'pinned' && l.kind === 'tunnel' && l.outcome === 'forwarded',
    );
    assert.equal(line?.visibility, 'tunnel');
    const [row] = await weir.query(
      "SELECT interception_skipped FROM exchanges WHERE agent = 'pinned' AND outcome = 'forwarded'",
    );
    assert.deepEqual(row, { interception_skipped: 'client-rejected-ca' });
    await weir.stop();

    const strict = await world.start(config('enforce'));
    const seen = world.tls.seen.length;
    // The exception is tried again each time: a client that was given our CA meanwhile gets through.
    for (let i = 0; i < 2; i++) await assert.rejects(https(strict, 'https://known.near.example/', ask));
    assert.equal(world.tls.seen.length, seen, 'no request got through');
    await strict.stop();
    const excepted = await world.start(config('enforce', { intercept: { except: ['known.near.example'] } }));
    assert.equal((await https(excepted, 'https://known.near.example/', ask)).status, 200);
    await excepted.stop();
  });

  it('secure: what the agent asks of TLS is what the upstream is asked', async () => {
    const weir = await world.start(config('monitor'));
    const ca = await weir.ca();
    const { socket } = await connectTo(weir, 'known.near.example:443', { agent: AGENT });
    const tls = await secure(socket, { servername: 'known.near.example', ca, alpn: ['http/1.1'] });
    assert.equal(tls.alpnProtocol, 'http/1.1', 'the upstream would have spoken h2');
    assert.equal((await over(tls, 'known.near.example', '/')).status, 200);
    tls.destroy();
    await weir.stop();
  });
});
