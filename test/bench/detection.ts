import { readFileSync, writeFileSync } from 'node:fs';
import { builtIns } from '../../src/collector-library.ts';
import type { Scanning } from '../../src/collector-scan.ts';
import { benignCases } from '../support/benign/all.ts';
import { builtInScanning, judged, type Placed } from '../support/judged.ts';
import { credentialNegatives, credentialSamples } from '../support/labelled/credentials.ts';
import { personNegatives, personSamples } from '../support/labelled/persons.ts';
import { phraseSamples } from '../support/labelled/phrases.ts';
import type { Sample } from '../support/labelled/sample.ts';
import { type Line, table } from './report.ts';

/** What was found of one category, and what was taken for it. */
export interface Score {
  readonly category: string;
  readonly group: 'credential' | 'pii' | 'financial' | 'injection';
  samples: number;
  found: number;
  /** Negatives in which something of this category was found. */
  wrong: number;
  readonly missed: string[];
  readonly mistaken: string[];
}

export interface Detection {
  readonly scores: readonly Score[];
  readonly negatives: number;
}

/** Files of `patterns/` whose credentials the corpus counts as one category. */
const TRADES: Readonly<Record<string, string>> = { 'code-hosts': 'code', messaging: 'chat' };

/** Category of the corpus a rule belongs to. Keys and assignments of `generic` count as what they are found as. */
function categories(): ReadonlyMap<string, string> {
  return new Map(
    builtIns().map(({ id, kind, category, file }) => {
      const trade = file.replace(/^.*\//, '').replace(/\.yaml$/, '');
      return [id, kind === 'credential' ? (TRADES[trade] ?? trade) : kind === 'injection' ? category : kind];
    }),
  );
}

function groupOf(category: string, injections: ReadonlySet<string>): Score['group'] {
  if (category === 'pii' || category === 'financial') return category;
  return injections.has(category) ? 'injection' : 'credential';
}

/** Every sample through the scanner and the weights a collector has without a configuration. */
export function detect(scanning: Scanning = builtInScanning()): Detection {
  const of = categories();
  const phrases = phraseSamples();
  const injections = new Set(phrases.map(({ category }) => category));
  const scores = new Map<string, Score>();
  const scoreOf = (category: string): Score => {
    let score = scores.get(category);
    if (score === undefined) {
      const group = groupOf(category, injections);
      score = { category, group, samples: 0, found: 0, wrong: 0, missed: [], mistaken: [] };
      scores.set(category, score);
    }
    return score;
  };
  const groups = (placed: Placed): Score['group'][] =>
    judged(scanning, placed).map(({ found }) => (found.kind === 'credential' ? 'credential' : found.kind));
  for (const sample of [...credentialSamples(), ...personSamples(), ...phrases]) {
    const score = scoreOf(sample.category);
    score.samples++;
    // What an issuer's key is called matters less than that it is found: any finding of the group counts.
    if (groups(sample).includes(score.group)) score.found++;
    else score.missed.push(`${sample.family} (${sample.form})`);
  }
  const negatives: (Placed & Partial<Sample>)[] = [...credentialNegatives(), ...personNegatives(), ...benignCases()];
  for (const sample of negatives) {
    for (const category of new Set(judged(scanning, sample).map(({ found }) => of.get(found.rule) ?? 'generic'))) {
      const score = scoreOf(category);
      score.wrong++;
      score.mistaken.push(`${sample.family ?? 'benign'} (${sample.form ?? sample.place}): ${sample.text.slice(0, 60)}`);
    }
  }
  return { scores: [...scores.values()], negatives: negatives.length };
}

export function recallOf(scores: readonly Score[]): number {
  const [found, samples] = [sum(scores, 'found'), sum(scores, 'samples')];
  return samples === 0 ? Number.NaN : found / samples;
}

export function precisionOf(scores: readonly Score[]): number {
  const [found, wrong] = [sum(scores, 'found'), sum(scores, 'wrong')];
  return found + wrong === 0 ? Number.NaN : found / (found + wrong);
}

function sum(scores: readonly Score[], key: 'found' | 'samples' | 'wrong'): number {
  return scores.reduce((total, score) => total + score[key], 0);
}

/** Least shares per group that are held by a test. */
export const FLOORS: Readonly<Record<Score['group'], { readonly recall: number; readonly precision: number }>> = {
  credential: { recall: 0.98, precision: 0.99 },
  pii: { recall: 0.95, precision: 0.99 },
  financial: { recall: 0.95, precision: 0.99 },
  injection: { recall: 0.9, precision: 0.97 },
};

/** Lines of the bench's table: groups with their floors, categories for information. */
export function detectionLines({ scores, negatives }: Detection = detect()): Line[] {
  const percent = (what: string, value: number, target: number, note: string): Line => ({
    what,
    value: value * 100,
    unit: '%',
    target: target * 100,
    better: 'higher',
    note,
  });
  return Object.entries(FLOORS).flatMap(([group, floor]) => {
    const mine = scores.filter((score) => score.group === group);
    const counts = `${sum(mine, 'found')} of ${sum(mine, 'samples')} found`;
    const note = `${sum(mine, 'wrong')} of ${negatives} texts without any taken for it`;
    return [
      percent(`${group}: recall`, recallOf(mine), floor.recall, counts),
      percent(`${group}: precision`, precisionOf(mine), floor.precision, note),
      ...mine.map((score) =>
        percent(
          `– ${score.category}`,
          recallOf([score]),
          Number.NaN,
          `precision ${(precisionOf([score]) * 100).toFixed(1)} %, ${score.found} of ${score.samples} found, ${score.wrong} wrong`,
        ),
      ),
    ];
  });
}

/** Prints the table, and puts it between its markers in README.md when `keep` says so. */
export function reportDetection(keep: boolean): void {
  const result = detect();
  const text = table(detectionLines(result), [`${builtIns().length} patterns`, `${result.negatives} negatives`]);
  console.log(`\n${text}`);
  if (!keep) return;
  const file = new URL('README.md', import.meta.url);
  const old = readFileSync(file, 'utf8');
  const [start, end] = ['<!-- detection -->', '<!-- /detection -->'];
  const [from, to] = [old.indexOf(start), old.indexOf(end)];
  if (from < 0 || to < 0) throw new Error('test/bench/README.md has lost the markers of its detection table');
  writeFileSync(file, `${old.slice(0, from + start.length)}\n\n${text}\n${old.slice(to)}`);
}
