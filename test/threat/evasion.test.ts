import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Fortress, linesOf, openFortress, ROADS } from '../support/fortress.ts';
import { secure } from '../support/origins.ts';
import { Peer } from '../support/peer.ts';
import { claim, tunnel } from '../support/watched.ts';
import { eventually } from '../support/weir.ts';

const noOpenssl = spawnSync('openssl', ['version']).status === 0 ? false : 'needs openssl';

describe('O13: rejecting our certificate once', () => {
  let fortress: Fortress;
  before(async () => {
    fortress = await openFortress();
  });
  after(() => fortress?.close());

  /** One GET over TLS that trusts only `ca`; undefined when the handshake fails. */
  async function get(agent: string, ca: string): Promise<string | undefined> {
    const { socket, head } = await tunnel(fortress.weir.port, agent, 'read.test:443');
    assert.match(head, /^HTTP\/1\.1 200 /);
    try {
      const peer = new Peer(await secure(socket, { servername: 'read.test', ca }), socket);
      await peer.send('GET /seen HTTP/1.1\r\nHost: read.test\r\n\r\n');
      await peer.until('ok');
      peer.destroy();
      return peer.received.toString('latin1');
    } catch {
      socket.destroy();
      return undefined;
    }
  }

  /** What openssl s_client, which sends an alert, says to a certificate it does not know. */
  function withAlert(agent: string, ca: string): Promise<string> {
    const through = ['-proxy', `127.0.0.1:${fortress.weir.port}`, '-proxy_user', agent, '-proxy_pass', 'pass:x'];
    const to = ['s_client', '-connect', 'read.test:443', '-servername', 'read.test', ...through];
    return new Promise((resolve) => {
      const child = execFile('openssl', [...to, '-CAfile', ca, '-verify_return_error', '-quiet'], (_error, out, err) =>
        resolve(out + err),
      );
      child.stdin?.end('GET /alert HTTP/1.1\r\nHost: read.test\r\n\r\n');
      setTimeout(() => child.kill(), 1500);
    });
  }

  it('with an alert it costs that client one connection, then it is tunnelled in monitor', {
    skip: noOpenssl,
  }, async () => {
    const own = join(fortress.weir.stateDir, 'upstream-ca.pem');
    await writeFile(own, fortress.authority.cert);
    fortress.tls.forget();
    await withAlert('alerting', own);
    assert.equal(fortress.tls.heard(), '');
    assert.match(await withAlert('alerting', own), /HTTP\/1\.1 200 OK/);
    const { exceptions } = await fortress.weir.status();
    assert.ok(exceptions.some(({ agent, reason }) => agent === 'alerting' && /UNKNOWN_CA/i.test(reason)));
  });

  it('without one it costs three, and status and rows say why it is not read any more', async () => {
    const own = fortress.authority.cert;
    for (let i = 0; i < 3; i++) assert.equal(await get('rejecting', own), undefined);
    await eventually(
      async () => (await fortress.weir.status()).exceptions.some(({ agent }) => agent === 'rejecting'),
      'the exception',
    );
    assert.match((await get('rejecting', own)) ?? '', /^HTTP\/1\.1 200 /);
    const [line] = await linesOf(fortress.weir, 1, ({ agent, kind }) => agent === 'rejecting' && kind === 'tunnel');
    assert.equal(line?.visibility, 'tunnel');
    const { exceptions } = await fortress.weir.status();
    const left = (exceptions.find(({ agent }) => agent === 'rejecting')?.until ?? 0) - Date.now();
    assert.ok(left > 6.9 * 86_400_000 && left <= 7 * 86_400_000, 'seven days');
    assert.ok(exceptions.every(({ fix }) => fix.length > 0));
    const sql = "SELECT interception_skipped AS why FROM exchanges WHERE agent = 'rejecting' AND kind = 'tunnel'";
    assert.deepEqual(await fortress.weir.query(sql), [{ why: 'client-rejected-ca' }]);
  });

  it('another agent with the same client is read as before', async () => {
    assert.match((await get('other', await fortress.weir.ca())) ?? '', /^HTTP\/1\.1 200 /);
    const [line] = await linesOf(fortress.weir, 1, ({ agent, path }) => agent === 'other' && path === '/seen');
    assert.equal(line?.visibility, 'intercepted');
  });

  it('in enforce it buys nothing: every further connection fails, nothing goes by unread', async () => {
    fortress.tls.forget();
    for (let i = 0; i < 5; i++) assert.equal(await get('strict', fortress.authority.cert), undefined);
    assert.equal(fortress.tls.heard(), '');
    assert.match((await get('strict', await fortress.weir.ca())) ?? '', /^HTTP\/1\.1 200 /, 'with our CA it works');
  });

  it('an exception learned in monitor ends when the agent is enforced', async () => {
    fortress.tls.forget();
    const answer = await fortress.weir.admin('/mode', 'POST', { agent: 'rejecting', mode: 'enforce' });
    assert.equal(answer.status, 200, answer.body);
    assert.equal(await get('rejecting', fortress.authority.cert), undefined);
    assert.equal(fortress.tls.heard(), '');
    const lines = await fortress.weir.records(
      'the refusal',
      ({ agent, outcome, kind }) => agent === 'rejecting' && kind !== 'finding' && outcome !== 'forwarded',
    );
    assert.ok(lines.length >= 1);
  });
});

