import assert from 'node:assert/strict';
import { test } from 'node:test';
import { benignCases } from '../../support/benign/all.ts';
import { builtInScanning, judged } from '../../support/judged.ts';

const scanning = builtInScanning();
const cases = benignCases();

/** Asks for more than a note: in enforce the request would not go out, or not as it is. */
function stops(disposition: string): boolean {
  return disposition === 'block' || disposition === 'redact';
}

test('everyday traffic is not stopped: at most one case in a hundred has a finding that would', (t) => {
  assert.ok(cases.length >= 400, `${cases.length} cases`);
  assert.equal(new Set(cases.map(({ text }) => text)).size, cases.length, 'no case twice');
  const stopped: string[] = [];
  const flagged: string[] = [];
  const kinds = new Map<string, { cases: number; flagged: number; stopped: number }>();
  for (const one of cases) {
    const count = kinds.get(one.kind) ?? { cases: 0, flagged: 0, stopped: 0 };
    kinds.set(one.kind, count);
    count.cases++;
    const findings = judged(scanning, one);
    if (findings.length === 0) continue;
    const words = findings.map(({ found, weight }) => `${found.rule}=${weight.disposition}@${found.start}`).join(' ');
    const line = `${one.kind}, ${one.direction} ${one.place}: ${words}: ${one.text.slice(0, 60)}`;
    const stop = findings.some(({ weight }) => stops(weight.disposition));
    (stop ? stopped : flagged).push(line);
    count[stop ? 'stopped' : 'flagged']++;
  }
  for (const [kind, count] of kinds) {
    t.diagnostic(`${kind}: ${count.cases} cases, ${count.flagged} flagged, ${count.stopped} stopped`);
  }
  t.diagnostic(`${cases.length} in all, ${flagged.length} flagged, ${stopped.length} stopped`);
  for (const line of flagged) t.diagnostic(`flagged: ${line}`);
  assert.ok(stopped.length <= cases.length * 0.01, stopped.join('\n'));
  assert.ok(flagged.length <= cases.length * 0.03, flagged.join('\n'));
});

test('the measure can fail: a leak among the same texts is stopped, in every place', () => {
  const leak = `AKIA${'Q7ZK'.repeat(4)}`;
  const places = new Set<string>();
  for (const one of cases) {
    if (one.direction === 'response' || one.text.length > 4000) continue;
    const text = one.place === 'body' ? `${one.text}\n${leak}\n` : `${one.text}${leak}`;
    const joined = /[A-Za-z0-9]$/.test(one.text) && one.place !== 'body' ? `${one.text}~${leak}` : text;
    const found = judged(scanning, { ...one, text: joined });
    if (!found.some(({ weight }) => stops(weight.disposition))) continue;
    places.add(one.place);
  }
  assert.deepEqual([...places].sort(), ['body', 'cookie', 'header', 'url']);
});
