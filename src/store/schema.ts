import { EXCHANGES } from './exchange-columns.ts';

/** Column types the store uses. Times are UTC, durations milliseconds, sizes bytes. */
export type ColumnType = 'VARCHAR' | 'INTEGER' | 'BIGINT' | 'DOUBLE' | 'BOOLEAN' | 'TIMESTAMPTZ' | 'VARCHAR[]';

/** One documented column; `key` columns tell the rows apart and are NOT NULL (see `createTable`). */
export interface Column {
  readonly name: string;
  readonly type: ColumnType;
  readonly doc: string;
  readonly key?: boolean;
}

/** One documented table. `time` is the column a day of history is cut by; tables without it are never rolled. */
export interface Table {
  readonly name: TableName;
  readonly doc: string;
  readonly time?: string;
  readonly columns: readonly Column[];
}

export type TableName =
  | 'connections'
  | 'exchanges'
  | 'findings'
  | 'destinations'
  | 'agents'
  | 'accounts'
  | 'audit'
  | 'runs'
  | 'mcp_tools';

/** Raised with every change of the tables below; a migration to it is added to `MIGRATIONS` at the same time. */
export const SCHEMA_VERSION = 3;

/** Rows of `meta`: everything the store must remember about itself, changed in the same transaction as the rows. */
export const META = {
  /** Version of the tables in this file. */
  version: 'schema_version',
  /** Sequence number of the last journal record whose rows are in this file. */
  cursor: 'journal_cursor',
  /** Program that made the file. */
  createdBy: 'created_by',
  /** A history file that is complete on disk and only has to be renamed (see `history.ts`). */
  rolling: 'rolling',
  /** Last wall-clock time (epoch ms) retention believed in. */
  trustedClock: 'trusted_clock_ms',
  /** Time (ms) watched since the clock jumped. */
  clockWatched: 'clock_watched_ms',
  /** Exchange rows given up for `store.max_bytes`. */
  shedBytes: 'shed_max_bytes',
  /** Rows not stored for `store.min_free_bytes`. */
  shedFree: 'shed_min_free_bytes',
} as const;

/** No key, for the reason at `createTable`. */
export const META_DDL = 'CREATE TABLE meta (key VARCHAR NOT NULL, value VARCHAR)';

function column(name: string, type: ColumnType, doc: string): Column {
  return { name, type, doc };
}
function key(name: string, type: ColumnType, doc: string): Column {
  return { name, type, doc, key: true };
}

const CONNECTIONS: readonly Column[] = [
  column('id', 'VARCHAR', 'ULID of the connection'),
  column('opened_at', 'TIMESTAMPTZ', 'Accepted'),
  column('closed_at', 'TIMESTAMPTZ', 'Closed'),
  column('agent', 'VARCHAR', 'Who'),
  column('identified_by', 'VARCHAR', '`token`, `listener`, `source`, `claim` or `default`'),
  column('client_address', 'VARCHAR', 'Address the agent connected from'),
  column('client_port', 'INTEGER', 'Port the agent connected from'),
  column('via', 'VARCHAR', '`absolute-form` or `connect`'),
  column('visibility', 'VARCHAR', '`tunnel`, `intercepted` or `plaintext`'),
  column('scheme', 'VARCHAR', '`http`, `https` or `tcp`'),
  column('host', 'VARCHAR', 'Normalised host'),
  column('port', 'INTEGER', 'Port'),
  column('sni', 'VARCHAR', 'TLS server name sent by the agent'),
  column('alpn', 'VARCHAR', 'ALPN of the agent-side TLS'),
  column('ja4', 'VARCHAR', 'JA4 fingerprint of the ClientHello'),
  column('tls_version', 'VARCHAR', 'TLS version'),
  column('tunnel_protocol', 'VARCHAR', 'Protocol inside an opaque tunnel'),
  column('interception_skipped', 'VARCHAR', 'Why TLS was not intercepted although configured'),
  column('exchanges', 'INTEGER', 'Exchanges it carried'),
  column('close_reason', 'VARCHAR', 'Who or what ended it'),
  column('run_id', 'VARCHAR', 'Row in `runs`: the `weir run` it belongs to'),
];

