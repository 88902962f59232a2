import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { dial } from '../support/origins.ts';
import { peerOf } from '../support/watched.ts';
import { startWeir, type Weir } from '../support/weir.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

describe('W2, W3, W7: the admin API on TCP', () => {
  let weir: Weir;
  let admin = 0;
  let health = 0;
  let token = '';
  before(async () => {
    weir = await startWeir({ config: { admin: { listen: '127.0.0.1:0' }, health: { listen: '127.0.0.1:0' } } });
    const status = await weir.status();
    admin = portOf(status.adminAddress);
    health = portOf(status.healthAddress);
    token = (await readFile(join(weir.stateDir, 'private', 'admin.token'), 'utf8')).trim();
  });
  after(() => weir?.stop());

  const call = (
    port: number,
    method: string,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body?: string,
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
      });
      sent.on('error', reject);
      sent.end(body);
    });
  const bearer = (): Record<string, string> => ({ authorization: `Bearer ${token}` });
  const json = { 'content-type': 'application/json' };

  it('with the token and nothing else, it answers', async () => {
    assert.equal((await call(admin, 'GET', '/status', bearer())).status, 200);
  });

  for (const [what, headers] of [
    ['no token', {}],
    ['an empty token', { authorization: 'Bearer ' }],
    ['another token', { authorization: `Bearer ${'x'.repeat(43)}` }],
    ['a prefix of the token', { authorization: 'Bearer x' }],
    ['Basic', { authorization: 'Basic eDp5' }],
    ['the token in the query', {}],
  ] as const) {
    it(`${what}: 401, and no word about the token`, async () => {
      const path = what.endsWith('query') ? `/status?token=${token}&authorization=Bearer+${token}` : '/status';
      const answer = await call(admin, 'GET', path, headers);
      assert.equal(answer.status, 401);
      assert.equal(answer.body.includes(token), false);
    });
  }

  for (const host of [
    'evil.test',
    'weir.test:80',
    '127.0.0.1',
    '127.0.0.1:1',
    'localhost.evil.test',
    '127.0.0.1.nip.io',
  ]) {
    it(`Host: ${host} is a rebound name: 421 on both ports, even with the token`, async () => {
      assert.equal((await call(admin, 'GET', '/status', { ...bearer(), host })).status, 421);
      assert.equal((await call(health, 'GET', '/metrics', { host })).status, 421);
    });
  }

  for (const headers of [
    { origin: 'http://evil.test' },
    { origin: 'null' },
    { origin: 'http://127.0.0.1' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-origin' },
    { 'sec-fetch-site': 'same-site' },
  ] as readonly Readonly<Record<string, string>>[]) {
    it(`${JSON.stringify(headers)} comes from a page: 403, and nothing allows it to read`, async () => {
      for (const port of [admin, health]) {
        const answer = await call(port, 'GET', port === admin ? '/status' : '/metrics', { ...bearer(), ...headers });
        assert.equal(answer.status, 403);
        const preflight = await call(port, 'OPTIONS', '/mode', { ...headers, 'access-control-request-method': 'POST' });
        assert.notEqual(preflight.status, 200);
        for (const { headers: sent } of [answer, preflight]) {
          assert.deepEqual(
            Object.keys(sent).filter((name) => name.startsWith('access-control-')),
            [],
          );
        }
      }
    });
  }

  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', '']) {
    it(`POST as ${type || 'nothing'} is a form: 415, on the socket too, and the mode stays`, async () => {
      const headers = { ...bearer(), ...(type === '' ? {} : { 'content-type': type }) };
      const answer = await call(admin, 'POST', '/mode', headers, '{"mode":"enforce"}');
      assert.equal(answer.status, 415);
      assert.equal((await weir.status()).mode, 'monitor');
    });
  }

  it('GET changes nothing', async () => {
    for (const path of ['/mode?mode=enforce', '/reload', '/purge?all=true', '/ca/rotate', '/baseline?verb=forget']) {
      assert.equal((await call(admin, 'GET', path, bearer())).status, 404, path);
    }
    assert.equal((await weir.status()).mode, 'monitor');
  });

  it('the health port serves nothing of the API, with the token either', async () => {
    for (const path of ['/status', '/logs', '/ca', '/mode', '/environment', '/baselines']) {
      const [method, body] =
        path === '/mode' ? (['POST', '{"mode":"enforce"}'] as const) : (['GET', undefined] as const);
      const answer = await call(health, method, path, { ...bearer(), ...json }, body);
      assert.ok(answer.status === 404, `${path}: ${answer.status}`);
    }
  });

  it('W7: there is nothing to send SQL to', async () => {
    const statements = [
      "COPY (SELECT 1) TO '/tmp/weir-threat'",
      "ATTACH '/etc/passwd'",
      "SELECT * FROM read_csv('/etc/passwd')",
      "SELECT * FROM read_text('/etc/passwd')",
      'DELETE FROM exchanges',
      'DROP TABLE exchanges',
      'PRAGMA database_list',
      "SET temp_directory='/tmp'",
      'INSTALL httpfs',
      "LOAD 'x'",
      "EXPORT DATABASE '/tmp/weir-threat'",
      'CALL pragma_version()',
      "CREATE MACRO m() AS 'x'",
      'SELECT range(1000000000)',
    ];
    for (const sql of statements) {
      for (const path of ['/query', '/sql', '/query/prepare']) {
        const answer = await call(admin, 'POST', path, { ...bearer(), ...json }, JSON.stringify({ sql, query: sql }));
        if (path === '/query/prepare')
          assert.match(Object.keys(JSON.parse(answer.body) as object).join(), /^(\w+Dir,?)+$/);
        else assert.equal(answer.status, 404, path);
      }
      const quoted = encodeURIComponent(`x' UNION ${sql} --`);
      const logs = await call(admin, 'GET', `/logs?agent=${quoted}&since=0`, bearer());
      assert.deepEqual([logs.status, JSON.parse(logs.body)], [200, []]);
      const purge = await call(
        admin,
        'POST',
        '/purge',
        { ...bearer(), ...json },
        JSON.stringify({ host: `x'; ${sql}; --` }),
      );
      assert.ok(purge.status === 200 || purge.status === 400, purge.body);
    }
    assert.deepEqual(await weir.query('SELECT count(*)::INT AS n FROM exchanges'), [{ n: 0 }]);
  });

  for (const [what, body] of [
    ['a list', '[]'],
    ['a text', '"x"'],
    ['no JSON', '{'],
    ['__proto__', '{"__proto__":{"mode":"enforce"}}'],
    ['a number for the mode', '{"mode":1}'],
    ['17 MiB', `{"mode":"${'x'.repeat(17 << 20)}"}`],
  ] as const) {
    it(`a body that is ${what} is a 400 and changes nothing`, async () => {
      const answer = await call(admin, 'POST', '/mode', { ...bearer(), ...json }, body).catch((error: Error) => error);
      if (!(answer instanceof Error)) assert.equal(answer.status, 400);
      assert.equal((await weir.status()).mode, 'monitor');
    });
  }

  it('smuggling and garbage on the admin port end the connection', async () => {
    for (const bytes of [
      `GET /status HTTP/1.1\r\nHost: 127.0.0.1:${admin}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      '\x16\x03\x01\x02\x00',
      'GET http://127.0.0.1/status HTTP/1.1\r\n\r\n',
      'CONNECT plain.test:443 HTTP/1.1\r\nHost: plain.test:443\r\n\r\n',
    ]) {
      const peer = peerOf(await dial(admin));
      await peer.send(bytes);
      await peer.ended();
      assert.doesNotMatch(peer.received.toString(), /^HTTP\/1\.1 2/);
      peer.destroy();
    }
    assert.equal((await call(admin, 'GET', '/status', bearer())).status, 200);
  });

  it('a change through TCP is in the audit trail with who asked', async () => {
    const changed = await call(admin, 'POST', '/mode', { ...bearer(), ...json }, '{"mode":"enforce"}');
    assert.equal(changed.status, 200);
    const lowered = await call(admin, 'POST', '/mode', { ...bearer(), ...json }, '{"mode":"monitor"}');
    assert.equal(lowered.status, 200);
    const lines = await weir.records('the audit rows', ({ kind }) => kind === 'audit');
    assert.ok(lines.length >= 1);
    assert.match(weir.logs(), /"level":40,.*"mode":"monitor","actor":"token 127\.0\.0\.1"/);
    assert.equal(weir.logs().includes(token), false);
  });
});

function portOf(address: string | undefined): number {
  return Number(address?.slice(address.lastIndexOf(':') + 1));
}
