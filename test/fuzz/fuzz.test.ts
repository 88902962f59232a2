import assert from 'node:assert/strict';
import { test } from 'node:test';
import { caseSeed, inputOf, runCase, told } from './fuzz.ts';
import { allTargets } from './targets.ts';

/** Of each target; `npm run fuzz` has all the time one gives it. */
const CASES = 250;
const SLOW_CASES = 40;
const SEED = 20_261_120;

for (const target of await allTargets()) {
  test(`fuzz: ${target.name}`, async () => {
    const seeds = await target.seeds();
    for (const input of seeds) {
      const failure = await runCase(target, input, SEED);
      if (failure !== undefined) assert.fail(told(failure));
    }
    for (let i = 0; i < (target.slow === true ? SLOW_CASES : CASES); i++) {
      const seed = caseSeed(SEED, i);
      const failure = await runCase(target, inputOf(seeds, seed), seed);
      if (failure !== undefined) assert.fail(told(failure));
    }
  });
}
