import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import { describe, it } from 'node:test';
import { assemble } from '../support/assemble.ts';
import { listening } from '../support/origins.ts';
import { httpParent } from '../support/parents.ts';
import { agentOf, openPolicyWorld } from '../support/policy-world.ts';
import { row } from '../support/strathon-receiver.ts';
import { eventually } from '../support/weir.ts';
import { openUpstream } from './harness.ts';

describe('the receiver and webhooks behind a corporate proxy', () => {
  for (const how of ['HTTPS_PROXY', 'upstream.proxy'] as const) {
    it(`are reached through it (${how})`, { timeout: 60_000 }, async (t) => {
      const told: string[] = [];
      const { world, parent, close } = await assemble(async (later) => {
        const upstream = await openUpstream();
        later(upstream.close);
        const webhook_url = 'https://alerts.example/told';
        const rows = [
          row('no-evil', 'attrs["server.address"] == "evil.test"'),
          row('ring', 'attrs["server.address"] == "ring.test"', { action: 'alert', action_config: { webhook_url } }),
        ];
        const leaf = upstream.authority.issue(['policies.example', 'hooks.example', 'alerts.example']);
        const server = createServer({ key: leaf.key, cert: leaf.cert }, (request, response) => {
          if (request.method === 'POST') told.push(String(request.headers.host));
          response.writeHead(200, { 'content-type': 'application/json' });
          response.end(JSON.stringify({ policies: rows }));
        });
        const port = await listening(server);
        later(async () => {
          server.closeAllConnections();
          server.close();
        });
        // Traffic of agents takes it too: everything plain is answered by the origin of the world.
        let plain = 0;
        const own = new Set(['policies.example', 'hooks.example', 'alerts.example']);
        const parent = await httpParent({ route: (host) => (own.has(host) ? port : plain) });
        later(parent.close);
        const proxy = `http://corp:pass@127.0.0.1:${parent.port}`;
        const world = await openPolicyWorld({
          settings: { receiver: 'https://policies.example/' },
          config: {
            notify: [{ url: 'https://hooks.example/told', on: ['block'] }],
            ...(how === 'upstream.proxy' ? { upstream: { proxy } } : {}),
          },
          env: {
            NODE_EXTRA_CA_CERTS: upstream.caFile,
            STRATHON_API_KEY: 'stra_key',
            ...(how === 'HTTPS_PROXY' ? { HTTPS_PROXY: proxy } : {}),
          },
        });
        later(world.close);
        plain = world.origin.port;
        return { world, parent };
      });
      t.after(close);
      const agent = agentOf('enforce');
      await eventually(
        async () => (await world.ask('http://evil.test/', { agent })).status === 403,
        'the policies are in force',
      );
      assert.equal((await world.ask('http://ring.test/', { agent })).status, 200);
      await eventually(() => told.includes('hooks.example') && told.includes('alerts.example'), 'both were told');
      const credentials = `Basic ${Buffer.from('corp:pass').toString('base64')}`;
      for (const host of ['policies.example', 'hooks.example', 'alerts.example']) {
        const asked = parent.asked.find(({ target }) => target.startsWith(host));
        assert.deepEqual(asked, { how: 'CONNECT', target: `${host}:443`, credentials });
      }
      assert.ok(!world.weir.logs().includes('corp:pass'));
    });
  }
});
