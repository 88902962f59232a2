import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { simulateMonth } from '../../bench/month.ts';

describe('a simulated month of agents with weekly rhythm', () => {
  for (const seed of [11, 12]) {
    const month = simulateMonth({ seed, days: 28, share: 0.25 });
    it(`seed ${seed}: at most one false alarm a week and agent`, () => {
      assert.ok(month.exchanges > 5000, `${month.exchanges} exchanges`);
      assert.ok(month.worstPerWeek <= 1, JSON.stringify(month));
      // A tool that is new is told, so silence would be a broken simulation.
      assert.ok((month.byRule['first-seen'] ?? 0) >= 5, JSON.stringify(month.byRule));
      // A renewed token that was announced, OAuth tokens that change every hour.
      for (const rule of ['credential-first-seen', 'tenant-first-seen']) assert.equal(month.byRule[rule], undefined);
    });

    it(`seed ${seed}: what is planted is found`, () => {
      assert.ok(month.planted > 150, `${month.planted} planted`);
      assert.ok(month.found / month.planted >= 0.95, JSON.stringify(month));
      for (const rule of ['credential-first-seen', 'tenant-first-seen', 'new-port', 'new-method', 'silence'])
        assert.equal(month.missed[rule], undefined, rule);
    });
  }
});