const FINDINGS: readonly Column[] = [
  column('id', 'VARCHAR', 'ULID of the event, or exchange id, kind and number'),
  column('exchange_id', 'VARCHAR', 'Exchange it was found in; NULL when in none'),
  column('connection_id', 'VARCHAR', 'Connection it was found on'),
  column('kind', 'VARCHAR', '`exchange`, `connect`, `tunnel` or `event`'),
  column('occurred_at', 'TIMESTAMPTZ', 'When'),
  column('agent', 'VARCHAR', 'Who'),
  column('host', 'VARCHAR', 'Destination host'),
  column('port', 'INTEGER', 'Destination port'),
  column('inspector', 'VARCHAR', 'Inspector that noticed it'),
  column('rule', 'VARCHAR', 'Stable rule id'),
  column('severity', 'VARCHAR', '`info`, `low`, `medium`, `high` or `critical`'),
  column('disposition', 'VARCHAR', 'What it asked for: `allow`, `flag`, `redact` or `block`'),
  column('message', 'VARCHAR', 'One sentence for people'),
  column('action', 'VARCHAR', 'What was done with the exchange; NULL when in none'),
  column('run_id', 'VARCHAR', 'Row in `runs`: the `weir run` it belongs to'),
  column('program', 'VARCHAR', '`direct-connection`: the program that connected past Weir'),
  column('count', 'INTEGER', '`direct-connection`: sockets seen'),
];

const DESTINATIONS: readonly Column[] = [
  key('agent', 'VARCHAR', 'Who'),
  key('host', 'VARCHAR', 'Normalised host'),
  key('port', 'INTEGER', 'Port'),
  column('first_seen', 'TIMESTAMPTZ', 'First exchange that taught it'),
  column('last_seen', 'TIMESTAMPTZ', 'Last exchange that taught it'),
  column('count', 'BIGINT', 'Exchanges and tunnels that taught it'),
  column('request_bytes', 'BIGINT', 'Sum of bytes out'),
  column('response_bytes', 'BIGINT', 'Sum of bytes in'),
  column('methods', 'VARCHAR[]', 'Methods used, sorted, at most 32'),
  column('status', 'VARCHAR', '`learned`, `accepted` or `ignored`'),
  column(
    'path_shapes',
    'VARCHAR[]',
    'What its paths look like, identifiers left out: `/v1/users/*`; sorted, at most 32 of 80 characters',
  ),
  column('hours', 'INTEGER', 'Bit n: used in the hour n of some day (UTC)'),
];

const AGENTS: readonly Column[] = [
  key('agent', 'VARCHAR', 'Who'),
  column('first_seen', 'TIMESTAMPTZ', 'First exchange that taught anything'),
  column('last_seen', 'TIMESTAMPTZ', 'Last exchange that taught anything'),
  column('requests', 'BIGINT', 'Exchanges and tunnels that taught something'),
  column('last_new_at', 'TIMESTAMPTZ', 'Last time a destination was new'),
  column('locked', 'BOOLEAN', 'The baseline learns no more'),
];

const ACCOUNTS: readonly Column[] = [
  key('agent', 'VARCHAR', 'Who'),
  key('place', 'VARCHAR', '`credential`: the host; `tenant`: the service, e.g. `github.com`'),
  key('kind', 'VARCHAR', '`credential` (used there) or `tenant` (written to)'),
  key('value', 'VARCHAR', '`credential_fp` or `tenant` as in `exchanges`'),
  column('first_seen', 'TIMESTAMPTZ', 'First exchange that taught it'),
  column('last_seen', 'TIMESTAMPTZ', 'Last exchange that taught it'),
  column('count', 'BIGINT', 'Exchanges that taught it'),
];

const AUDIT: readonly Column[] = [
  column('id', 'VARCHAR', 'ULID of the event'),
  column('occurred_at', 'TIMESTAMPTZ', 'When'),
  column('actor', 'VARCHAR', 'Who asked for it'),
  column('agent', 'VARCHAR', 'Agent it concerns'),
  column('rule', 'VARCHAR', 'What was done'),
  column('severity', 'VARCHAR', '`info`, `low`, `medium`, `high` or `critical`'),
  column('message', 'VARCHAR', 'One sentence for people'),
  column('host', 'VARCHAR', 'Destination it concerns'),
  column('port', 'INTEGER', 'Port it concerns'),
];

