import assert from 'node:assert/strict';
import { it } from 'node:test';
import { compileModes, type ModeOptions } from '../../../src/verdict/enforce.ts';

it('the mode of a run stands above the agent and below what was said live and what the agent has for a destination', () => {
  const options: ModeOptions = {
    global: 'monitor',
    agents: new Map([['claude', { mode: 'redact', destinations: [{ host: 'pay.test', ports: [], mode: 'enforce' }] }]]),
    agentKey: (name: string) => name,
    destinations: [],
  };
  const plain = compileModes(options);
  const elsewhere = { host: 'a.test', port: 443 };
  assert.equal(plain('claude', elsewhere), 'redact');
  assert.equal(plain('claude', elsewhere, 'enforce'), 'enforce');
  assert.equal(plain('claude', { host: 'pay.test', port: 443 }, 'monitor'), 'enforce');
  assert.equal(plain('other', elsewhere, 'enforce'), 'enforce');
  const said = compileModes({ ...options, overrides: new Map([['claude', 'monitor']]) });
  assert.equal(said('claude', elsewhere, 'enforce'), 'monitor');
  const nothing = compileModes({ ...options, agents: new Map() });
  assert.equal(nothing('claude', elsewhere, 'enforce'), 'enforce');
  assert.equal(nothing('claude', elsewhere), 'monitor');
});
