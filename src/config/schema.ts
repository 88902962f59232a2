import * as z from 'zod';
import { notify, policies } from './asked-and-told.ts';
import {
  agentConfig,
  agentName,
  bytes,
  count,
  destinationList,
  dispositions,
  hostGlob,
  listenEntry,
  mode,
  nullable,
  path,
  suppressEntry,
  value,
} from './entries.ts';
import { AGENT_KEY, parseCidr, parseHostGlob, parseHostPort, parseHttpUrl, parseProxyUrl } from './values.ts';

const day = 24 * 3600 * 1000;
const listen = z
  .union([listenEntry, z.array(listenEntry).min(1)])
  .transform((v) => (Array.isArray(v) ? v : [v]))
  .prefault(['127.0.0.1:8080', '[::1]:8080']);

const intercept = z
  .union([
    z.enum(['none', 'all']),
    z.strictObject({ only: z.array(hostGlob).min(1) }),
    z.strictObject({ except: z.array(hostGlob).min(1) }),
  ])
  .default('none');

const telemetry = z.strictObject({
  endpoint: z
    .union([z.enum(['auto', 'none']), value(parseHttpUrl)])
    .default('auto')
    .meta({
      description: 'OTLP/HTTP base URL; auto = OTEL_EXPORTER_OTLP_*, else 127.0.0.1:4318 if something answers there',
    }),
  dialects: z.array(z.enum(['otel', 'strathon', 'openinference', 'langfuse'])).default(['otel']),
  url: z.enum(['keys', 'full', 'host']).default('keys').meta({ description: 'how much of a URL is kept' }),
  sample: z
    .strictObject({
      unremarkable: z
        .number()
        .min(0)
        .max(1)
        .default(1)
        .meta({ description: 'share of spans of known, unflagged exchanges' }),
    })
    .prefault({}),
  journal: z
    .strictObject({
      max_bytes: z
        .int()
        .min(1_048_576)
        .default(8_589_934_592)
        .meta({ description: 'bytes; beyond it ordinary records go first, oldest before newer' }),
    })
    .prefault({}),
  genai: z
    .enum(['auto', 'on', 'off'])
    .default('auto')
    .meta({ description: 'gen_ai.* attributes on recognised LLM requests' }),
  content: z
    .enum(['off', 'on'])
    .default('off')
    .meta({ description: 'prompts and completions of LLM calls on spans, secrets redacted' }),
  proxy: z
    .union([z.enum(['none', 'inherit']), z.url({ protocol: /^http$/ })])
    .default('none')
    .meta({
      description: 'proxy telemetry goes through: none | inherit (HTTPS_PROXY of Weir itself) | http://host:port',
    }),
  prices_file: nullable(path).meta({ description: 'USD per million tokens by model; without it no cost is told' }),
});

const store = z.strictObject({
  path: path.default('weir.duckdb').meta({ description: 'DuckDB file, relative to state_dir' }),
  retention_days: z.int().min(1).default(30).meta({ description: 'days' }),
  flush_ms: z.int().min(10).max(60_000).default(250).meta({ description: 'milliseconds between appends' }),
  max_bytes: bytes.default(2_147_483_648).meta({ description: 'bytes; 0 = no cap' }),
  min_free_bytes: bytes.default(1_073_741_824).meta({ description: 'bytes of free disk below which rows are shed' }),
  required: z.boolean().default(false).meta({ description: 'refuse traffic that cannot be recorded' }),
});

const upstream = z.strictObject({
  resolve: z
    .record(hostGlobKey(), value(parseHostPortOrAddress))
    .default({})
    .transform((map): ReadonlyMap<string, string> => new Map(Object.entries(map)))
    .meta({ description: 'host (glob) → address or address:port; the operator’s word, exempt from the address guard' }),
  ca_file: nullable(path).meta({ description: 'PEM file of extra roots trusted upstream' }),
  proxy: z
    .union([z.enum(['inherit', 'none']), value(parseProxyUrl)])
    .default('inherit')
    .meta({ description: 'parent proxy; inherit = HTTP_PROXY and HTTPS_PROXY of Weir’s own environment' }),
});

