import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What stands in `dashboards/`: `npm run build:dashboards` writes it, a test holds the files to it. */
const DIRECTORY = join(import.meta.dirname, '../../dashboards');

const AGENT = 'weir_agent=~"$agent"';
type Kind = 'timeseries' | 'stat' | 'bargauge' | 'table' | 'logs' | 'traces';

interface PanelSpec {
  readonly title: string;
  readonly description: string;
  readonly unit: string;
  readonly kind?: Kind;
  /** [expression, legend]. */
  readonly queries: readonly (readonly [string, string])[];
  readonly from?: 'prometheus' | 'tempo' | 'loki';
  /** Of 24. */
  readonly width?: number;
  /** Red above this. */
  readonly red?: number;
}

interface RowSpec {
  readonly title: string;
  readonly panels: readonly PanelSpec[];
}

interface DashboardSpec {
  readonly name: string;
  readonly title: string;
  readonly sources: readonly ('prometheus' | 'tempo' | 'loki')[];
  /** The `$agent` variable is used. */
  readonly byAgent: boolean;
  readonly rows: readonly RowSpec[];
}

const rate = (metric: string, labels = ''): string => `rate(${metric}{${labels}}[$__rate_interval])`;
const increase = (metric: string, labels = ''): string => `increase(${metric}{${labels}}[$__rate_interval])`;
const quantile = (q: number, metric: string, by = '', labels = ''): string =>
  `histogram_quantile(${q}, sum by (le${by === '' ? '' : `, ${by}`}) (${rate(`${metric}_bucket`, labels)}))`;

