import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compilePatterns } from '../../../src/scan/compile.ts';
import { createEngine } from '../../../src/scan/engine.ts';
import { benignTexts } from '../../support/benign.ts';
import { bytes, librarySources } from './library.ts';

const engine = createEngine(compilePatterns(librarySources()));
const texts = benignTexts();

test('everyday traffic is not stopped: at most one text in a hundred has a finding that would', (t) => {
  assert.ok(texts.length >= 120, `${texts.length} texts`);
  const stopped: string[] = [];
  let noted = 0;
  for (const { name, text } of texts) {
    const body = bytes(text);
    const { matches, unscanned } = engine.scan(body);
    assert.equal(unscanned, false, `${name} was not scanned to its end`);
    if (matches.length > 0) noted++;
    for (const { pattern, start, end } of matches) {
      if (pattern.severity !== 'high' && pattern.severity !== 'critical') continue;
      stopped.push(`${name}: ${pattern.id}: ${Buffer.from(body.subarray(start, end)).toString().slice(0, 80)}`);
    }
  }
  const share = new Set(stopped.map((one) => one.split(':')[0])).size / texts.length;
  t.diagnostic(
    `${texts.length} texts: ${(share * 100).toFixed(2)} % at block severity, ${((noted / texts.length) * 100).toFixed(1)} % with any finding`,
  );
  assert.ok(share <= 0.01, stopped.join('\n'));
});

test('the measure can fail: a leak among the same texts is at block severity', () => {
  const leak = `AKIA${'Q7ZK'.repeat(4)}`;
  for (const { name, text } of texts.slice(0, 40)) {
    const { matches } = engine.scan(bytes(`${text}\n${leak}\n`));
    assert.ok(
      matches.some((match) => match.pattern.severity === 'critical'),
      name,
    );
  }
});