function hostGlobKey() {
  return z.string().refine(
    (key) => {
      try {
        // A whole top-level domain (`*.internal`, `*.test`) is fine here: split DNS widens no rule.
        parseHostGlob(key.startsWith('*.') ? key.slice(2) : key);
        return !key.startsWith('@');
      } catch {
        return false;
      }
    },
    { error: 'is not a host or a glob like *.example.org' },
  );
}

function parseHostPortOrAddress(text: string): string {
  const at = /:\d+$/.test(text) && !/^[^[]*:.*:/.test(text) ? text : `${text.includes(':') ? `[${text}]` : text}:0`;
  parseHostPort(at);
  return text;
}

const baseline = z.strictObject({
  ready_after_requests: count.default(200),
  ready_after_hours: z.number().min(0).default(24).meta({ description: 'hours without a new destination' }),
  learning_max_days: z.number().min(0).default(7).meta({ description: 'days; then ready whatever happens' }),
  on_unknown: z
    .enum(['flag', 'block'])
    .default('flag')
    .meta({ description: 'disposition of a never-seen destination once ready' }),
  seed: nullable(path).meta({ description: 'file of weir baseline export that new agents start from' }),
});

const patterns = z.strictObject({
  directories: z.array(path).default([]),
  disable: z.array(z.string().min(1)).default([]).meta({ description: 'pattern ids' }),
  secrets_file: nullable(path).meta({ description: 'file with one secret of your own per line' }),
  secrets_env: z.array(z.string().min(1)).default([]).meta({ description: 'names of variables that hold secrets' }),
  env_secrets: z
    .enum(['run', 'off'])
    .default('run')
    .meta({ description: 'secret-looking variables of the child of weir run' }),
});

const body = z.strictObject({
  scan_bytes: bytes.default(0).meta({ description: 'bytes; 0 = the whole stream' }),
  decoded_bytes: bytes.default(67_108_864).meta({ description: 'bytes after decoding' }),
  decode_ratio: z.int().min(1).default(100),
  decode_depth: z.int().min(0).max(16).default(3),
  candidates: count.default(2000),
  seconds_per_minute: z
    .number()
    .min(0)
    .max(60)
    .default(20)
    .meta({ description: 'CPU seconds of scanning per minute and agent' }),
  on_unscanned: z.enum(['auto', 'flag', 'block']).default('auto'),
});

const scan = z.strictObject({
  ...dispositions,
  destinations: z
    .array(z.strictObject({ hosts: z.array(hostGlob).min(1), ...dispositions }))
    .default([])
    .meta({
      description: 'the same by destination; the first entry that names the host counts, agents stand before it',
    }),
  suppress: z.array(suppressEntry).default([]).meta({
    description:
      'finds that are known and accepted: all that an entry names must agree; they are counted (weir status)',
  }),
});

const limits = z.strictObject({
  connections: z.int().min(1).default(10_000),
  connections_per_agent: z.int().min(1).default(2000),
  streams_per_connection: z.int().min(1).default(250),
  head_bytes: z.int().min(1024).max(16_777_216).default(262_144),
  headers: z.int().min(1).default(1000).meta({ description: 'fields per head' }),
  client_hello_ms: z.int().min(1).max(day).default(10_000),
  head_ms: z.int().min(1).max(day).default(60_000),
  connect_ms: z.int().min(1).max(day).default(30_000),
  keepalive_s: z.int().min(1).max(86_400).default(75),
  tunnel_idle_s: z.int().min(0).default(0).meta({ description: 'seconds; 0 = never' }),
  drain_s: z.int().min(0).max(3600).default(25),
  agents: z.int().min(1).default(1000),
  destinations_per_agent: z.int().min(1).default(10_000),
  spans_per_trace_hour: z.int().min(1).default(1000),
  held_bytes: z.int().min(65_536).default(268_435_456).meta({
    description:
      'bytes that HTTP/2 streams hold for slow readers, all connections together: from half of it their windows shrink, at it new streams are refused. HTTP/1 and tunnels are not counted: each direction holds one read and waits. The same again for bodies that redact and enforce hold whole: what finds no room there goes on while it comes, and what is decoded beyond it is unscanned',
  }),
});

const destinations = z.strictObject({
  allowed: destinationList.meta({ description: 'empty everywhere = everything' }),
  blocked: destinationList.meta({ description: 'always wins' }),
  internal: destinationList.meta({ description: 'private addresses that may be reached' }),
});

const agents = z
  .record(
    z.string().regex(AGENT_KEY, 'is not an agent name or glob: letters, digits, . _ - and *, at most 63'),
    agentConfig.nullable().transform((v) => v ?? agentConfig.parse({})),
  )
  .default({})
  .transform((map): ReadonlyMap<string, AgentConfig> => new Map(Object.entries(map)));

/** The configuration contract of product.md §10: one schema for types, defaults, validation, JSON Schema and the reference. */
export const configSchema = z.strictObject({
  mode: mode
    .default('monitor')
    .meta({ description: 'monitor | redact | enforce: the ceiling on what is done about a verdict' }),
  listen: listen.meta({ description: 'host:port, a list of them, or {address, agent, tls: {cert, key, client_ca}}' }),
  allow_from: z
    .union([z.enum(['local-networks']), z.array(z.union([z.enum(['local-networks']), value(parseCidr)]))])
    .transform((v): readonly string[] => (Array.isArray(v) ? v : [v]))
    .prefault([])
    .meta({ description: 'who may use a non-loopback listener: CIDRs or local-networks' }),
  identify: z
    .enum(['optional', 'required'])
    .default('optional')
    .meta({ description: 'required: 407 without evidence' }),
  admin: z
    .strictObject({
      listen: nullable(value(parseHostPort)).meta({ description: 'TCP address of the token-protected admin API' }),
    })
    .prefault({}),
  health: z
    .strictObject({
      listen: nullable(value(parseHostPort)).meta({ description: '/healthz /readyz /metrics only, no token' }),
    })
    .prefault({}),
  state_dir: path
    .default('~/.local/state/weir')
    .meta({ description: 'database, CA, journal, socket; $XDG_STATE_HOME/weir if that is set' }),
  agent: agentName.default('default').meta({ description: 'name of an agent that gives no evidence' }),
  intercept: intercept.meta({ description: 'none | all | {only: [hosts, "@llm"]} | {except: [hosts]}' }),
  tls: z
    .strictObject({
      on_unverifiable: z.enum(['block', 'tunnel']).default('block').meta({ description: 'enforce only' }),
    })
    .prefault({}),
  tunnel: z.strictObject({ on_ech: z.enum(['allow', 'flag', 'block']).default('flag') }).prefault({}),
  telemetry: telemetry.prefault({}),
  store: store.prefault({}),
  upstream: upstream.prefault({}),
  destinations: destinations.prefault({}),
  agents_dir: nullable(path).meta({ description: 'directory of <agent>.yaml files merged into agents' }),
  agents: agents.meta({ description: 'per agent (or glob) settings' }),
  baseline: baseline.prefault({}),
  patterns: patterns.prefault({}),
  policies: policies.prefault({}),
  scan: scan.prefault({}),
  body: body.prefault({}),
  notify,
  limits: limits.prefault({}),
});

/** Settings of one `agents:` entry. */
export type AgentConfig = z.output<typeof agentConfig>;
/** The validated configuration, names as in the file, defaults filled in, null as undefined. `state_dir` is absolute after load. */
export type Config = z.output<typeof configSchema>;
/** What a person writes: every key optional. */
export type ConfigInput = z.input<typeof configSchema>;
