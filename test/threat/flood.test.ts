import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { flood } from '../support/flood.ts';
import { type Fortress, openFortress, quiet, stillServes } from '../support/fortress.ts';
import { eventually } from '../support/weir.ts';

const HOSTS = 20_000;

describe('O8, W15: floods of names stay within bounds', () => {
  let fortress: Fortress;
  before(async () => {
    fortress = await openFortress({
      health: { listen: '127.0.0.1:0' },
      limits: { destinations_per_agent: 1000, agents: 100 },
    });
  });
  after(() => fortress?.close());

  const series = async (): Promise<number> => {
    const { healthAddress } = await fortress.weir.status();
    const text = await (await fetch(`http://${healthAddress}/metrics`)).text();
    return text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
  };

  it(`${HOSTS} random sub-domains: memory, metric series and the baseline do not grow with them`, async () => {
    const { weir } = fortress;
    // Warm up: what as many ordinary requests cost (heap, store) is not the flood's doing.
    await flood(weir.port, HOSTS, (i) => ({ host: `n${i % 10}.plain.test`, agent: 'warm', path: '/' }));
    await quiet(weir);
    const [rss, lines] = [await weir.rss(), await series()];
    await flood(weir.port, HOSTS, () => ({
      host: `${randomBytes(8).toString('hex')}.plain.test`,
      agent: 'flooder',
      path: '/',
    }));
    const status = await quiet(weir);
    assert.equal(fortress.plain.heard().split('\r\nHost: ').length - 1, 2 * HOSTS, 'every request went through');
    const grown = (await series()) - lines;
    assert.ok(grown < 600, `${grown} metric series more`);
    const flooder = status.agents.find(({ agent }) => agent === 'flooder');
    assert.equal(flooder?.requests, HOSTS);
    assert.ok((flooder?.baseline.destinations ?? 0) <= 1000, `${flooder?.baseline.destinations} destinations learned`);
    const flooded = "SELECT agent FROM findings WHERE rule = 'destination-flood' AND agent = 'flooder'";
    await eventually(async () => (await weir.query(flooded)).length > 0, 'the finding of the flood itself', 15_000);
    const memory = (await weir.rss()) - rss;
    assert.ok(memory < 250, `${memory.toFixed(0)} MiB more`);
    await stillServes(fortress);
  });

  it('5,000 agent names: at most limits.agents of them, the rest are `other`', async () => {
    const { weir } = fortress;
    await flood(weir.port, 5000, (i) => ({ host: 'plain.test', agent: `agent-${i}`, path: '/' }));
    const status = await quiet(weir);
    assert.ok(status.agents.length <= 110, `${status.agents.length} agents`);
    assert.ok((status.agents.find(({ agent }) => agent === 'other')?.requests ?? 0) > 4800);
    assert.ok((await series()) < 4000);
  });

  it('10,000 methods are one series', async () => {
    const lines = await series();
    await flood(fortress.weir.port, 10_000, (i) => ({
      host: 'plain.test',
      agent: 'methods',
      path: '/',
      method: `M${i}`,
    }));
    await quiet(fortress.weir);
    const grown = (await series()) - lines;
    assert.ok(grown < 50, `${grown} metric series more`);
  });
});
