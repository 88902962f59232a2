import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { startWeir } from '../support/weir.ts';

describe('E7: a server that offers HTTP/3', () => {
  it('passes in monitor and is a finding; enforce takes the offer out of the answer', async () => {
    const { weir, close } = await assemble(async (later) => {
      const server = createServer((_, response) => {
        response.writeHead(200, { 'Alt-Svc': 'h3=":443"; ma=86400, h2="alt.test:443"', 'X-Own': 'kept' }).end('ok');
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      later(async () => void server.close());
      const started = await startWeir({
        config: {
          agents: { strict: { mode: 'enforce' } },
          upstream: { resolve: { 'plain.test': `127.0.0.1:${(server.address() as AddressInfo).port}` } },
        },
      });
      later(started.stop);
      return { weir: started };
    });
    try {
      const seen = await plain(weir, 'http://plain.test/', { agent: 'watched' });
      assert.equal(seen.headers['alt-svc'], 'h3=":443"; ma=86400, h2="alt.test:443"');
      const held = await plain(weir, 'http://plain.test/', { agent: 'strict' });
      assert.equal(held.headers['alt-svc'], 'h2="alt.test:443"');
      assert.deepEqual([held.headers['x-own'], held.body], ['kept', 'ok']);
      await weir.records('both rows', (line) => line.agent === 'strict');
      const rows = await weir.query('SELECT agent, rules, verdict, action FROM exchanges ORDER BY agent');
      for (const row of rows) {
        assert.ok((row['rules'] as string[]).includes('http3-advertised'), JSON.stringify(row));
        assert.equal(row['action'], 'forward');
      }
    } finally {
      await close();
    }
  });
});
