import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { AGENT_FIELDS } from '../support/lanes.ts';
import { connectThrough, dial, readHead } from '../support/origins.ts';
import { startWeir, type Weir } from '../support/weir.ts';

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

describe('threat W1: Weir never proxies to itself, in monitor either', { timeout: 60_000 }, () => {
  let weir: Weir;
  let port: number;
  before(async () => {
    port = await freePort();
    weir = await startWeir({
      config: {
        listen: [`127.0.0.1:${port}`, `[::1]:${port}`],
        upstream: { resolve: { 'me.test': `127.0.0.1:${port}`, 'me6.test': `[::1]:${port}` } },
      },
    });
  });
  after(() => weir?.stop());

  const selves = (): string[] => [
    `127.0.0.1:${port}`,
    `localhost:${port}`,
    `[::1]:${port}`,
    `[::ffff:127.0.0.1]:${port}`,
    `2130706433:${port}`,
    `0x7f.1:${port}`,
    `127.1:${port}`,
    `0.0.0.0:${port}`,
    `[::]:${port}`,
    'me.test:80',
    'me6.test:443',
  ];

  it('absolute-form', async () => {
    for (const target of selves()) {
      const socket = await dial(port);
      socket.write(`GET http://${target}/status HTTP/1.1\r\nHost: ${target}\r\n${AGENT_FIELDS}\r\n`);
      assert.match(await readHead(socket), /^HTTP\/1\.1 508 /, target);
      socket.destroy();
    }
  });

  it('CONNECT', async () => {
    for (const target of selves()) {
      const { socket, head } = await connectThrough(port, target, AGENT_FIELDS);
      assert.match(head, /^HTTP\/1\.1 508 /, target);
      socket.destroy();
    }
  });

  it('origin-form with our own address as Host', async () => {
    const socket = await dial(port);
    socket.write(`GET /status HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
    assert.match(await readHead(socket), /^HTTP\/1\.1 508 /);
    socket.destroy();
  });

  it('is a finding', async () => {
    await weir.records('self-target', (line) => line.rules.includes('self-target'));
  });
});
