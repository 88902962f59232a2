import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parser as logql } from '@grafana/lezer-logql';
import { parser as traceql } from '@grafana/lezer-traceql';
import { parser as promql } from '@prometheus-io/lezer-promql';
import { parse } from 'yaml';
import { createMetrics } from '../../../src/telemetry/metric.ts';
import { prometheusName } from '../../../src/telemetry/prometheus.ts';
import { ATTR } from '../../../src/telemetry/semconv.ts';
import { dashboardFiles } from '../../support/dashboards.ts';

interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  fieldConfig?: { defaults: { unit?: string } };
  targets?: { expr?: string; query?: string; datasource: { type: string; uid: string } }[];
}
interface Dashboard {
  uid: string;
  schemaVersion: number;
  panels: Panel[];
  templating: { list: { name: string; type: string; query: unknown }[] };
}

const DIR = join(import.meta.dirname, '../../../dashboards');
const RESERVED = new Set(
  'by le sum rate increase histogram_quantile max topk and or unless ignoring on group_left absent for'.split(' '),
);

/** Exported metric name → its labels. */
function known(): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>();
  for (const instrument of createMetrics().instruments) {
    const labels = new Set(instrument.labels.map((label) => label.replace(/[^A-Za-z0-9_]/g, '_')));
    const name = prometheusName(instrument);
    names.set(name, labels);
    if (instrument.kind !== 'histogram') continue;
    for (const suffix of ['bucket', 'sum', 'count']) names.set(`${name}_${suffix}`, new Set([...labels, 'le']));
  }
  return names;
}

/** Grafana's variables as what they become. */
const filled = (text: string): string => text.replaceAll('$__rate_interval', '5m').replaceAll('$agent', '.*');

function assertParses(tree: ReturnType<typeof promql.parse>, text: string, where: string): void {
  tree.iterate({ enter: ({ type, from }) => assert.ok(!type.isError, `${where}: ${text} at ${from}`) });
}

/** Every word of an expression that is no function is a metric of ours or a label of one in it. */
function assertNames(expr: string, where: string): void {
  const metrics = known();
  const bare = expr.replaceAll(/"[^"]*"/g, '""').replaceAll(/\[[^\]]*\]/g, '');
  const words = [...bare.matchAll(/\b[a-z][a-z0-9_]+\b/g)].map(([word]) => word).filter((word) => !RESERVED.has(word));
  const named = words.filter((word) => metrics.has(word));
  assert.ok(named.length > 0, `${where}: no metric of ours in ${expr}`);
  for (const word of words) {
    const ok = metrics.has(word) || named.some((metric) => metrics.get(metric)?.has(word));
    assert.ok(ok, `${where}: ${word} in ${expr} is neither a metric of ours nor a label of it`);
  }
}

test('the files are what npm run build:dashboards writes', () => {
  const files = dashboardFiles();
  assert.deepEqual(
    readdirSync(DIR)
      .filter((name) => name.endsWith('.json'))
      .sort(),
    [...files.keys()].sort(),
  );
  for (const [name, text] of files) assert.equal(readFileSync(join(DIR, name), 'utf8'), text, name);
});

const uids = new Set<string>();
for (const [file, text] of dashboardFiles()) {
  const dashboard = JSON.parse(text) as Dashboard;
  const charts = dashboard.panels.filter((panel) => panel.type !== 'row');
  const targets = charts.flatMap(({ title, targets: all = [] }) => all.map((target) => ({ title, ...target })));

  test(`${file}: every expression parses, every metric, label and attribute exists in the code`, () => {
    const attributes = new Set<string>(Object.values(ATTR));
    for (const { title, datasource, expr, query } of targets) {
      if (datasource.type === 'prometheus') {
        assertParses(promql.parse(filled(expr as string)), expr as string, title);
        assertNames(filled(expr as string), title);
      } else if (datasource.type === 'loki') assertParses(logql.parse(expr as string), expr as string, title);
      else {
        assertParses(traceql.parse(query as string), query as string, title);
        for (const [, name] of (query as string).matchAll(/span\.([a-z0-9_.]+)/g))
          assert.ok(attributes.has(name as string), `${title}: ${name}`);
      }
    }
  });

  test(`${file}: panels have a description, a unit, a data-source variable, and do not overlap`, () => {
    assert.ok(!uids.has(dashboard.uid));
    uids.add(dashboard.uid);
    assert.ok(dashboard.schemaVersion <= 42);
    const variables = dashboard.templating.list.map(({ name }) => name);
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
    for (const panel of charts) assert.ok(panel.description && panel.fieldConfig?.defaults.unit, panel.title);
    for (const { title, datasource } of targets) {
      assert.equal(datasource.uid, `\${ds_${datasource.type}}`, title);
      assert.ok(variables.includes(`ds_${datasource.type}`), title);
    }
    // Variables that are there are used.
    for (const name of variables) assert.ok(text.includes(`$${name}`) || text.includes(`\${${name}}`), name);
  });
}

test('alert rules: names exist, everybody says what to do', () => {
  const { groups } = parse(readFileSync(join(DIR, 'alerts.yaml'), 'utf8')) as {
    groups: {
      rules: { alert: string; expr: string; annotations: Record<string, string>; labels: Record<string, string> }[];
    }[];
  };
  const rules = groups.flatMap((group) => group.rules);
  assert.ok(rules.length >= 8);
  for (const { alert, expr, annotations, labels } of rules) {
    assertParses(promql.parse(expr), expr, alert);
    assertNames(expr, alert);
    assert.ok(annotations['summary'] && annotations['description'] && labels['severity'], alert);
  }
});

test('provisioning: the dashboards’ data sources are there', () => {
  const provisioned = (name: string): Record<string, Record<string, unknown>[]> =>
    parse(readFileSync(join(DIR, 'provisioning', name, 'weir.yaml'), 'utf8')) as never;
  const types = provisioned('datasources')['datasources']?.map(({ type }) => type);
  assert.deepEqual(types, ['prometheus', 'tempo', 'loki']);
  assert.equal(provisioned('dashboards')['providers']?.[0]?.['type'], 'file');
});
