import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { agentOf, openPolicyWorld, type PolicyWorld } from '../support/policy-world.ts';
import { eventually } from '../support/weir.ts';

interface Told {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

describe('notify: webhooks are told what was stopped, signed, and again when they fail', () => {
  const secret = `whsec_${randomBytes(24).toString('base64')}`;
  const told: Told[] = [];
  let world: PolicyWorld;
  let failing = 1;
  let stop: () => void;
  before(async () => {
    const server = createServer((request, response) => {
      let text = '';
      request.on('data', (part: Buffer) => {
        text += part.toString('utf8');
      });
      request.on('end', () => {
        const { type, data } = JSON.parse(text) as Pick<Told, 'type' | 'data'>;
        told.push({ headers: request.headers, text, type, data });
        response.writeHead(failing-- > 0 ? 503 : 204).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    stop = () => {
      server.closeAllConnections();
      server.close();
    };
    world = await openPolicyWorld({
      policies: {
        policies: [{ name: 'no-evil', match_expression: 'attrs["server.address"] == "evil.test"', action: 'block' }],
      },
      config: {
        notify: [
          {
            url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/h`,
            secret,
            on: ['block', 'would-block', 'audit'],
          },
        ],
      },
    });
  });
  after(async () => {
    await world?.close();
    stop?.();
  });

  it('a block and a would-block, with rule, policy and ref; a failure is tried again with the same id', async () => {
    const refused = await world.ask('http://evil.test/secret-path?q=1', { agent: agentOf('enforce') });
    assert.equal(refused.status, 403);
    const { ref } = JSON.parse(refused.body) as { ref: string };
    await eventually(() => told.length >= 2, 'told twice');
    const [first, second] = told as [Told, Told];
    assert.equal(first.type, 'block');
    assert.equal(first.headers['webhook-id'], second.headers['webhook-id']);
    assert.equal(first.text, second.text);
    const { agent, host, rule, policy, ref: said } = first.data;
    assert.deepEqual(
      [agent, host, rule, policy, said],
      ['enforce-agent', 'evil.test', 'policy:no-evil', 'no-evil', ref],
    );
    assert.ok(!first.text.includes('secret-path'));
    const { 'webhook-id': id, 'webhook-timestamp': at, 'webhook-signature': signature } = second.headers;
    const mac = createHmac('sha256', Buffer.from(secret.slice(6), 'base64')).update(`${id}.${at}.${second.text}`);
    assert.equal(signature, `v1,${mac.digest('base64')}`);
    await world.ask('http://evil.test/', { agent: agentOf('monitor') });
    await eventually(() => told.some(({ type }) => type === 'would-block'), 'the would-block');
  });

  it('what people changed is told, what is not asked for is not; status shows it', async () => {
    await world.ask('http://ok.test/', { agent: agentOf('enforce') });
    await world.weir.admin('/mode', 'POST', { agent: 'enforce-agent', mode: 'monitor' });
    const audit = await eventually(() => told.find(({ type }) => type === 'audit'), 'the audit event');
    assert.equal(audit.data['rule'], 'mode-lowered');
    assert.deepEqual([...new Set(told.map(({ type }) => type))].sort(), ['audit', 'block', 'would-block']);
    assert.match(
      (await world.weir.cli(['status'])).stdout,
      /tells +http:\/\/127\.0\.0\.1:\d+: 3 told, 0 waiting, 0 given up/,
    );
    assert.ok(!world.weir.logs().includes(secret));
  });
});
