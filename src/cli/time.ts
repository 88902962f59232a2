import { InvalidArgumentError } from 'commander';

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** `7d`, `2h`, `30m` before now, or an ISO date, as epoch ms. For commander's argument parsing. */
export function parseTime(text: string, now: number = Date.now()): number {
  const match = /^(\d{1,6})([smhdw])$/.exec(text);
  if (match) return now - Number(match[1]) * (UNIT_MS[match[2] ?? ''] ?? 0);
  const at = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) throw new InvalidArgumentError('Write 7d, 2h, 30m or a date like 2026-11-20.');
  return at;
}

/** A whole number ≥ 1. For commander's argument parsing. */
export function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Write a whole number of at least 1.');
  return Number(text);
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** Local `14:02–14:41`, with the day where it is not that of `now` and with both days where there are two. Epoch ms. */
export function period(from: number, to: number, now: number): string {
  const [a, b, today] = [new Date(from), new Date(to), new Date(now)];
  if (Number.isNaN(a.getTime()) || Number.isNaN(b.getTime())) return '–';
  const oneDay = a.toDateString() === b.toDateString();
  const dated = !oneDay || a.toDateString() !== today.toDateString();
  const dayOf = (d: Date): string => (dated ? `${day(d, today)} ` : '');
  return `${dayOf(a)}${minute(a)}–${oneDay ? '' : dayOf(b)}${minute(b)}`;
}

function day(d: Date, today: Date): string {
  const text = `${d.getDate()} ${MONTHS[d.getMonth()]}`;
  return d.getFullYear() === today.getFullYear() ? text : `${text} ${d.getFullYear()}`;
}

function minute(d: Date): string {
  return `${String(d.getHours()).padStart(2, '0')}:${String(d.getMinutes()).padStart(2, '0')}`;
}

/** `today`, `12 Nov`, `12 Nov 2025` where the year is not that of `now`: in UTC, for what people elsewhere read. Epoch ms. */
export function utcDay(at: number, now: number): string {
  const [d, today] = [new Date(at), new Date(now)];
  if (Number.isNaN(d.getTime())) return '–';
  if (!Number.isNaN(now) && d.toISOString().slice(0, 10) === today.toISOString().slice(0, 10)) return 'today';
  const text = `${d.getUTCDate()} ${MONTHS[d.getUTCMonth()]}`;
  return d.getUTCFullYear() === today.getUTCFullYear() ? text : `${text} ${d.getUTCFullYear()}`;
}
