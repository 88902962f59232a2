import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Approvals } from '../../../src/collector-policy-approvals.ts';
import type { Exchange } from '../../../src/model/exchange.ts';
import { refOf } from '../../../src/model/ulid.ts';
import type { Policy } from '../../../src/policy/policy.ts';

const policy = { id: 'p', name: 'p', compiled: { source: 'true' } } as unknown as Policy;
const to = (id: string, target: string): Exchange =>
  ({
    id,
    kind: 'exchange',
    request: { method: 'POST', target },
    identity: { agent: 'a' },
    destination: { scheme: 'https', host: 'h.test', port: 443 },
  }) as unknown as Exchange;

test('of a long path only the beginning is kept for people; paths are told apart all the same', () => {
  const approvals = new Approvals();
  const path = `/${'x'.repeat(100_000)}`;
  const [first, other] = ['01ARZ3NDEKTSV4RRFFQ69G5FAA', '01ARZ3NDEKTSV4RRFFQ69G5FAB'];
  approvals.want(policy, to(first, `${path}1?q=1`));
  approvals.want(policy, to(other, `${path}2`));
  const approval = approvals.approve(refOf(first), Date.now() + 60_000);
  assert.equal(approval?.request.length, 1000);
  assert.match(String(approval?.request), /^POST https:\/\/h\.test:443\/xxx/);
  assert.equal(approvals.approved(policy, to(first, `${path}1?q=2`)), true);
  assert.equal(approvals.approved(policy, to(other, `${path}2`)), false);
});
