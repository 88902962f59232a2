import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { PolicyAlerts } from '../../../src/collector-policy-alerts.ts';
import type { Exchange } from '../../../src/model/exchange.ts';
import type { Policy } from '../../../src/policy/policy.ts';
import { eventually } from '../../support/weir.ts';

describe('alerts of policies', () => {
  let url = '';
  let ids: (string | undefined)[] = [];
  let stop: () => void = () => undefined;
  before(async () => {
    const server = createServer((request, response) => {
      ids.push(request.headers['webhook-id'] as string | undefined);
      request.resume();
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    stop = () => {
      server.close();
      server.closeAllConnections();
    };
  });
  after(() => stop());

  const options = {
    isSelf: () => false,
    proxyOf: () => undefined,
    shown: (host: string) => host,
    log: () => undefined,
  };
  const policy = (id: string, path = '/'): Policy =>
    ({ id, name: id, action: 'alert', config: { webhookUrl: `${url}${path}` } }) as unknown as Policy;
  const exchange = {
    id: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
    kind: 'exchange',
    startedAt: 0,
    request: { method: 'GET' },
    identity: { agent: 'a' },
    destination: { host: 'h', port: 1 },
  } as unknown as Exchange;

  it('the id of a message can be a header whatever the policy is called, and is the same for the same policy', async () => {
    ids = [];
    const one = new PolicyAlerts(options);
    for (const id of ['Überweisung ≥ 5\r\nx: y', 'p'.repeat(60_000), 'p'.repeat(60_000)])
      one.tell(policy(id), exchange);
    await eventually(() => ids.length === 3, 'three messages');
    assert.match(String(ids[0]), /^msg_01ARZ3NDEKTSV4RRFFQ69G5FAV_[0-9a-f]{16}$/);
    assert.notEqual(ids[0], ids[1]);
    assert.equal(ids[1], ids[2]);
    await one.close(0);
  });

  it('addresses nobody names any more make room for others', async () => {
    ids = [];
    const one = new PolicyAlerts(options);
    for (let i = 0; i < 50; i++) one.tell(policy('old', `/old/${i}`), exchange);
    await eventually(() => ids.length === 50, 'fifty addresses');
    one.tell(policy('late', '/late'), exchange);
    one.keep([policy('new', '/new')]);
    one.tell(policy('new', '/new'), exchange);
    await eventually(() => ids.length === 51, 'the new address');
    await one.close(0);
  });
});
