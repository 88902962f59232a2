import assert from 'node:assert/strict';
import { test } from 'node:test';
import { detect, FLOORS, precisionOf, recallOf } from '../../bench/detection.ts';

const { scores, negatives } = detect();

for (const [group, floor] of Object.entries(FLOORS)) {
  test(`${group}: recall and precision on the labelled corpus stay above their floors`, (t) => {
    const mine = scores.filter((score) => score.group === group);
    assert.ok(mine.length > 0);
    const [recall, precision] = [recallOf(mine), precisionOf(mine)];
    t.diagnostic(`recall ${(recall * 100).toFixed(2)} %, precision ${(precision * 100).toFixed(2)} %`);
    assert.ok(recall >= floor.recall, mine.flatMap(({ missed }) => missed).join('\n'));
    assert.ok(precision >= floor.precision, mine.flatMap(({ mistaken }) => mistaken).join('\n'));
  });
}

test('every category of the corpus is found in four cases of five at least, and there is enough of each', () => {
  assert.ok(negatives >= 900, `${negatives} negatives`);
  for (const score of scores) {
    assert.ok(score.samples >= 20, `${score.category}: ${score.samples}`);
    assert.ok(recallOf([score]) >= 0.8, `${score.category}: ${score.missed.join('; ')}`);
  }
});
