import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReplay, type StoredExchange } from '../../../src/collector-replay.ts';
import { defaultConfig } from '../../../src/config/load.ts';
import { parsePolicies } from '../../../src/policy/parse.ts';

const RULES = [{ name: 'cut', match_expression: 'attrs["server.address"] == "a.test"', action: 'redact' }];

/** A request of which a redact policy had something taken out that would only have been flagged, or not. */
const STORED: StoredExchange = {
  cells: {
    kind: 'exchange',
    agent: 'researcher',
    scheme: 'http',
    host: 'a.test',
    port: 80,
    method: 'GET',
    path: '/',
    verdict: 'redact',
    action: 'redact',
    outcome: 'forwarded',
    error_type: null,
    ever_dialled: true,
    in_run: false,
    begun: false,
  },
  findings: [
    { inspector: 'scan', rule: 'us-ssn', severity: 'high', disposition: 'redact' },
    { inspector: 'policy', rule: 'policy:cut', severity: 'high', disposition: 'redact' },
  ],
};

test('without the redact policy nobody knows which finds it had raised; with it the verdict is what it was', async () => {
  const config = defaultConfig({ state_dir: '/nonexistent' });
  const { set, problems } = parsePolicies(RULES, { name: 'f', kind: 'file' });
  assert.deepEqual(problems, []);
  const judge = async (policies: typeof set | undefined) =>
    (await createReplay({ config, policies, mode: 'enforce' })).judge(STORED);
  assert.deepEqual(await judge(set).then(({ verdict, stopped }) => [verdict, stopped]), ['redact', false]);
  const without = await judge(undefined);
  assert.deepEqual([without.verdict, without.stopped], [undefined, false]);
});
