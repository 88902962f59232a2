import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { ReportFacts } from '../../src/model/report.ts';
import { secure } from '../support/origins.ts';
import { openRecorded, type Recorded, settled } from '../support/recorded.ts';
import { ask, peerOf, tunnel } from '../support/watched.ts';

const ALL = ['report', '--since', '2020-01-01'];

type Forms = Readonly<Record<'text' | 'markdown' | 'json', string>>;

describe('weir report', () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'weir-report-'));
  let house: Recorded;
  /** The three forms while the collector runs, and without one. */
  let beside: Forms;
  let alone: Forms;

  /** A request inside a tunnel that Weir reads; rejects when the client does not trust what it is shown. */
  const inside = async (agent: string, authority: string, ca: string): Promise<void> => {
    const { socket } = await tunnel(house.weir.port, agent, `${authority}:443`, 'User-Agent: gh/2.1 (test)\r\n');
    try {
      const peer = peerOf(await secure(socket, { servername: authority, ca }));
      await peer.send(`GET /ok HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`);
      await peer.ended();
    } finally {
      socket.destroy();
    }
  };
  const told = async (...args: string[]): Promise<string> => {
    const { stdout, stderr, code } = await house.weir.cli([...ALL, ...args]);
    assert.deepEqual([stderr, code], ['', 0]);
    return stdout;
  };
  const three = async (): Promise<Forms> => ({
    text: await told('--agent', 'reporter'),
    markdown: await told('--markdown', '--agent', 'reporter'),
    json: await told('--json'),
  });

  before(async () => {
    house = await openRecorded({ agents: { bounded: { allowed_domains: ['plain.test'] } } }, { stateDir });
    const { port } = house.weir;
    for (let i = 0; i < 3; i++) await ask(port, 'reporter', 'http://plain.test/ok');
    await inside('reporter', 'read.test', house.ca);
    assert.equal((await house.weir.cli(['baseline', 'lock', 'reporter'])).code, 0);
    await ask(port, 'reporter', 'http://late.plain.test/echo', { method: 'POST', body: 'x'.repeat(41_000) });
    await ask(port, 'bounded', 'http://tunnel.test/ok');
    // Three closes in a row are a no (product.md §3.5); the fourth is tunnelled.
    const own = house.authority.cert;
    for (let i = 0; i < 3; i++) await assert.rejects(inside('pinned', 'read.test', own));
    await inside('pinned', 'read.test', own);
    await settled(house.weir);
    beside = await three();
    await house.weir.stop();
    alone = await three();
  });
  after(async () => {
    await house?.close();
    rmSync(stateDir, { recursive: true, force: true });
  });

  it('as text: what the agent did, in lines', () => {
    const lines = beside.text.trimEnd().split('\n');
    assert.match(lines[0] ?? '', /^weir {2}reporter {2}\S.*–.*\d\d:\d\d +monitor · cooperative$/);
    assert.deepEqual(lines.slice(1), [
      '  went to   3 destinations · 5 requests · 41 KB out · 41 KB in',
      '            plain.test                3   0 B out',
      '            late.plain.test           1   41 KB out',
      '            read.test                 1   0 B out',
      '  new       late.plain.test         first contact, 41 KB uploaded         ← look',
      '            first appearance of reporter, a name nobody configured        ← look',
      '            2 first contacts while learning: plain.test, read.test',
    ]);
  });

  it('as Markdown: a table', () => {
    const text = beside.markdown;
    assert.match(text, /^## Weir: `reporter`, /);
    assert.match(text, /^\| `late\.plain\.test` \| 1 \| 41 KB \| 41 KB \|$/m);
    assert.match(text, /^\| `late\.plain\.test` \| `first contact, 41 KB uploaded` \| `reporter` \| ← look \|$/m);
  });

  it('as JSON: the facts, of all agents', () => {
    const facts = JSON.parse(beside.json) as ReportFacts;
    assert.deepEqual([...facts.agents].sort(), ['bounded', 'pinned', 'reporter']);
    assert.deepEqual([facts.wouldBlock, facts.blocked, facts.mode], [1, 0, 'monitor']);
    const rejected = facts.unread.filter(({ reason }) => reason === 'client-rejected-ca');
    assert.deepEqual(rejected, [{ reason: 'client-rejected-ca', client: 'gh', hosts: ['read.test'] }]);
    const contacts = facts.new.filter(({ rule }) => rule === 'first-contact');
    assert.ok(contacts.some(({ agent, host }) => agent === 'reporter' && host === 'plain.test'));
    assert.deepEqual(facts.direct, []);
  });

  it('says the same without a collector', () => {
    assert.deepEqual(JSON.parse(alone.json), JSON.parse(beside.json));
    assert.deepEqual([alone.text, alone.markdown], [beside.text, beside.markdown]);
  });
});
