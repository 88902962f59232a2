import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Disposition, Mode, Ruling } from '../../../src/model/finding.ts';
import { enforce, enforceLate } from '../../../src/verdict/enforce.ts';

const MODES: readonly Mode[] = ['monitor', 'redact', 'enforce'];
const DISPOSITIONS: readonly Disposition[] = ['allow', 'flag', 'redact', 'block'];

test('what was found too late changes the verdict and never the action, in every mode', () => {
  for (const mode of MODES) {
    for (const before of DISPOSITIONS) {
      const ruling = enforce({ disposition: before }, [], mode);
      for (const late of DISPOSITIONS) {
        const after = enforceLate(ruling, { disposition: late });
        assert.equal(after.action, ruling.action, `${mode} ${before} ${late}`);
        assert.equal(after.mode, mode);
        const raised = ruling.action !== 'block' && DISPOSITIONS.indexOf(late) > DISPOSITIONS.indexOf(before);
        const expected: Ruling = raised
          ? { mode, verdict: late, action: ruling.action, would: late === 'block' || late === 'redact' ? late : 'none' }
          : ruling;
        assert.deepEqual(after, expected, `${mode} ${before} ${late}`);
      }
    }
  }
});

test('a body with a secret in enforce: verdict block, forwarded, would block', () => {
  const ruling = enforceLate(enforce({ disposition: 'allow' }, [], 'enforce'), { disposition: 'block' });
  assert.deepEqual(ruling, { mode: 'enforce', verdict: 'block', action: 'forward', would: 'block' });
});
