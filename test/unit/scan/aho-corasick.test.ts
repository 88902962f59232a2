import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildAutomaton, createHits, search } from '../../../src/scan/aho-corasick.ts';
import { bytes } from './library.ts';

const letters = fc.constantFrom('a', 'b', 'A', 'B', '-', 'é');
const keyword = fc.string({ unit: letters, minLength: 3, maxLength: 18 });
const keywords = fc.uniqueArray(fc.record({ text: keyword, ignoreCase: fc.boolean() }), {
  minLength: 1,
  maxLength: 6,
  selector: (one) => one.text,
});

function folded(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Every (end, keyword) pair, found the slow way. */
function slowly(words: readonly { text: string; ignoreCase: boolean }[], text: Uint8Array, fold: boolean): string[] {
  return words.flatMap((word, index) => {
    const same = fold || word.ignoreCase ? folded : (one: string) => one;
    const whole = same(Buffer.from(text).toString('latin1'));
    const needle = same(Buffer.from(word.text).toString('latin1'));
    const ends: string[] = [];
    for (let at = whole.indexOf(needle); at >= 0; at = whole.indexOf(needle, at + 1))
      ends.push(`${at + needle.length}:${index}`);
    return ends;
  });
}

test('finds every keyword at every place, however the bytes are cut', () => {
  const text = fc.array(
    fc.oneof(letters, keyword, fc.string({ unit: fc.constantFrom('x', 'y', ' '), maxLength: 30 })),
    { maxLength: 20 },
  );
  fc.assert(
    fc.property(keywords, text, fc.array(fc.nat(200), { maxLength: 6 }), (words, parts, cuts) => {
      const planted = bytes([...parts, words[0]?.text, ...parts, words.at(-1)?.text].join(''));
      const automaton = buildAutomaton(words.map((word) => ({ bytes: bytes(word.text), ignoreCase: word.ignoreCase })));
      const found: string[] = [];
      const places = [0, ...cuts.filter((cut) => cut < planted.length).sort((a, b) => a - b), planted.length];
      let state = 0;
      places.slice(1).forEach((to, i) => {
        const hits = createHits();
        state = search(automaton, planted, places[i] as number, to, state, hits);
        for (let k = 0; k < hits.length; k += 2) {
          const row = (hits.list[k + 1] as number) - automaton.accepting;
          for (const index of automaton.outputs[row] as readonly number[]) found.push(`${hits.list[k]}:${index}`);
        }
      });
      assert.equal(new Set(found).size, found.length, 'told once');
      const all = new Set(found);
      for (const one of slowly(words, planted, false)) assert.ok(all.has(one), `${one} is missing`);
      const possible = new Set(
        slowly(
          words,
          planted,
          words.some((word) => word.ignoreCase),
        ),
      );
      for (const one of found) assert.ok(possible.has(one), `${one} is not there`);
    }),
    { numRuns: 1000 },
  );
});

test('more hits than the list first held', () => {
  const automaton = buildAutomaton([{ bytes: bytes('aaa'), ignoreCase: false }]);
  const hits = createHits();
  search(automaton, bytes('a'.repeat(1000)), 0, 1000, 0, hits);
  assert.equal(hits.length, 998 * 2);
});
