import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { dashboardFiles } from '../../support/dashboards.ts';

const DIR = join(import.meta.dirname, '../../../dashboards');
const readme = readFileSync(join(DIR, 'README.md'), 'utf8');

test('dashboards/README.md has every dashboard with the data sources it asks', () => {
  const rows = [...readme.matchAll(/^\| `([\w-]+\.json)` \| (.+?) \| .* \| (.+?) \|$/gm)];
  const real = [...dashboardFiles()].map(([file, text]) => {
    const { title, templating } = JSON.parse(text) as {
      title: string;
      templating: { list: { type: string; query: unknown }[] };
    };
    const asked = templating.list.filter(({ type }) => type === 'datasource').map(({ query }) => String(query));
    return [file, title, asked.sort().join(', ')];
  });
  assert.deepEqual(
    rows.map(([, file, title, asked = '']) => [file, title, asked.toLowerCase().split(', ').sort().join(', ')]).sort(),
    real.sort(),
  );
});

test('and every alert, no other', () => {
  const { groups } = parse(readFileSync(join(DIR, 'alerts.yaml'), 'utf8')) as {
    groups: { rules: { alert: string }[] }[];
  };
  assert.deepEqual(
    [...readme.matchAll(/^\| `(Weir\w+)` \|/gm)].map(([, name]) => name).sort(),
    groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)).sort(),
  );
});
