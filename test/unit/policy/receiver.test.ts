import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, describe, it } from 'node:test';
import { PolicyReceiver, type ReceiverOptions } from '../../../src/collector-policy-receiver.ts';
import { row, type StrathonReceiver, strathonReceiver } from '../../support/strathon-receiver.ts';

const dir = mkdtempSync(join(tmpdir(), 'weir-receiver-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const EVIL = row('no-evil', 'attrs["strathon.http.url"].contains("evil")');
const WORSE = row('no-worse', 'attrs["strathon.http.url"].contains("worse")');
const OFF = row('off', 'not valid @@@', { enabled: false });

describe('policies of a Strathon receiver', () => {
  let standIn: StrathonReceiver;
  let made: PolicyReceiver[] = [];
  let files = 0;
  let file = '';
  let changes: string[] = [];
  let logs: string[] = [];

  beforeEach(async () => {
    standIn = await strathonReceiver([EVIL, WORSE, OFF]);
    file = join(dir, `policies-${files++}.json`);
    made = [];
    changes = [];
    logs = [];
  });
  afterEach(async () => {
    for (const receiver of made) receiver.stop();
    await standIn.close();
  });

  function receiver(more: Partial<ReceiverOptions> = {}): PolicyReceiver {
    const one = new PolicyReceiver({
      url: standIn.url,
      key: standIn.key,
      file,
      isSelf: () => false,
      enforcing: () => true,
      acceptShrink: () => false,
      changed: (less) => changes.push(less),
      log: (_, __, message) => logs.push(message),
      ...more,
    });
    made.push(one);
    return one;
  }
  const names = (one: PolicyReceiver) => one.set?.policies.map(({ name }) => name);

  it('asks as documented, skips what is off, keeps it 0600 on disk', async () => {
    const one = receiver();
    await one.ask();
    assert.deepEqual(names(one), ['no-evil', 'no-worse']);
    assert.deepEqual(standIn.asked, [
      { line: 'GET /v1/policies?enabled=true', authorization: `Bearer ${standIn.key}`, etag: undefined },
    ]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.ok(!readFileSync(file, 'utf8').includes(standIn.key), 'the key is not stored');
    assert.deepEqual(changes, ['']);
    assert.equal(one.state.problem, undefined);
  });

  it('counters of the rows are no change; an ETag saves the answer', async () => {
    const one = receiver();
    await one.ask();
    const first = one.set;
    standIn.rows = [{ ...EVIL, match_count: 99 }, WORSE, OFF];
    await one.ask();
    assert.equal(one.set, first);
    assert.deepEqual(changes, ['']);
    standIn.etag = '"v1"';
    await one.ask();
    await one.ask();
    assert.deepEqual(
      standIn.asked.map(({ etag }) => etag),
      [undefined, undefined, undefined, '"v1"'],
    );
    assert.equal(one.state.problem, undefined);
  });

  const FAILURES: readonly (readonly [string, (s: StrathonReceiver) => void, RegExp])[] = [
    ['401', (s) => Object.assign(s, { key: 'another' }), /does not know the key in STRATHON_API_KEY \(401\)/],
    ['403', (s) => status(s, 403), /may not read policies \(403\)/],
    ['500', (s) => status(s, 500), /answered 500/],
    ['a redirect', (s) => status(s, 302, { location: 'http://127.0.0.1:1/' }), /redirects \(302\)/],
    ['garbage', (s) => body(s, '<html>'), /no JSON/],
    ['JSON of another shape', (s) => body(s, '[1,2]'), /policies/],
    [
      'a policy that is no CEL',
      (s) => Object.assign(s, { rows: [EVIL, row('bad', 'not valid @@@')] }),
      /"bad": match_expression does not compile/,
    ],
    ['an endless answer', (s) => endless(s), /larger than \d+ bytes/],
    [
      'a reset',
      (s) => Object.assign(s, { answer: (q: { socket: { destroy(): void } }) => q.socket.destroy() }),
      /failed|reached/,
    ],
  ];
  for (const [name, spoil, pattern] of FAILURES) {
    it(`${name}: the last good set stays, and what is wrong is said once`, async () => {
      const one = receiver();
      await one.ask();
      const good = one.set;
      spoil(standIn);
      await one.ask();
      await one.ask();
      assert.equal(one.set, good);
      assert.match(String(one.state.problem), pattern);
      assert.deepEqual(logs, ['policies-not-pulled']);
      assert.ok(!String(one.state.problem).includes(standIn.key));
    });
  }

  it('a hang ends after five seconds', { timeout: 15_000 }, async () => {
    standIn.answer = () => undefined;
    const one = receiver();
    await one.ask();
    assert.match(String(one.state.problem), /no answer within 5 s/);
    assert.equal(one.set, undefined);
  });

  it('never to ourselves', async () => {
    const one = receiver({ isSelf: () => true });
    await one.ask();
    assert.match(String(one.state.problem), /leads to Weir itself/);
    const named = receiver({ url: standIn.url.replace('127.0.0.1', 'localhost'), isSelf: () => true });
    await named.ask();
    assert.match(String(named.state.problem), /leads to Weir itself/);
    assert.deepEqual(standIn.asked, []);
  });

  it('a former life’s set is used; another receiver’s, or a damaged one, is not', async () => {
    await receiver().ask();
    const next = receiver();
    await next.restore();
    assert.deepEqual(names(next), ['no-evil', 'no-worse']);
    const other = receiver({ url: 'https://other.example' });
    await other.restore();
    assert.equal(other.set, undefined);
    writeFileSync(file, '{"url":');
    const damaged = receiver();
    await damaged.restore();
    assert.equal(damaged.set, undefined);
  });

  it('a set that suddenly allows much more is held back in enforce until it is accepted', async () => {
    const one = receiver();
    await one.ask();
    standIn.rows = [];
    await one.ask();
    assert.deepEqual(names(one), ['no-evil', 'no-worse']);
    assert.match(String(one.state.held), /no longer stopping anything: "no-evil", "no-worse"/);
    assert.deepEqual(logs, ['policies-held-back']);
    const restarted = receiver();
    await restarted.restore();
    assert.deepEqual(names(restarted), ['no-evil', 'no-worse'], 'the held set is not what a restart finds');
    assert.equal(one.accept(), true);
    assert.deepEqual(names(one), []);
    assert.match(String(changes.at(-1)), /no-evil/);
    assert.equal(one.accept(), false);
  });

  it('one of two lost, accept_shrink, or nothing that enforces: taken over, and said', async () => {
    const one = receiver();
    await one.ask();
    standIn.rows = [EVIL];
    await one.ask();
    assert.deepEqual(names(one), ['no-evil']);
    assert.match(String(changes.at(-1)), /"no-worse"/);
    for (const more of [{ acceptShrink: () => true }, { enforcing: () => false }]) {
      standIn.rows = [EVIL];
      const other = receiver(more);
      await other.ask();
      standIn.rows = [row('no-evil', 'false')];
      await other.ask();
      assert.equal(other.state.held, undefined);
      assert.match(String(changes.at(-1)), /"no-evil"/);
    }
  });

  it('an `allow` above everything, and a default that opens, are such sets', async () => {
    standIn.default = 'block';
    const one = receiver();
    await one.ask();
    standIn.default = 'allow';
    await one.ask();
    assert.match(String(one.state.held), /was blocked and is allowed now/);
    standIn.default = 'block';
    standIn.rows = [row('open', 'true', { action: 'allow', priority: 9 }), EVIL, WORSE];
    await one.ask();
    assert.match(String(one.state.held), /"no-evil", "no-worse"/);
    standIn.rows = [EVIL, WORSE];
    await one.ask();
    assert.equal(one.state.held, undefined);
  });
});

function status(standIn: StrathonReceiver, code: number, headers: Record<string, string> = {}): void {
  standIn.answer = (_, response) => response.writeHead(code, headers).end('{}');
}

function body(standIn: StrathonReceiver, text: string): void {
  standIn.answer = (_, response) => response.writeHead(200).end(text);
}

function endless(standIn: StrathonReceiver): void {
  standIn.answer = (_, response) => {
    response.writeHead(200);
    const chunk = Buffer.alloc(256 * 1024, ' ');
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more).on('error', () => undefined);
    more();
  };
}
