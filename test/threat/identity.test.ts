import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { type House, openHouse } from '../e2e/harness.ts';
import { HOSTS } from '../support/lanes.ts';
import { dial, readHead } from '../support/origins.ts';

const basic = (name: string): string =>
  `Proxy-Authorization: Basic ${Buffer.from(`${name}:x`, 'latin1').toString('base64')}\r\n`;

describe('threats O12, W17, W18: agent names from the network', { timeout: 60_000 }, () => {
  let house: House;
  before(async () => {
    house = await openHouse({ agents: { guarded: { token: 'a-token-of-the-test' } } });
  });
  after(() => house?.close());

  const ask = async (fields: string, path: string): Promise<string> => {
    house.parts.plain.forget();
    const socket = await dial(house.weir.port);
    house.parts.plain
      .next()
      .then(async (server) => {
        await server.until('\r\n\r\n');
        await server.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      })
      .catch(() => undefined);
    socket.write(`GET http://${HOSTS.plain}${path} HTTP/1.1\r\nHost: ${HOSTS.plain}\r\n${fields}\r\n`);
    const head = await readHead(socket);
    socket.destroy();
    return head.split('\r\n')[0] ?? '';
  };

  const ILLEGAL = [
    '__proto__',
    '../x',
    '../../etc/passwd',
    'a/b',
    'a b',
    '.',
    '',
    'x'.repeat(64),
    'n\u00fcl',
    'a\0b',
    'a\nb',
    "x'; DROP TABLE exchanges;--",
  ];
  for (const [index, name] of ILLEGAL.entries()) {
    it(`${JSON.stringify(name)} becomes default`, async () => {
      assert.match(await ask(basic(name), `/illegal/${index}`), /^HTTP\/1\.1 200 /);
      const [line] = await house.weir.records(`request ${index}`, (l) => l.path === `/illegal/${index}`);
      assert.equal(line?.agent, 'default');
      if (name !== '') assert.ok(line?.rules.includes('agent-name-invalid'), JSON.stringify(line));
    });
  }

  for (const name of ['constructor', 'toString', 'hasOwnProperty', 'valueOf']) {
    it(`${name} is a name like any other`, async () => {
      assert.match(await ask(basic(name), `/word/${name}`), /^HTTP\/1\.1 200 /);
      const [line] = await house.weir.records(name, (l) => l.path === `/word/${name}`);
      assert.equal(line?.agent, name);
      assert.ok((await house.weir.status()).agents.some((agent) => agent.agent === name));
    });
  }

  it('a name with a token is not to be had by saying it', async () => {
    assert.match(await ask(basic('guarded'), '/guarded'), /^HTTP\/1\.1 407 /);
    assert.match(await ask('X-Weir-Agent: guarded\r\n', '/guarded'), /^HTTP\/1\.1 (407|200) /);
    const secret = Buffer.from('guarded:a-token-of-the-test').toString('base64');
    assert.match(await ask(`Proxy-Authorization: Basic ${secret}\r\n`, '/guarded-ok'), /^HTTP\/1\.1 200 /);
    const [line] = await house.weir.records('guarded', (l) => l.path === '/guarded-ok');
    assert.equal(line?.agent, 'guarded');
  });

  it('credentials that are not Basic or not base64 are nobody', async () => {
    for (const [index, value] of ['Basic', 'Basic ====', 'Bearer x', 'Digest a="b"', 'Basic \xff\xfe'].entries()) {
      assert.match(await ask(`Proxy-Authorization: ${value}\r\n`, `/odd/${index}`), /^HTTP\/1\.1 (200|407|400) /);
    }
  });

  it('no name became a file', async () => {
    const names = await readdir(house.weir.stateDir, { recursive: true });
    const foreign = names.filter((name) => /proto|passwd|constructor|DROP|guarded/.test(name));
    assert.deepEqual(foreign, []);
  });
});
