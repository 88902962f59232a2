/** One measured line of product.md §11. A target of NaN = for information. */
export interface Line {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly target: number;
  readonly better: 'lower' | 'higher';
  readonly note: string;
}

function digits(line: Line, value: number): string {
  if (Number.isNaN(value)) return '–';
  const places = line.unit === 'MiB' || line.unit === 'MB/s' || value >= 100 ? 0 : line.unit === 'ms' ? 3 : 2;
  return `${value.toFixed(places)} ${line.unit}`;
}

function verdict(line: Line): string {
  if (Number.isNaN(line.target)) return '';
  const met = line.better === 'lower' ? line.value <= line.target : line.value >= line.target;
  return met ? 'met' : '**missed**';
}

/** A Markdown table, versions below it. */
export function table(lines: readonly Line[], versions: readonly string[]): string {
  const rows = lines.map((line) => {
    const sign = line.better === 'lower' ? '≤' : '≥';
    const target = Number.isNaN(line.target) ? '' : `${sign} ${line.target} ${line.unit}`;
    return `| ${line.what} | ${digits(line, line.value)} | ${target} | ${verdict(line)} | ${line.note} |`;
  });
  return [
    '| what | measured | target | | |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
    `${versions.join(' · ')}`,
  ].join('\n');
}