const OVERVIEW: DashboardSpec = {
  name: 'overview',
  title: 'Weir: overview',
  sources: ['prometheus', 'loki'],
  byAgent: true,
  rows: [
    {
      title: 'Now',
      panels: [
        {
          title: 'Weir is up',
          description: '1 while Weir reports; absent when it does not',
          unit: 'none',
          kind: 'stat',
          width: 4,
          queries: [['max(weir_up)', '']],
        },
        {
          title: 'Requests under way',
          description: 'Exchanges that have begun and not ended',
          unit: 'short',
          kind: 'stat',
          width: 5,
          queries: [['sum(http_client_active_requests)', '']],
        },
        {
          title: 'First contacts, 24 h',
          description: 'Destinations an agent had never used before',
          unit: 'short',
          kind: 'stat',
          width: 5,
          queries: [[`sum(increase(weir_destinations_first_seen_total{${AGENT}}[24h]))`, '']],
        },
        {
          title: 'Would have been blocked, 24 h',
          description: 'What enforce would have stopped',
          unit: 'short',
          kind: 'stat',
          width: 5,
          queries: [[`sum(increase(weir_egress_requests_total{weir_would="block",${AGENT}}[24h]))`, '']],
        },
        {
          title: 'Spans lost, 24 h',
          description: 'Spans given up for good, with a reason each on the health dashboard',
          unit: 'short',
          kind: 'stat',
          width: 5,
          red: 1,
          queries: [['sum(increase(weir_spans_dropped_total[24h]))', '']],
        },
      ],
    },
    {
      title: 'What agents do',
      panels: [
        {
          title: 'Requests per second',
          description: 'Exchanges and tunnels that ended, by agent',
          unit: 'reqps',
          queries: [[`sum by (weir_agent) (${rate('weir_egress_requests_total', AGENT)})`, '{{weir_agent}}']],
        },
        {
          title: 'Bytes out',
          description: 'Body and tunnel bytes towards upstreams, by agent',
          unit: 'Bps',
          queries: [
            [
              `sum by (weir_agent) (${rate('weir_egress_io_bytes_total', `${AGENT},network_io_direction="transmit"`)})`,
              '{{weir_agent}}',
            ],
          ],
        },
        {
          title: 'Share of requests that failed',
          description: 'Failed of all exchanges and tunnels, by agent',
          unit: 'percentunit',
          queries: [
            [
              `sum by (weir_agent) (${rate('weir_egress_requests_total', `${AGENT},weir_outcome="failed"`)}) / sum by (weir_agent) (${rate('weir_egress_requests_total', AGENT)})`,
              '{{weir_agent}}',
            ],
          ],
        },
        {
          title: 'Open tunnels',
          description: 'Tunnels whose content is not read, by agent',
          unit: 'short',
          queries: [[`sum by (weir_agent) (weir_tunnel_active{${AGENT}})`, '{{weir_agent}}']],
        },
        {
          title: 'Duration of requests',
          description: 'Request head to end of response: median and 95th percentile',
          unit: 's',
          queries: [
            [quantile(0.5, 'http_client_request_duration_seconds'), 'p50'],
            [quantile(0.95, 'http_client_request_duration_seconds'), 'p95'],
          ],
        },
        {
          title: 'Answers by status',
          description: 'Status codes upstreams answered with',
          unit: 'reqps',
          queries: [
            [
              `sum by (http_response_status_code) (${rate('http_client_request_duration_seconds_count')})`,
              '{{http_response_status_code}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'Events',
      panels: [
        {
          title: 'Findings, first contacts, audit',
          description: 'Log events of Weir, newest first',
          unit: 'none',
          kind: 'logs',
          from: 'loki',
          width: 24,
          queries: [['{service_name="weir"}', '']],
        },
      ],
    },
  ],
};

const DESTINATIONS: DashboardSpec = {
  name: 'destinations',
  title: 'Weir: destinations',
  sources: ['prometheus', 'tempo'],
  byAgent: true,
  rows: [
    {
      title: 'Where agents go',
      panels: [
        {
          title: 'Busiest hosts',
          description: 'Requests by host; hosts beyond the 200 busiest are one series called other',
          unit: 'reqps',
          kind: 'bargauge',
          width: 12,
          queries: [
            [
              `topk(15, sum by (server_address) (${rate('http_client_request_duration_seconds_count')}))`,
              '{{server_address}}',
            ],
          ],
        },
        {
          title: 'Hosts that fail',
          description: 'Share of requests that ended with an error, by host',
          unit: 'percentunit',
          kind: 'bargauge',
          width: 12,
          queries: [
            [
              `topk(15, sum by (server_address) (${rate('http_client_request_duration_seconds_count', 'error_type!=""')}) / sum by (server_address) (${rate('http_client_request_duration_seconds_count')}))`,
              '{{server_address}}',
            ],
          ],
        },
        {
          title: 'Known destinations',
          description: 'Size of the baseline, by agent',
          unit: 'short',
          queries: [[`max by (weir_agent) (weir_destinations_known{${AGENT}})`, '{{weir_agent}}']],
        },
        {
          title: 'First contacts',
          description: 'Destinations an agent had never used before, by agent',
          unit: 'short',
          queries: [
            [`sum by (weir_agent) (${increase('weir_destinations_first_seen_total', AGENT)})`, '{{weir_agent}}'],
          ],
        },
        {
          title: 'Life of connections',
          description: '95th percentile of how long connections to a host last',
          unit: 's',
          queries: [[quantile(0.95, 'http_client_connection_duration_seconds'), 'p95']],
        },
      ],
    },
    {
      title: 'Never seen before',
      panels: [
        {
          title: 'First contacts, one by one',
          description: 'Spans of first contacts, with their traces (Tempo)',
          unit: 'none',
          kind: 'traces',
          from: 'tempo',
          width: 24,
          queries: [
            [
              '{ span.weir.destination.first_seen = true } | select(span.weir.agent, span.server.address, span.weir.request.body.size, span.weir.verdict)',
              '',
            ],
          ],
        },
      ],
    },
  ],
};

const POLICY: DashboardSpec = {
  name: 'policy',
  title: 'Weir: findings and policy',
  sources: ['prometheus', 'tempo'],
  byAgent: true,
  rows: [
    {
      title: 'What breaks if I enforce',
      panels: [
        {
          title: 'Would be blocked, by rule',
          description: 'Exchanges that were forwarded and enforce would have stopped, by the rule that decides',
          unit: 'short',
          width: 12,
          queries: [
            [
              `sum by (security_rule_name) (${increase('weir_policy_decisions_total', 'weir_would="block"')})`,
              '{{security_rule_name}}',
            ],
          ],
        },
        {
          title: 'Would be blocked, by agent',
          description: 'Share of each agent’s exchanges that enforce would have stopped',
          unit: 'percentunit',
          width: 12,
          queries: [
            [
              `sum by (weir_agent) (${rate('weir_egress_requests_total', `${AGENT},weir_would="block"`)}) / sum by (weir_agent) (${rate('weir_egress_requests_total', AGENT)})`,
              '{{weir_agent}}',
            ],
          ],
        },
        {
          title: 'One by one',
          description: 'Spans that would have been blocked, with their traces (Tempo)',
          unit: 'none',
          kind: 'traces',
          from: 'tempo',
          width: 24,
          queries: [
            [
              '{ span.weir.would_block = true } | select(span.weir.agent, span.server.address, span.weir.finding.rules)',
              '',
            ],
          ],
        },
      ],
    },
    {
      title: 'What was done',
      panels: [
        {
          title: 'Blocked, by rule',
          description: 'Exchanges Weir really stopped',
          unit: 'short',
          queries: [
            [
              `sum by (security_rule_name) (${increase('weir_policy_decisions_total', 'weir_action="block"')})`,
              '{{security_rule_name}}',
            ],
          ],
        },
        {
          title: 'Actions by mode',
          description: 'What was done with exchanges: forward, redact, block',
          unit: 'reqps',
          queries: [
            [
              `sum by (weir_action, weir_mode) (${rate('weir_egress_requests_total', AGENT)})`,
              '{{weir_action}} in {{weir_mode}}',
            ],
          ],
        },
        {
          title: 'Findings, by rule',
          description: 'What inspectors noticed',
          unit: 'short',
          queries: [[`sum by (security_rule_name) (${increase('weir_findings_total')})`, '{{security_rule_name}}']],
        },
        {
          title: 'Findings, by severity',
          description: 'What inspectors noticed, by how bad it is',
          unit: 'short',
          queries: [
            [`sum by (weir_finding_severity) (${increase('weir_findings_total')})`, '{{weir_finding_severity}}'],
          ],
        },
        {
          title: 'Not scanned to the end',
          description: 'Bodies that were not looked at whole (limit, unknown encoding, bomb)',
          unit: 'short',
          queries: [[`sum(${increase('weir_findings_total', 'security_rule_name="unscanned"')})`, 'unscanned']],
        },
      ],
    },
  ],
};

const LLM: DashboardSpec = {
  name: 'llm',
  title: 'Weir: LLM and MCP use',
  sources: ['prometheus'],
  byAgent: true,
  rows: [
    {
      title: 'LLM APIs',
      panels: [
        {
          title: 'Tokens per second, by agent',
          description: 'Tokens in and out as the answers told them',
          unit: 'short',
          queries: [
            [
              `sum by (weir_agent, gen_ai_token_type) (${rate('gen_ai_client_token_usage_sum', AGENT)})`,
              '{{weir_agent}} {{gen_ai_token_type}}',
            ],
          ],
        },
        {
          title: 'Tokens per second, by model',
          description: 'Tokens in and out, by the model asked for',
          unit: 'short',
          queries: [
            [
              `sum by (gen_ai_request_model) (${rate('gen_ai_client_token_usage_sum', AGENT)})`,
              '{{gen_ai_request_model}}',
            ],
          ],
        },
        {
          title: 'Cost per hour',
          description: 'By telemetry.prices_file; empty without one',
          unit: 'currencyUSD',
          queries: [[`3600 * sum by (weir_agent) (${rate('weir_llm_cost_total', AGENT)})`, '{{weir_agent}}']],
        },
        {
          title: 'Calls that failed',
          description: 'Share of calls that ended with an error, such as 429, by provider',
          unit: 'percentunit',
          queries: [
            [
              `sum by (gen_ai_provider_name, error_type) (${rate('gen_ai_client_operation_duration_seconds_count', `${AGENT},error_type!=""`)}) / ignoring(error_type) group_left sum by (gen_ai_provider_name) (${rate('gen_ai_client_operation_duration_seconds_count', AGENT)})`,
              '{{gen_ai_provider_name}} {{error_type}}',
            ],
          ],
        },
        {
          title: 'Time to first chunk',
          description: '95th percentile, by model',
          unit: 's',
          queries: [
            [
              quantile(0.95, 'gen_ai_client_operation_time_to_first_chunk_seconds', 'gen_ai_request_model', AGENT),
              '{{gen_ai_request_model}}',
            ],
          ],
        },
        {
          title: 'Duration of calls',
          description: '95th percentile to the end of the stream, by model',
          unit: 's',
          queries: [
            [
              quantile(0.95, 'gen_ai_client_operation_duration_seconds', 'gen_ai_request_model', AGENT),
              '{{gen_ai_request_model}}',
            ],
          ],
        },
      ],
    },
    {
      title: 'MCP servers',
      panels: [
        {
          title: 'Tool calls',
          description: 'Calls of tools, by name',
          unit: 'short',
          width: 12,
          queries: [
            [
              `sum by (gen_ai_tool_name) (${increase('mcp_client_operation_duration_seconds_count', `${AGENT},mcp_method_name="tools/call"`)})`,
              '{{gen_ai_tool_name}}',
            ],
          ],
        },
        {
          title: 'Messages that failed',
          description: 'Messages that ended with an error of the server or the tool, by method',
          unit: 'short',
          width: 12,
          queries: [
            [
              `sum by (mcp_method_name, error_type) (${increase('mcp_client_operation_duration_seconds_count', `${AGENT},error_type!=""`)})`,
              '{{mcp_method_name}} {{error_type}}',
            ],
          ],
        },
      ],
    },
  ],
};

const HEALTH: DashboardSpec = {
  name: 'health',
  title: 'Weir: proxy health and loss',
  sources: ['prometheus'],
  byAgent: false,
  rows: [
    {
      title: 'The proxy',
      panels: [
        {
          title: 'Overhead',
          description: 'Time Weir itself added before forwarding',
          unit: 's',
          queries: [
            [quantile(0.5, 'weir_proxy_overhead_seconds'), 'p50'],
            [quantile(0.99, 'weir_proxy_overhead_seconds'), 'p99'],
          ],
        },
        {
          title: 'Event-loop delay',
          description: '99th percentile since the last look, by thread',
          unit: 's',
          queries: [['max by (weir_thread) (weir_event_loop_delay_seconds)', '{{weir_thread}}']],
        },
        {
          title: 'Connections',
          description: 'Open connections of agents, and exchanges under way',
          unit: 'short',
          queries: [
            ['sum(http_client_open_connections)', 'connections'],
            ['sum(http_client_active_requests)', 'requests'],
            ['sum(weir_exchanges_open)', 'spans open'],
          ],
        },
      ],
    },
    {
      title: 'Telemetry: nothing is lost unseen',
      panels: [
        {
          title: 'Spans lost',
          description: 'Spans given up for good, by consumer and reason',
          unit: 'short',
          red: 1,
          queries: [
            [
              `sum by (weir_consumer, weir_reason) (${increase('weir_spans_dropped_total')})`,
              '{{weir_consumer}}: {{weir_reason}}',
            ],
          ],
        },
        {
          title: 'Waiting in the journal',
          description: 'Records a consumer has not taken yet; grows while a backend is down',
          unit: 'short',
          queries: [['max by (weir_consumer) (weir_journal_lag)', '{{weir_consumer}}']],
        },
        {
          title: 'Journal',
          description: 'Bytes of journal segments on disk',
          unit: 'bytes',
          queries: [['sum(weir_journal_size_bytes)', 'journal']],
        },
        {
          title: 'Spans begun and taken',
          description: 'Spans begun, and those each consumer of the journal has taken',
          unit: 'cps',
          width: 12,
          queries: [
            [`sum(${rate('weir_spans_started_total')})`, 'begun'],
            [`sum by (weir_consumer) (${rate('weir_spans_accepted_total')})`, '{{weir_consumer}}'],
          ],
        },
        {
          title: 'Thinned on purpose',
          description: 'Spans left out by telemetry.sample',
          unit: 'cps',
          width: 12,
          queries: [[`sum by (weir_consumer) (${rate('weir_spans_sampled_out_total')})`, '{{weir_consumer}}']],
        },
      ],
    },
  ],
};

const DASHBOARDS: readonly DashboardSpec[] = [OVERVIEW, DESTINATIONS, POLICY, LLM, HEALTH];

const source = (kind: string): object => ({ type: kind, uid: `\${ds_${kind}}` });
const LABELS = { prometheus: 'Prometheus', tempo: 'Tempo', loki: 'Loki' } as const;

function variables({ sources, byAgent }: DashboardSpec): object[] {
  const list: object[] = sources.map((kind) => ({
    name: `ds_${kind}`,
    type: 'datasource',
    query: kind,
    label: LABELS[kind],
    current: {},
    hide: 0,
  }));
  if (!byAgent) return list;
  const query = 'label_values(weir_egress_requests_total, weir_agent)';
  list.push({
    name: 'agent',
    type: 'query',
    label: 'Agent',
    datasource: source('prometheus'),
    query: { query, refId: 'A' },
    definition: query,
    includeAll: true,
    multi: true,
    allValue: '.*',
    current: { text: 'All', value: '$__all' },
    refresh: 2,
  });
  return list;
}

function targetOf(spec: PanelSpec, [text, legend]: readonly [string, string], at: number): object {
  const { from = 'prometheus' } = spec;
  const target = { refId: String.fromCharCode(65 + at), datasource: source(from) };
  if (from === 'tempo') return { ...target, queryType: 'traceql', query: text, tableType: 'spans', limit: 100 };
  return { ...target, expr: text.replaceAll('{}', ''), ...(legend === '' ? {} : { legendFormat: legend }) };
}

const HEIGHTS: Readonly<Record<Kind, number>> = {
  stat: 4,
  timeseries: 8,
  bargauge: 10,
  table: 10,
  logs: 10,
  traces: 10,
};

function panelsOf(spec: DashboardSpec): object[] {
  const panels: object[] = [];
  let y = 0;
  for (const row of spec.rows) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y, w: 24, h: 1 },
      panels: [],
    });
    y += 1;
    let x = 0;
    let line = 0;
    for (const panel of row.panels) {
      const { kind = 'timeseries', width = 8 } = panel;
      if (x + width > 24) {
        y += line;
        x = line = 0;
      }
      const gridPos = { x, y, w: width, h: HEIGHTS[kind] };
      panels.push(panelOf(panel, panels.length + 1, gridPos));
      x += width;
      line = Math.max(line, HEIGHTS[kind]);
    }
    y += line;
  }
  return panels;
}

