import { after, before, describe, it } from 'node:test';
import type { LaneName } from '../support/lanes.ts';
import { assertPassiveHttp2 } from '../support/play-http2.ts';
import { assertPassive } from '../support/scenario.ts';
import { duplex } from '../support/scenarios-http1.ts';
import { duplex2 } from '../support/scenarios-http2.ts';
import { PASSIVE, slow } from '../support/scenarios-passive.ts';
import { type House, type Http2House, openHouse, openHttp2House } from './harness.ts';

const LANES: readonly LaneName[] = ['plain', 'connect', 'tunnel', 'intercepted'];

describe('passive: what peers break in audit mode goes through unchanged', () => {
  let house: House;
  before(async () => {
    house = await openHouse();
  });
  after(() => house?.close());

  for (const lane of LANES) {
    for (const scenario of PASSIVE) it(`${lane} × ${scenario.name}`, () => assertPassive(scenario, lane, house.parts));
    it(`${lane} × lock-step streaming, 1000 steps each way`, () => assertPassive(duplex(1000), lane, house.parts));
  }
});

describe('passive: lock-step over HTTP/2', () => {
  let house: Http2House;
  before(async () => {
    house = await openHttp2House();
  });
  after(() => house?.close());

  for (const name of ['connect', 'tunnel', 'intercepted'] as const) {
    it(`${name} × 1000 steps each way on one stream`, () => {
      const { direct, proxied } = house.lanes(name);
      return assertPassiveHttp2(duplex2(1000), direct, proxied);
    });
  }
});

/** Every clock Weir owns is set far below the pauses; a peer's real limit is minutes (WEIR_TEST_SLOW_MS=310000 runs it so). */
const SHORT = { limits: { head_ms: 150, connect_ms: 150, client_hello_ms: 150, keepalive_s: 1, drain_s: 1 } };
const PAUSE_MS = Number(process.env['WEIR_TEST_SLOW_MS'] ?? 400);

describe('passive: no clock of ours ends a healthy exchange', () => {
  let house: House;
  before(async () => {
    house = await openHouse(SHORT);
  });
  after(() => house?.close());

  for (const lane of LANES) {
    it(`${lane} × pauses of ${PAUSE_MS} ms with limits of 150 ms`, () =>
      assertPassive(slow(PAUSE_MS), lane, house.parts));
  }
});
