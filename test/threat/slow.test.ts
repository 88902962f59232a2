import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { type Fortress, openFortress, quiet, stillServes } from '../support/fortress.ts';
import { clientHello } from '../support/hello.ts';
import { dial } from '../support/origins.ts';
import { claim, tunnel } from '../support/watched.ts';
import { eventually } from '../support/weir.ts';

const LANES = 16;

describe('W15: one certificate per name does not mean memory per name', () => {
  let fortress: Fortress;
  before(async () => {
    fortress = await openFortress({ intercept: 'all' });
  });
  after(() => fortress?.close());

  it('1,600 handshakes, each for another SNI', async () => {
    const { weir } = fortress;
    const shake = async (i: number): Promise<void> => {
      const { socket } = await tunnel(weir.port, 'names', 'read.test:443');
      socket.write(clientHello({ sni: `n${i}.read.test` }));
      await new Promise((resolve) => socket.once('data', resolve).once('close', resolve).once('end', resolve));
      socket.destroy();
    };
    const run = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i += LANES) {
        await Promise.all(Array.from({ length: Math.min(LANES, to - i) }, (_, lane) => shake(i + lane)));
      }
    };
    await run(0, 800);
    await quiet(weir);
    const rss = await weir.rss();
    await run(800, 1600);
    await quiet(weir);
    const memory = (await weir.rss()) - rss;
    assert.ok(memory < 100, `${memory.toFixed(0)} MiB more for the second half`);
    await stillServes(fortress);
  });
});

describe('W14, W15: a thousand slow agents', () => {
  it('1,000 uploads at a crawl cost little and starve nobody', async () => {
    const fortress = await openFortress();
    try {
      const { weir } = fortress;
      const rss = await weir.rss();
      const slow = await Promise.all(
        Array.from({ length: 1000 }, async (_, i) => {
          const socket = await dial(weir.port);
          socket.write(
            `POST http://plain.test/slow/${i} HTTP/1.1\r\nHost: plain.test\r\n${claim('slow')}Content-Length: 1000000\r\n\r\n`,
          );
          return socket;
        }),
      );
      await eventually(() => fortress.plain.accepted() >= 1000, 'all of them are through');
      for (let round = 0; round < 5; round++) {
        for (const socket of slow) socket.write('x');
        await stillServes(fortress);
      }
      const memory = (await weir.rss()) - rss;
      assert.ok(memory < 150, `${memory.toFixed(0)} MiB for 1,000 slow uploads`);
      for (const socket of slow) socket.destroy();
      await quiet(weir);
      const { agents } = await weir.status();
      assert.equal(agents.find(({ agent }) => agent === 'slow')?.requests, 1000);
    } finally {
      await fortress.close();
    }
  });

  it('an agent that never reads does not make Weir hold its answers', async () => {
    const big = Buffer.alloc(64 * 1024 * 1024, 'x');
    const fortress = await openFortress({}, async (later) => {
      const server = createServer((_request, response) => response.end(big));
      const port = await new Promise<number>((resolve) =>
        server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
      );
      later(() => {
        server.closeAllConnections();
        server.close();
      });
      return { resolve: { 'big.test': `127.0.0.1:${port}` } };
    });
    try {
      const { weir } = fortress;
      // What the first exchanges load (patterns, their engine) is not held for anybody.
      await stillServes(fortress);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const rss = await weir.rss();
      const deaf = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const socket = await dial(weir.port);
          socket.pause();
          socket.write(`GET http://big.test/ HTTP/1.1\r\nHost: big.test\r\n${claim('deaf')}\r\n`);
          return socket;
        }),
      );
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const memory = (await weir.rss()) - rss;
      assert.ok(memory < 100, `${memory.toFixed(0)} MiB held for 20 deaf readers of 64 MiB`);
      await stillServes(fortress);
      for (const socket of deaf) socket.destroy();
      await quiet(weir);
    } finally {
      await fortress.close();
    }
  });
});
