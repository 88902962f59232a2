import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type House, openHouse, type Way } from '../../support/http1-house.ts';
import { difference } from '../../support/peer.ts';
import { play, type Scenario } from '../../support/scenario.ts';
import { duplex, MATRIX } from '../../support/scenarios-http1.ts';
import { PASSIVE } from '../../support/scenarios-passive.ts';

const WAYS: readonly Way[] = ['plain', 'link', 'tls'];
const SCENARIOS: readonly Scenario[] = [...MATRIX, ...PASSIVE, duplex(1000)];

describe('HTTP/1 relay: both ends see what a direct connection shows', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house?.close());

  for (const way of WAYS) {
    for (const scenario of SCENARIOS) {
      it(`${way} × ${scenario.name}`, async () => {
        const { direct, relayed } = house.lanes(way);
        const expected = await play(scenario, direct);
        const got = await play(scenario, relayed);
        assert.equal(difference(expected.origin.bytes, got.origin.bytes), undefined, 'what the origin received');
        assert.equal(difference(expected.agent.bytes, got.agent.bytes), undefined, 'what the agent received');
        if (scenario.endings === false) return;
        assert.equal(got.origin.ending, expected.origin.ending, 'how the origin saw the end');
        assert.equal(got.agent.ending, expected.agent.ending, 'how the agent saw the end');
      });
    }
  }

  it('closed every exchange exactly once', async () => {
    await house.corridor.whenClosed(house.corridor.opened.length);
    const closed = house.corridor.closed.map(({ exchange }) => exchange.id);
    assert.equal(new Set(closed).size, closed.length);
    assert.deepEqual(new Set(closed), new Set(house.corridor.opened.map(({ id }) => id)));
  });
});
