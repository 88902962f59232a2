import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createMetrics } from '../../../src/telemetry/metric.ts';
import { prometheusName } from '../../../src/telemetry/prometheus.ts';

interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  fieldConfig?: { defaults: { unit?: string } };
  targets?: { expr: string; datasource: { uid: string } }[];
}

const DIR = join(import.meta.dirname, '../../../dashboards');
const RESERVED = new Set(['by', 'le', 'sum', 'rate', 'increase', 'histogram_quantile']);

for (const file of readdirSync(DIR).filter((name) => name.endsWith('.json'))) {
  const dashboard = JSON.parse(readFileSync(join(DIR, file), 'utf8')) as { uid: string; panels: Panel[] };
  const charts = dashboard.panels.filter((panel) => panel.type !== 'row');

  test(`${file}: every metric and label exists in the code, under its exported name`, () => {
    const known = new Map<string, Set<string>>();
    for (const instrument of createMetrics().instruments) {
      const labels = new Set(instrument.labels.map((label) => label.replace(/[^A-Za-z0-9_]/g, '_')));
      const name = prometheusName(instrument);
      known.set(name, labels);
      if (instrument.kind === 'histogram') {
        for (const suffix of ['bucket', 'sum', 'count']) known.set(`${name}_${suffix}`, new Set([...labels, 'le']));
      }
    }
    for (const { title, targets = [] } of charts) {
      for (const { expr } of targets) {
        const names = [...expr.matchAll(/\b[a-z][a-z0-9_]*_[a-z0-9_]+\b/g)].map(([name]) => name);
        const metrics = names.filter((name) => known.has(name));
        assert.ok(metrics.length > 0, `${title}: no known metric in ${expr}`);
        for (const name of names) {
          const ok = known.has(name) || RESERVED.has(name) || metrics.some((metric) => known.get(metric)?.has(name));
          assert.ok(ok, `${title}: ${name} in ${expr} is neither a metric of ours nor a label of it`);
        }
      }
    }
  });

  test(`${file}: panels have a description, a unit, a data-source variable, and do not overlap`, () => {
    assert.equal(new Set(dashboard.panels.map((panel) => panel.id)).size, dashboard.panels.length);
    const taken = new Set<string>();
    for (const panel of dashboard.panels) {
      const { x, y, w, h } = panel.gridPos;
      assert.ok(x + w <= 24, panel.title);
      for (let i = x; i < x + w; i++) {
        for (let j = y; j < y + h; j++) {
          assert.ok(!taken.has(`${i},${j}`), `${panel.title} overlaps`);
          taken.add(`${i},${j}`);
        }
      }
    }
    for (const panel of charts) {
      assert.ok(panel.description && panel.fieldConfig?.defaults.unit, panel.title);
      for (const target of panel.targets ?? []) assert.equal(target.datasource.uid, '$' + '{ds_prometheus}');
    }
  });
}
