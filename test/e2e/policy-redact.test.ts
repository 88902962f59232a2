import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { listening } from '../support/origins.ts';
import { openPolicyWorld, type PolicyWorld } from '../support/policy-world.ts';
import { eventually } from '../support/weir.ts';

/** Assembled at run time, so that no scanner takes this file for a leak. Flagged in requests, whatever the mode. */
const SSN = ['433', '02', '0007'].join('-');
const IBAN = ['DE', '97111362885402480682'].join('');
/** A foreign key in a field made for keys is how gateways are used. */
const KEY = ['ghp', 'vQ3mZ8pT1xW6rB9nK4cH7sD2fL5gJ0yAeUiO'].join('_');
/** Anybody issues them: flagged in answers. */
const JWT = [
  'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9',
  'eyJzdWIiOiI4NDcyMDE5MzY1IiwibmFtZSI6IkFubmEifQ',
  'kq3ZcVtTnM0vXyR1sWbUo5hLdE8pJfGa2QiNw7Yx9Ck',
].join('.');

const POLICIES = {
  policies: [
    {
      name: 'keep-it-here',
      match_expression: 'attrs["server.address"].startsWith("redacted")',
      action: 'redact',
    },
    { name: 'perhaps', match_expression: 'attrs["server.address"] == "shadow.test"', action: 'redact', shadow: true },
  ],
};

interface Heard {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

describe('a redact policy', () => {
  let world: PolicyWorld;
  let close: () => Promise<void>;
  const heard: Heard[] = [];
  before(async () => {
    const opened = await assemble(async (later) => {
      const server = createServer((request, response) => {
        let body = '';
        request.on('data', (part: Buffer) => {
          body += part.toString('latin1');
        });
        request.on('end', () => {
          const { url = '', headers } = request;
          const said = url.startsWith('/says') ? { token: JWT } : {};
          response.writeHead(200, { 'content-type': 'application/json' });
          heard.push({ url, headers: headers as Record<string, string>, body });
          response.end(JSON.stringify(said));
        });
      });
      const port = await listening(server);
      later(async () => {
        server.closeAllConnections();
        server.close();
      });
      const world = await openPolicyWorld({
        policies: POLICIES,
        config: {
          upstream: { resolve: { '*.test': `127.0.0.1:${port}` } },
          agents: { watcher: { mode: 'monitor' }, cutter: { mode: 'redact' }, stopper: { mode: 'enforce' } },
        },
      });
      later(world.close);
      return { world };
    });
    ({ world, close } = opened);
  });
  after(() => close?.());

  const send = async (agent: string, host: string, path = `/?ssn=${SSN}&page=2`) => {
    const body = JSON.stringify({ text: `my iban is ${IBAN}.`, more: 1 });
    const fields = { 'x-note': `ssn: ${SSN}`, authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    const answer = await plain(world.weir, `http://${host}${path}`, { agent, method: 'POST', body, fields });
    assert.equal(answer.status, 200, answer.body);
    return { answer, heard: heard.at(-1) as Heard };
  };

  for (const agent of ['cutter', 'stopper']) {
    it(`takes out of head and body what would only be flagged (${agent})`, async () => {
      const { heard } = await send(agent, 'redacted.test');
      assert.equal(heard.url, `/?ssn=${encodeURIComponent('[US SSN_REDACTED]')}&page=2`);
      assert.equal(heard.headers['x-note'], 'ssn: [US SSN_REDACTED]');
      assert.deepEqual(JSON.parse(heard.body), { text: 'my iban is [IBAN_REDACTED].', more: 1 });
    });

    it(`takes out of answers too (${agent})`, async () => {
      const { answer } = await send(agent, 'redacted.test', '/says');
      assert.ok(!answer.body.includes(JWT), answer.body);
      assert.match(answer.body, /_REDACTED\]/);
    });
  }

  it('leaves the keys of gateways and other hosts alone; monitor and shadows change nothing', async () => {
    assert.equal((await send('stopper', 'redacted.test')).heard.headers['authorization'], `Bearer ${KEY}`);
    for (const [agent, host] of [
      ['stopper', 'plain.test'],
      ['stopper', 'shadow.test'],
      ['watcher', 'redacted.test'],
    ] as const) {
      const { heard, answer } = await send(agent, host, `/says?ssn=${SSN}`);
      assert.equal(heard.url, `/says?ssn=${SSN}`, `${agent} ${host}`);
      assert.equal(heard.headers['x-note'], `ssn: ${SSN}`);
      assert.match(heard.body, new RegExp(IBAN));
      assert.ok(answer.body.includes(JWT));
    }
  });

  it('is recorded as what it was: redacted, or would be', async () => {
    for (const agent of ['watcher', 'cutter', 'stopper']) await send(agent, 'redacted-rows.test');
    const rows = await eventually(async () => {
      const found = await world.weir.query(
        `SELECT e.agent, e.verdict, e.action, e.would, f.rule, f.disposition FROM exchanges e JOIN findings f ON f.exchange_id = e.id
         WHERE e.host = 'redacted-rows.test' AND f.rule IN ('us-ssn', 'iban', 'policy:keep-it-here') ORDER BY ALL`,
      );
      return new Set(found.map((row) => row['agent'])).size === 3 && found;
    }, 'rows of all three');
    assert.equal(rows.length, 12);
    for (const { agent, verdict, disposition, action, would } of rows) {
      assert.deepEqual([verdict, disposition], ['redact', 'redact']);
      assert.deepEqual([action, would], agent === 'watcher' ? ['forward', 'redact'] : ['redact', 'none']);
    }
  });
});