const RUNS: readonly Column[] = [
  column('id', 'VARCHAR', 'ULID of the run'),
  column('ref', 'VARCHAR', 'Last 10 characters of `id`, what people quote'),
  column('trace_id', 'VARCHAR', 'OpenTelemetry trace'),
  column('span_id', 'VARCHAR', 'OpenTelemetry span'),
  column('started_at', 'TIMESTAMPTZ', 'When it began'),
  column('ended_at', 'TIMESTAMPTZ', 'When it ended'),
  column('agent', 'VARCHAR', 'Who'),
  column('program', 'VARCHAR', 'Base name of the command'),
  column('mode', 'VARCHAR', '`monitor`, `redact` or `enforce`'),
  column('containment', 'VARCHAR', '`cooperative`, `separate-user` or `network`'),
  column('exit_code', 'INTEGER', 'Exit code of the command; NULL when a signal ended it'),
  column('exit_signal', 'VARCHAR', 'Signal that ended the command'),
  column('abandoned', 'BOOLEAN', '`weir run` ended without saying how the command did'),
  column('restarts', 'INTEGER', 'Times the collector died during it and was started again'),
  column('direct_watched', 'BOOLEAN', 'The sockets of the command and its children were sampled'),
  column('direct_connections', 'INTEGER', 'Sockets seen that went past Weir (findings `direct-connection`)'),
];

const MCP_TOOLS: readonly Column[] = [
  key('agent', 'VARCHAR', 'Who'),
  key('host', 'VARCHAR', 'Host of the MCP server'),
  key('port', 'INTEGER', 'Port of the MCP server'),
  key('tool', 'VARCHAR', 'Name of the tool'),
  column('first_seen', 'TIMESTAMPTZ', 'First time it was listed or called'),
  column('last_seen', 'TIMESTAMPTZ', 'Last time it was listed or called'),
  column('listed_at', 'TIMESTAMPTZ', 'Last time the server offered it; NULL = only ever called'),
  column('calls', 'BIGINT', 'Calls'),
  column('errors', 'BIGINT', 'Calls that ended with an error of the server or the tool'),
];

/** Every table of the file, in the order of the documentation. */
export const TABLES: readonly Table[] = [
  {
    name: 'connections',
    doc: 'One agent-side transport to one destination.',
    time: 'opened_at',
    columns: CONNECTIONS,
  },
  {
    name: 'exchanges',
    doc: 'One request and its response, one tunnel, or a CONNECT that carried nothing.',
    time: 'started_at',
    columns: EXCHANGES,
  },
  { name: 'findings', doc: 'What inspectors noticed.', time: 'occurred_at', columns: FINDINGS },
  { name: 'destinations', doc: 'What is learned of each (agent, host, port).', columns: DESTINATIONS },
  { name: 'agents', doc: 'What is learned of each agent.', columns: AGENTS },
  {
    name: 'accounts',
    doc: 'Whose account each agent uses: at most 64 values of a kind at one place, at most 10,000 places per agent.',
    columns: ACCOUNTS,
  },
  { name: 'audit', doc: 'What people changed.', time: 'occurred_at', columns: AUDIT },
  { name: 'runs', doc: 'One `weir run`, when it has ended.', time: 'started_at', columns: RUNS },
  { name: 'mcp_tools', doc: 'Tools MCP servers offered and agents called, at most 20,000.', columns: MCP_TOOLS },
];

/** Throws for a name that is not a table: a bug, never input. */
export function table(name: TableName): Table {
  const found = TABLES.find((t) => t.name === name);
  if (found === undefined) throw new Error(`no table ${name}`);
  return found;
}

/**
 * `CREATE TABLE` of one table, without PRIMARY KEY: when the log cannot be flushed (a full disk), DuckDB 1.5 undoes the
 * commit in a `noexcept` function that puts deleted keys back into the index before it takes new ones out. A key that was
 * deleted and inserted in that transaction (any UPDATE of a list does so) throws there, and the process is aborted.
 */
export function createTable(t: Table): string {
  const columns = t.columns.map((c) => `"${c.name}" ${c.type}${c.key ? ' NOT NULL' : ''}`);
  return `CREATE TABLE "${t.name}" (${columns.join(', ')})`;
}

/** A query with the table's columns and types and no rows: what views stand on when there is nothing else. */
export function emptySelect(t: Table): string {
  return `SELECT ${t.columns.map((c) => `NULL::${c.type} AS "${c.name}"`).join(', ')} WHERE false`;
}

/** Quoted column list of a table, for SELECT and INSERT. */
export function columnList(t: Table): string {
  return t.columns.map((c) => `"${c.name}"`).join(', ');
}

/** The schema as the Markdown that stands in the documentation (a test compares both). */
export function schemaMarkdown(): string {
  const parts = TABLES.map((t) => {
    const rows = t.columns.map((c) => `| \`${c.name}\`${c.key ? ' (key)' : ''} | ${c.type} | ${c.doc} |`);
    return [`### \`${t.name}\``, '', t.doc, '', '| column | type | meaning |', '| --- | --- | --- |', ...rows].join(
      '\n',
    );
  });
  return `${parts.join('\n\n')}\n`;
}