describe('O14: leaving right after sending', () => {
  let fortress: Fortress;
  before(async () => {
    fortress = await openFortress();
  });
  after(() => fortress?.close());

  const SIZE = 300_000;
  for (const road of ROADS) {
    for (const how of ['rst', 'fin'] as const) {
      it(`${road}: ${how.toUpperCase()} behind a body of ${SIZE} bytes leaves a record with the bytes`, async () => {
        const agent = `leaver-${road}-${how}`;
        const { witness, host } = fortress.target(road);
        witness.forget();
        const peer = await fortress.open(road, agent);
        const target = road === 'plain' ? `http://${host}/upload` : '/upload';
        // A body that is announced longer than it is: the upstream waits, so the agent leaves first.
        const head = `POST ${target} HTTP/1.1\r\nHost: ${host}\r\n${road === 'plain' ? claim(agent) : ''}`;
        const slow = how === 'fin' ? SIZE + 1 : SIZE;
        await peer.send(`${head}Expect: nothing\r\nContent-Length: ${slow}\r\n\r\n`);
        await peer.send(Buffer.alloc(SIZE, 'd'));
        await eventually(() => witness.heard().length > SIZE, 'the body is out');
        peer[how]();
        const [line] = await linesOf(fortress.weir, 1, (one) => one.agent === agent && one.kind === 'exchange');
        assert.equal(line?.method, 'POST');
        assert.equal(line?.requestBytes, SIZE);
        if (how === 'fin') assert.equal(line?.outcome, 'client-gone');
        peer.destroy();
      });
    }
  }

  it('an opaque tunnel that is reset has its bytes on record', async () => {
    const { socket } = await tunnel(fortress.weir.port, 'tunneller', 'plain.test:5432');
    const peer = new Peer(socket, socket);
    await peer.send(Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), Buffer.alloc(100_000, 'd')]));
    await eventually(() => fortress.plain.heard().includes('d'.repeat(90_000)), 'the bytes are out');
    await eventually(() => /d{100000}/.test(fortress.plain.heard()), 'all of them');
    peer.rst();
    const [line] = await linesOf(fortress.weir, 1, ({ agent, kind }) => agent === 'tunneller' && kind === 'tunnel');
    assert.equal(line?.requestBytes, 100_011);
  });

  it('a CONNECT and nothing more is on record with its destination', async () => {
    const { socket } = await tunnel(fortress.weir.port, 'toucher', 'tunnel.test:443');
    socket.resetAndDestroy();
    const rows = (): Promise<Record<string, unknown>[]> =>
      fortress.weir.query("SELECT host, port FROM exchanges WHERE agent = 'toucher'");
    await eventually(async () => (await rows()).length > 0, 'its row');
    assert.deepEqual((await rows())[0], { host: 'tunnel.test', port: 443 });
  });
});
