import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { type Caller, createCaller } from '../../../src/calls/direct.ts';
import { assemble } from '../../support/assemble.ts';
import { listening } from '../../support/origins.ts';
import { httpParent, type ParentProxy, socksParent } from '../../support/parents.ts';

const NOBODY = () => false;

describe('our own calls through a parent proxy', () => {
  let close: () => Promise<void>;
  let parent: ParentProxy;
  let socks: ParentProxy;
  let port = 0;
  const callers: Caller[] = [];
  before(async () => {
    ({ close } = await assemble(async (later) => {
      const server = createServer((request, response) => void response.end(`here is ${request.headers.host}`));
      port = await listening(server);
      later(async () => {
        server.closeAllConnections();
        server.close();
      });
      const route = () => port;
      parent = await httpParent({ route });
      later(parent.close);
      socks = await socksParent({ route });
      later(socks.close);
      return {};
    }));
  });
  after(async () => {
    for (const caller of callers) caller.close();
    await close?.();
  });

  const call = (url: string, proxy: string | undefined, isSelf: Parameters<typeof createCaller>[1] = NOBODY) => {
    const caller = createCaller(url, isSelf, () => proxy);
    callers.push(caller);
    return caller.call({ method: 'GET', headers: {}, timeoutMs: 5_000, maxBytes: 1000 });
  };

  it('names go to the proxy as they are, its credentials with them', async () => {
    const { body } = await call('http://hooks.example/x', `http://me:secret@127.0.0.1:${parent.port}`);
    assert.equal(body, 'here is hooks.example');
    const credentials = `Basic ${Buffer.from('me:secret').toString('base64')}`;
    assert.deepEqual(parent.asked.at(-1), { how: 'GET', target: 'http://hooks.example/x', credentials });
    assert.equal(
      (await call('http://hooks.example/', `socks5h://127.0.0.1:${socks.port}`)).body,
      'here is hooks.example',
    );
    assert.match(socks.asked.at(-1)?.target ?? '', /^hooks\.example:80$/);
  });

  it('what the proxy refuses is said without its password', async () => {
    for (const status of [403, 407]) {
      parent.behave(status);
      const refused = call('https://hooks.example/', `http://me:secret@127.0.0.1:${parent.port}`);
      await assert.rejects(refused, (error: Error) => {
        assert.equal(error.message, `the proxy refuses it (${status})`);
        return true;
      });
    }
    parent.behave('ok');
    await assert.rejects(call('https://hooks.example/', 'http://me:secret@127.0.0.1:1'), (error: Error) => {
      assert.ok(!error.message.includes('secret'), error.message);
      return true;
    });
    await assert.rejects(call('http://hooks.example/', 'socks4://127.0.0.1:1'), /a socks4 proxy cannot be used/);
  });

  it('never through ourselves: directly then; and never to ourselves through a proxy', async () => {
    const asked = parent.asked.length;
    const ours = (_: string, at: number): boolean => at === parent.port;
    for (const host of ['127.0.0.1', 'localhost'])
      assert.equal((await call(`http://127.0.0.1:${port}/`, `http://${host}:${parent.port}`, ours)).status, 200);
    assert.equal(parent.asked.length, asked);
    const proxy = `http://127.0.0.1:${parent.port}`;
    await assert.rejects(
      call(`http://127.0.0.1:${port}/`, proxy, (_, at) => at === port),
      /leads to Weir itself/,
    );
    assert.equal(parent.asked.length, asked);
  });

  it('another proxy after a reload is another way', async () => {
    let proxy: string | undefined = `http://127.0.0.1:${parent.port}`;
    const caller = createCaller(`http://127.0.0.1:${port}/`, NOBODY, () => proxy);
    callers.push(caller);
    const ask = () => caller.call({ method: 'GET', headers: {}, timeoutMs: 5_000, maxBytes: 1000 });
    const before = parent.asked.length;
    await ask();
    assert.equal(parent.asked.length, before + 1);
    proxy = undefined;
    await ask();
    assert.equal(parent.asked.length, before + 1);
  });
});