function panelOf(spec: PanelSpec, id: number, gridPos: object): object {
  const { kind = 'timeseries', from = 'prometheus', title, description, unit, red } = spec;
  const steps = [{ color: 'green', value: null }, ...(red === undefined ? [] : [{ color: 'red', value: red }])];
  return {
    id,
    type: kind === 'traces' ? 'table' : kind,
    title,
    description,
    datasource: source(from),
    gridPos,
    fieldConfig: {
      defaults: { unit, ...(red === undefined ? {} : { thresholds: { mode: 'absolute', steps } }) },
      overrides: [],
    },
    options: kind === 'logs' ? { showTime: true, wrapLogMessage: true, sortOrder: 'Descending' } : {},
    targets: spec.queries.map((query, at) => targetOf(spec, query, at)),
  };
}

/** File name → content. */
export function dashboardFiles(): Map<string, string> {
  const links = [
    { type: 'dashboards', tags: ['weir'], title: 'Weir', asDropdown: true, includeVars: true, keepTime: true },
  ];
  return new Map(
    DASHBOARDS.map((spec) => [
      `${spec.name}.json`,
      `${JSON.stringify(
        {
          id: null,
          uid: `weir-${spec.name}`,
          title: spec.title,
          tags: ['weir'],
          timezone: 'browser',
          schemaVersion: 39,
          version: 1,
          refresh: '30s',
          time: { from: 'now-6h', to: 'now' },
          editable: true,
          templating: { list: variables(spec) },
          annotations: { list: [] },
          links,
          panels: panelsOf(spec),
        },
        null,
        2,
      )}\n`,
    ]),
  );
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [name, text] of dashboardFiles()) writeFileSync(join(DIRECTORY, name), text);
}
