import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Fortress, lastWords, openFortress, witness } from '../support/fortress.ts';
import { clientHello } from '../support/hello.ts';
import { http2Client, http2Origin, openStream, recordStream, type StreamLog } from '../support/http2.ts';
import { secure } from '../support/origins.ts';
import { Peer } from '../support/peer.ts';
import { claim, peerOf, tunnel } from '../support/watched.ts';
import { eventually } from '../support/weir.ts';

const TLS_ALERT = 21;

describe('names: only the CONNECT authority decides (E1, E2, E3, E5, E26)', () => {
  let fortress: Fortress;
  /** Accepts anything and only writes down: for hand-made ClientHellos. */
  let sink: Awaited<ReturnType<typeof witness>>;
  let h2: Awaited<ReturnType<typeof http2Origin>>;
  before(async () => {
    fortress = await openFortress({ intercept: { only: ['read.test', 'h2.test'] } }, async (later, authority) => {
      sink = await witness();
      later(sink.close);
      h2 = await http2Origin(authority.issue(['h2.test']));
      later(h2.close);
      const resolve = { 'tunnel.test': `127.0.0.1:${sink.port}`, 'h2.test': `127.0.0.1:${h2.port}` };
      return {
        resolve,
        config: {
          agents: {
            strict: { mode: 'enforce', allowed_domains: ['plain.test', 'tunnel.test', 'read.test', 'h2.test'] },
            'open-enforce': { mode: 'enforce' },
          },
        },
      };
    });
  });
  after(() => fortress?.close());

  /** Sends a ClientHello through a CONNECT; what came back until the end, or nothing when it stays open. */
  async function hello(
    agent: string,
    authority: string,
    bytes: Buffer,
  ): Promise<{ head: string; back: Buffer | undefined }> {
    sink.forget();
    const { socket, head } = await tunnel(fortress.weir.port, agent, authority);
    if (!head.startsWith('HTTP/1.1 200 ')) {
      socket.destroy();
      return { head, back: undefined };
    }
    const peer = peerOf(socket);
    await peer.send(bytes);
    const passed = await Promise.race([
      peer.ended().then(() => false),
      new Promise<boolean>((resolve) => {
        const timer = setInterval(() => {
          if (!sink.heard().includes(bytes.toString('latin1'))) return;
          clearInterval(timer);
          resolve(true);
        }, 10);
        void peer
          .ended()
          .finally(() => clearInterval(timer))
          .catch(() => undefined);
      }),
    ]);
    const back = passed ? undefined : Buffer.from(peer.received);
    peer.destroy();
    return { head, back };
  }

  async function tunnelLine(agent: string, rule: string): Promise<Record<string, unknown>> {
    const [line] = await fortress.weir.records(
      `${rule} of ${agent}`,
      (one) => one.agent === agent && one.kind !== 'finding' && one.rules.includes(rule),
    );
    return { ...line };
  }

  it('SNI that agrees goes through untouched', async () => {
    const { back } = await hello('strict', 'tunnel.test:443', clientHello({ sni: 'tunnel.test' }));
    assert.equal(back, undefined);
  });

  for (const [what, sni] of [
    ['another name', 'evil.test'],
    ['a sub-domain', 'a.tunnel.test'],
    ['the name with a suffix', 'tunnel.test.evil.test'],
    ['no name', undefined],
    ['an empty name', ''],
    ['a name with NUL', 'tunnel.test\0.evil.test'],
    ['an address', '127.0.0.1'],
  ] as const) {
    it(`SNI is ${what}: passed on in monitor as would block, refused in enforce`, async () => {
      const agent = `sni-${what.replaceAll(' ', '-')}`.toLowerCase();
      const bytes = clientHello(sni === undefined ? {} : { sni });
      const free = await hello(agent, 'tunnel.test:443', bytes);
      assert.equal(free.back, undefined, 'monitor passes the very bytes on');
      const line = await tunnelLine(agent, 'name-mismatch');
      assert.equal(line['would'], 'block');
      const strict = await hello('strict', 'tunnel.test:443', bytes);
      assert.equal(strict.back?.[0], TLS_ALERT, 'a TLS alert, readable by the client');
      assert.equal(sink.heard(), '');
    });
  }

  it('an allowed SNI widens nothing: the CONNECT to another place is refused', async () => {
    for (const authority of ['evil.test:443', `127.0.0.1:${sink.port}`]) {
      const { head } = await hello('strict', authority, clientHello({ sni: 'tunnel.test' }));
      assert.match(head, /^HTTP\/1\.1 403 Blocked by Weir: /);
      assert.equal(sink.heard(), '');
    }
  });

  it('ECH towards an allowed name is flagged, towards no list too, and its row says so', async () => {
    for (const agent of ['ech', 'strict']) {
      const { back } = await hello(agent, 'tunnel.test:443', clientHello({ sni: 'public.test', ech: true }));
      assert.equal(back, undefined);
      await fortress.weir.records('the tunnel', (one) => one.agent === agent && one.kind === 'tunnel');
    }
    const sql = "SELECT agent, verdict, action, would, sni FROM exchanges WHERE ech AND kind = 'tunnel' ORDER BY agent";
    const row = { verdict: 'flag', action: 'forward', would: 'none', sni: 'public.test' };
    await eventually(async () => (await fortress.weir.query(sql)).length === 2, 'both rows');
    assert.deepEqual(await fortress.weir.query(sql), [
      { agent: 'ech', ...row },
      { agent: 'strict', ...row },
    ]);
  });

  it('ECH inside interception ends as a failed handshake, not as an unread tunnel in enforce', async () => {
    const { socket } = await tunnel(fortress.weir.port, 'strict', 'read.test:443');
    const peer = peerOf(socket);
    fortress.tls.forget();
    await peer.send(clientHello({ sni: 'read.test', ech: true }));
    const record = await peer.bytes(6);
    // A ServerHello of ours or a refusal: never the upstream's own handshake with a client we cannot read.
    assert.ok(record[0] === 22 || record[0] === TLS_ALERT);
    peer.destroy();
    assert.equal(fortress.tls.heard(), '');
  });

  for (const authority of [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0x7f.1',
    '0177.0.0.1',
    '127.0.0.1.',
    '%31%32%37.0.0.1',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[0:0:0:0:0:ffff:7f00:0001]',
    '[::1]',
    '0.0.0.0',
    '[::]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '169.254.169.254',
    '[fd00:ec2::254]',
  ]) {
    it(`CONNECT to ${authority}: refused in enforce before anything is dialled`, async () => {
      const dialled = sink.accepted();
      for (const agent of ['strict', 'open-enforce']) {
        const { socket, head } = await tunnel(fortress.weir.port, agent, `${authority}:${sink.port}`);
        socket.destroy();
        assert.match(head, /^HTTP\/1\.1 4\d\d /, agent);
      }
      assert.equal(sink.accepted(), dialled);
    });
  }

  for (const authority of ['PLAIN.test', 'plain.test.', 'pl%61in.test']) {
    it(`${authority} is plain.test, whatever its spelling`, async () => {
      const peer = peerOf((await tunnel(fortress.weir.port, 'strict', `${authority}:80`)).socket);
      await peer.send('GET /spelt HTTP/1.1\r\nHost: plain.test\r\nConnection: close\r\n\r\n');
      assert.match(await lastWords(peer), /^HTTP\/1\.1 200 /);
    });
  }

  it('full-width letters are the letters they stand for, on every list', async () => {
    for (const [name, status] of [
      ['ｐｌａｉｎ.test', 200],
      ['ｅｖｉｌ.test', 403],
    ] as const) {
      const raw = Buffer.from(name, 'utf8').toString('latin1');
      const peer = await fortress.open('plain');
      await peer.send(`GET http://${raw}/wide HTTP/1.1\r\nHost: ${raw}\r\n${claim('strict')}Connection: close\r\n\r\n`);
      assert.match(await lastWords(peer), new RegExp(`^HTTP/1\\.1 ${status} `));
    }
  });

  for (const authority of [
    'plain.test.evil.test:80',
    'evilplain.test:80',
    'plain.test@evil.test:80',
    'user:pw@plain.test:80',
    'plain.test:80@evil.test:80',
    'plain.test:81:80',
    'plain.test',
    'plain.test:',
    'plain.test:0',
    'plain.test:99999',
    'plain.test:8o',
    'plain..test:80',
    '.plain.test:80',
    '*:80',
    '*.test:80',
    'plain.test/:80',
    'plain.test#:80',
    'plain.test\\:80',
    'a.plain.test:80',
    'xn--plain-.test:80',
    'http://plain.test:80',
    '[plain.test]:80',
    '[::1%25lo]:80',
    `${'a'.repeat(64)}.test:80`,
    `${'a.'.repeat(130)}test:80`,
  ]) {
    it(`CONNECT ${authority.slice(0, 40)} never reaches plain.test`, async () => {
      const dialled = fortress.plain.accepted();
      const { socket, head } = await tunnel(fortress.weir.port, 'strict', authority);
      socket.destroy();
      assert.match(head, /^HTTP\/1\.1 40[03] /);
      assert.equal(fortress.plain.accepted(), dialled);
    });
  }

  it('Host inside a tunnel must be the tunnel’s name', async () => {
    for (const road of ['connect', 'intercepted'] as const) {
      const { host, witness: upstream } = fortress.target(road);
      const free = await fortress.open(road, `host-${road}`);
      await free.send('GET /inner HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n');
      assert.match(await lastWords(free), /^HTTP\/1\.1 200 /, 'monitor forwards');
      const [line] = await fortress.weir.records(
        'the mismatch',
        (one) => one.agent === `host-${road}` && one.kind === 'exchange',
      );
      assert.equal(line?.would, 'block');
      assert.equal(line?.destination?.startsWith(host), true);
      upstream.forget();
      const strict = await fortress.open(road, 'strict');
      await strict.send('GET /inner HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n');
      assert.match(await lastWords(strict), /^HTTP\/1\.1 403 /);
      const absolute = await fortress.open(road, 'strict');
      await absolute.send(`GET http://evil.test/inner HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      assert.match(await lastWords(absolute), /^HTTP\/1\.1 403 /);
      assert.equal(upstream.heard(), '');
    }
  });

  it('an HTTP/2 client that coalesces another host onto the session is refused stream by stream', async () => {
    const { socket } = await tunnel(fortress.weir.port, 'strict', 'h2.test:443');
    const session = await http2Client(
      await secure(socket, { servername: 'h2.test', ca: await fortress.weir.ca(), alpn: ['h2'] }),
      'h2.test',
    );
    const asked = async (host: string): Promise<unknown> => {
      const log: StreamLog = [];
      await recordStream(openStream(session, host, 'GET', '/co', [], true), log);
      return (log.find(([kind]) => kind === 'response')?.[1] as string[] | undefined)?.[1];
    };
    assert.equal(await asked('h2.test'), '200');
    assert.equal(await asked('evil.test'), '403');
    assert.equal(await asked('h2.test'), '200', 'the session lives on');
    session.destroy();
    assert.equal(h2.logs.length, 2);
    const [line] = await fortress.weir.records(
      'the refusal',
      (one) => one.agent === 'strict' && one.path === '/co' && one.status === 403,
    );
    assert.deepEqual([line?.action, line?.rules], ['block', ['name-mismatch']]);
  });

  it('our certificate is for one name: it does not serve another', async () => {
    const { socket } = await tunnel(fortress.weir.port, 'one-name', 'read.test:443');
    const tls = await secure(socket, { servername: 'read.test', ca: await fortress.weir.ca() });
    const { subjectaltname } = tls.getPeerCertificate();
    assert.equal(subjectaltname, 'DNS:read.test');
    new Peer(tls, socket).destroy();
  });

  it('a name Weir cannot read is refused in the clear with nothing of it quoted', async () => {
    const { socket, head } = await tunnel(fortress.weir.port, 'strict', 'pl\x01ain.test:80', claim('x'));
    socket.destroy();
    assert.match(head, /^HTTP\/1\.1 400 /);
    assert.doesNotMatch(head, /\x01/);
  });
});
