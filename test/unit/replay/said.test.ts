import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storedPolicies } from '../../../src/collector-replay-policies.ts';
import { defaultConfig } from '../../../src/config/load.ts';
import { parsePolicies } from '../../../src/policy/parse.ts';

const PLAIN = {
  kind: 'exchange',
  agent: 'a',
  method: 'GET',
  scheme: 'https',
  host: 'api.openai.com',
  port: 443,
  path: '/v1/models',
};
const CALL = { ...PLAIN, method: 'POST', path: '/v1/chat/completions', content_type: 'application/json' };

async function asked(policies: object[], cells: object): Promise<string[]> {
  const { set } = parsePolicies({ policies }, { name: 'p.yaml', kind: 'file' });
  const stored = await storedPolicies(defaultConfig(), set, { names: new Set(), of: () => [] } as never);
  return stored
    .ask(cells as never)
    .map(({ finding, reason }) => `${finding?.disposition ?? 'none'}${reason === undefined ? '' : ` (${reason})`}`);
}

const prompt = { name: 'said', action: 'block', match_expression: 'attrs["gen_ai.prompt"].contains("x")' };
const allow = { name: 'all', action: 'allow', priority: 9, match_expression: 'true' };
const UNKNOWN = ['none (said reads the body (gen_ai.prompt))', 'block (said reads the body (gen_ai.prompt))'];

test('what is said is asked for in calls only', async () => {
  assert.deepEqual(await asked([prompt], PLAIN), ['none']);
  assert.deepEqual((await asked([prompt], CALL)).sort(), UNKNOWN.sort());
});

test('as live: what is said can stop what the head allowed', async () => {
  assert.deepEqual((await asked([prompt, allow], CALL)).sort(), UNKNOWN.sort());
  const head = {
    name: 'head',
    action: 'block',
    priority: -1,
    match_expression: 'attrs["server.address"] == "api.openai.com"',
  };
  assert.deepEqual(await asked([prompt, head], CALL), ['block']);
});

test('a path that was not kept may have been one', async () => {
  const said = await asked([prompt], { ...CALL, path: '/v1/…' });
  assert.ok(said.length >= 2 && said.every((one) => one.includes('(')), said.join());
  assert.deepEqual(await asked([prompt], { ...PLAIN, path: '/v1/models?key=…' }), ['none']);
});
