import { type Month, simulateMonth } from './month.ts';
import type { Line } from './report.ts';

/** A simulated month of ten agents: what was told although nothing was wrong, and what was found of what was. */
export function monthLines(): readonly Line[] {
  const months = [1, 2, 3].map((seed) => simulateMonth({ seed, days: 30, share: 1 }));
  const worst = months.reduce((a, b) => (b.worstPerWeek > a.worstPerWeek ? b : a));
  const poorest = months.reduce((a, b) => (part(b) < part(a) ? b : a));
  return [
    {
      what: 'simulated month, false alarms a week, noisiest agent',
      value: worst.worstPerWeek,
      unit: '',
      target: 1,
      better: 'lower',
      note: `${worst.alarms} of ten agents in ${worst.exchanges} exchanges (${counts(worst.byRule)}); ${worst.notesPerWeek.toFixed(0)} notes of severity info a week and agent`,
    },
    {
      what: 'simulated month, planted anomalies found',
      value: part(poorest) * 100,
      unit: '%',
      target: 95,
      better: 'higher',
      note: `${poorest.found} of ${poorest.planted}; missed: ${counts(poorest.missed)}`,
    },
  ];
}

function part({ found, planted }: Month): number {
  return found / planted;
}

function counts(of: Readonly<Record<string, number>>): string {
  return Object.entries(of)
    .map(([rule, count]) => `${rule} ${count}`)
    .join(', ');
}
