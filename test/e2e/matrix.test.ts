import { after, before, describe, it } from 'node:test';
import type { LaneName } from '../support/lanes.ts';
import { assertPassive } from '../support/scenario.ts';
import { MATRIX } from '../support/scenarios-http1.ts';
import { type House, openHouse } from './harness.ts';

const LANES: readonly LaneName[] = ['plain', 'connect', 'tunnel', 'intercepted'];

describe('matrix, HTTP/1.1: what both ends see is what a direct connection shows', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house?.close());

  for (const lane of LANES) {
    for (const scenario of MATRIX) {
      it(`${lane} × ${scenario.name}`, () => assertPassive(scenario, lane, house.parts));
    }
  }
});
