import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { LossIdentity } from '../../src/model/admin.ts';
import { createAuthority } from '../support/certs.ts';
import { drive } from '../support/load.ts';
import { settled } from '../support/recorded.ts';
import { type Outage, obedientOrigin, outage } from '../support/watched.ts';
import { eventually, startWeir, type Weir } from '../support/weir.ts';

/** Spans of one export: what may arrive twice when its answer is lost. */
const BATCH = 128;
const BIG = 60_000;

interface Bench {
  readonly stateDir: string;
  readonly collector: Outage & { readonly port: number; readonly spanIds: () => string[] };
  start(config?: Record<string, unknown>): Promise<Weir>;
}

/** A state directory that outlives its collectors, an origin, and an OTLP receiver that can go away. */
async function bench(t: TestContext, journalBytes?: number): Promise<Bench> {
  const origin = await obedientOrigin(createAuthority().issue(['plain.test']));
  t.after(origin.close);
  const stateDir = await mkdtemp(join(tmpdir(), 'weir-loss-'));
  t.after(() => rm(stateDir, { recursive: true, force: true }));
  const collector = await outage();
  t.after(collector.close);
  const journal = journalBytes === undefined ? {} : { journal: { max_bytes: journalBytes } };
  return {
    stateDir,
    collector,
    async start(config = {}) {
      const weir = await startWeir({
        stateDir,
        config: {
          upstream: { resolve: { 'plain.test': `127.0.0.1:${origin.plainPort}` } },
          telemetry: { endpoint: `http://127.0.0.1:${collector.port}`, ...journal },
          ...config,
        },
      });
      t.after(weir.stop);
      return weir;
    },
  };
}

/** A collector that has just started answers before its recorder does. */
function identityOf(weir: Weir): Promise<LossIdentity> {
  return eventually(async () => (await weir.status()).identity, 'the recorder says what it knows');
}

/** The identity, drawn up by the reader of the report rather than by the report. */
function assertHolds(identity: LossIdentity): void {
  const { started, exported, journalled, open, sampledOut, dropped } = identity;
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  assert.equal(exported + journalled + open + sampledOut + lost, started, JSON.stringify(identity));
  assert.equal(identity.holds, true);
}

/** Waits until everything begun has a fate, and checks the identity then. What was known last is in the failure. */
async function accounted(weir: Weir, started: number, ms = 15_000): Promise<LossIdentity> {
  let last: unknown;
  let identity: LossIdentity;
  try {
    identity = await eventually(
      async () => {
        const status = await weir.status();
        last = { identity: status.identity, consumers: status.consumers, problems: status.problems };
        const now = status.identity;
        if (now === undefined) return undefined;
        assertHolds(now);
        return now.started >= started && now.open === 0 && now.journalled === 0 && now;
      },
      `${started} spans have a fate`,
      ms,
    );
  } catch (error) {
    throw new Error(`${(error as Error).message}: ${JSON.stringify(last)}`, { cause: error });
  }
  assert.equal(identity.started, started);
  return identity;
}

async function rowSpans(weir: Weir): Promise<string[]> {
  return (await weir.query('SELECT span_id FROM exchanges')).map((row) => String(row['span_id']));
}

function assertArrived(ids: readonly string[], expected: readonly string[], duplicates: number): void {
  const arrived = new Set(ids);
  assert.deepEqual(
    expected.filter((id) => !arrived.has(id)),
    [],
    'spans that never arrived',
  );
  assert.equal(arrived.size, new Set(expected).size);
  assert.ok(ids.length - arrived.size <= duplicates, `${ids.length - arrived.size} duplicates`);
}

