import { after, before, describe, it } from 'node:test';
import { assertPassiveHttp2 } from '../support/play-http2.ts';
import { MATRIX2 } from '../support/scenarios-http2.ts';
import { type Http2House, openHttp2House } from './harness.ts';

describe('matrix, HTTP/2: fields, DATA, trailers, flags and codes are what a direct connection shows', () => {
  let house: Http2House;
  before(async () => {
    house = await openHttp2House();
  });
  after(() => house?.close());

  for (const name of ['connect', 'tunnel', 'intercepted'] as const) {
    for (const scenario of MATRIX2) {
      it(`${name} × ${scenario.name}`, () => {
        const { direct, proxied } = house.lanes(name);
        return assertPassiveHttp2(scenario, direct, proxied);
      });
    }
  }
});