describe('loss: started = exported + journalled + open + sampled_out + dropped', () => {
  it('a collector that goes away and comes back misses nothing', { timeout: BIG }, async (t) => {
    const { start, collector } = await bench(t);
    const weir = await start();
    await drive(weir, { count: 100 });
    await accounted(weir, 100);
    await collector.down();
    const during = await drive(weir, { count: 300, tag: 'down' });
    assert.equal(during.length, 300, 'traffic goes on');
    const identity = await eventually(async () => {
      const now = await identityOf(weir);
      assertHolds(now);
      return now.started === 400 && now;
    }, 'all is in the journal');
    assert.deepEqual([identity.exported, identity.journalled], [100, 300]);
    await collector.up();
    const after = await accounted(weir, 400, 30_000);
    assert.equal(after.exported, 400);
    assertArrived(collector.spanIds(), await rowSpans(weir), BATCH);
  });

  it('kill -9 in the middle of traffic costs at most one batch, and the books say how many', {
    timeout: BIG,
  }, async (t) => {
    const { start, collector } = await bench(t);
    const first = await start();
    const load = drive(first, { count: 100_000, width: 4 });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const killedAt = performance.now();
    first.kill('SIGKILL');
    await first.exited;
    const seen = await load;
    assert.ok(seen.length > 50, `${seen.length} exchanges before the kill`);
    const again = await start();
    await eventually(async () => (await identityOf(again)).started > 0, 'the books of the former life');
    await settled(again, 15_000);
    const identity = await identityOf(again);
    assertHolds(identity);
    const rows = await again.query('SELECT path, span_id FROM exchanges');
    const recorded = new Set(rows.map((row) => String(row['path'])));
    const lost = seen.filter(({ path }) => !recorded.has(path));
    assert.ok(lost.length <= 256, `${lost.length} lost`);
    const early = lost.filter(({ at }) => at < killedAt - 100);
    assert.deepEqual(early, [], 'what was over 100 ms before the kill is recorded');
    // Cursors are saved four times a second: what was acknowledged since the last time goes out again.
    const late = seen.filter(({ at }) => at > killedAt - 600).length;
    assertArrived(
      collector.spanIds(),
      rows.map((row) => String(row['span_id'])),
      late + 2 * BATCH,
    );
    assert.equal(identity.exported, rows.length);
    // Life goes on in the same books.
    await drive(again, { count: 20, tag: 'again' });
    await accounted(again, identity.started + 20);
  });

  for (const how of ['refuses', 'hangs'] as const) {
    it(`shutdown while the collector ${how}: under 3 s, and the next life delivers`, { timeout: BIG }, async (t) => {
      const { start, collector } = await bench(t);
      const weir = await start();
      await drive(weir, { count: 20 });
      await accounted(weir, 20);
      if (how === 'refuses') await collector.down();
      else collector.receiver().behave('hang');
      await drive(weir, { count: 150, tag: 'late' });
      const began = performance.now();
      weir.kill('SIGTERM');
      assert.equal(await weir.exited, 0);
      const took = performance.now() - began;
      assert.ok(took < 3000, `${Math.round(took)} ms`);
      if (how === 'refuses') await collector.up();
      else collector.receiver().behave('ok');
      const again = await start();
      const identity = await accounted(again, 170);
      assert.deepEqual(identity.dropped, {});
      assert.equal(identity.exported, 170);
      assertArrived(collector.spanIds(), await rowSpans(again), 2 * BATCH);
    });
  }

  it('a collector that refuses for good is counted, one that is busy is asked again', { timeout: BIG }, async (t) => {
    const { start, collector } = await bench(t);
    const weir = await start();
    collector.receiver().behave(400);
    await drive(weir, { count: 30 });
    const refused = await accounted(weir, 30);
    assert.deepEqual([refused.exported, refused.dropped], [0, { 'rejected-400': 30 }]);
    collector.receiver().behave(401);
    await drive(weir, { count: 30, tag: 'held' });
    await eventually(
      async () => (await weir.status()).consumers.some(({ failing }) => failing?.includes('401')),
      '401 is said',
    );
    const held = await identityOf(weir);
    assertHolds(held);
    assert.equal(held.journalled, 30);
    collector.receiver().behave('ok');
    const after = await accounted(weir, 60, 20_000);
    assert.deepEqual([after.exported, after.dropped], [30, { 'rejected-400': 30 }]);
  });

  it('a full journal gives up the oldest that is ordinary, counted; rows stay whole', { timeout: BIG }, async (t) => {
    const { start, collector } = await bench(t, 1_048_576);
    // More than the 8192 records that are also in memory.
    const all = 11_000;
    await collector.down();
    const weir = await start();
    await drive(weir, { count: all, width: 16 });
    await eventually(async () => {
      const now = await identityOf(weir);
      assertHolds(now);
      return now.started === all;
    }, 'all is begun');
    await eventually(async () => (await weir.query('SELECT id FROM exchanges')).length === all, 'every row');
    assert.ok((await weir.status()).journalBytes <= 1_048_576 * 1.1);
    await collector.up();
    const identity = await accounted(weir, all, 30_000);
    const capped = identity.dropped['journal-cap'] ?? 0;
    assert.ok(capped > 0 && capped < all, JSON.stringify(identity));
    assert.deepEqual(Object.keys(identity.dropped), ['journal-cap']);
    const ids = new Set(collector.spanIds());
    assert.equal(ids.size, all - capped);
    // The newest are the ones that are left.
    const newest = (await weir.query('SELECT span_id FROM exchanges ORDER BY id DESC LIMIT 100')).map((row) =>
      String(row['span_id']),
    );
    assert.ok(newest.every((id) => ids.has(id)));
    // And the first contact, the oldest of them all: what is notable is shed last.
    const first = await weir.query('SELECT span_id FROM exchanges WHERE first_seen ORDER BY id');
    assert.ok(first.length > 0 && first.every((row) => ids.has(String(row['span_id']))));
  });

  it('spans thinned by telemetry.sample are counted, rows are not thinned', { timeout: BIG }, async (t) => {
    const { start, collector } = await bench(t);
    const telemetry = { endpoint: `http://127.0.0.1:${collector.port}`, sample: { unremarkable: 0 } };
    const weir = await start({ telemetry, baseline: { ready_after_requests: 5, ready_after_hours: 0 } });
    await drive(weir, { count: 60, width: 1 });
    const identity = await accounted(weir, 60);
    assert.ok(identity.sampledOut > 30 && identity.exported >= 5, JSON.stringify(identity));
    assert.equal(collector.spanIds().length, identity.exported);
    await eventually(async () => (await rowSpans(weir)).length === 60, 'all rows');
  });

  it('a receiver that resets every connection stops nothing', { timeout: BIG }, async (t) => {
    const { start, collector } = await bench(t);
    collector.receiver().behave('close');
    const weir = await start();
    assert.equal((await drive(weir, { count: 100 })).length, 100);
    collector.receiver().behave('ok');
    const identity = await accounted(weir, 100, 30_000);
    assert.equal(identity.exported, 100);
  });
});
