import { Context } from './cel-context.ts';
import { type Result, Unread, type Value } from './cel-value.ts';
import { NEEDS_CONTENT, READABLE, TUNNEL_NAME } from './vocabulary.ts';

/** Cells of one row of `exchanges` by column; those that `columnsOf` did not ask for may be missing. Times in ms since 1970. */
export type StoredCells = Readonly<Record<string, unknown>>;

/** Columns every context needs. */
export const ALWAYS_READ: readonly string[] = ['kind', 'agent', 'method', 'scheme', 'host', 'port'];

interface Stored {
  readonly columns: readonly string[];
  /** As the request had it; undefined = it had none; Unread = the row does not tell. */
  read(row: StoredCells): Value | Unread | undefined;
}

const NOT_STORED = new Unread();
/**
 * What the record leaves in a text it had to change (record/presentable.ts): cut or hidden, redacted, made visible; and where
 * userinfo may have been taken out of a URL nothing is left to see.
 */
const CHANGED = /…|_REDACTED\]|<U\+[0-9A-F]{4,6}>|:\/\/|redacted-[0-9a-f]{6}/;

function text(value: unknown): string | Unread | undefined {
  if (typeof value !== 'string') return undefined;
  return CHANGED.test(value) ? NOT_STORED : value;
}

const cell = (column: string): Stored => ({ columns: [column], read: (row) => text(row[column]) });
const constant = (value: Value): Stored => ({ columns: [], read: () => value });
const isTunnel = ({ kind }: StoredCells): boolean => kind !== 'exchange';

/** Known when a request is judged; of a CONNECT it may have become known only afterwards. */
const early = ({ columns, read }: Stored): Stored => ({
  columns,
  read(row) {
    const value = read(row);
    return value !== undefined && isTunnel(row) ? NOT_STORED : value;
  },
});

/** Set, or not, at a time that is not known. */
const sometime = (column: string): Stored => ({
  columns: [column],
  read: (row) => (typeof row[column] === 'string' ? NOT_STORED : undefined),
});

/** Only where the request itself was seen. */
const ofContent = ({ columns, read }: Stored): Stored => ({
  columns,
  read: (row) => (isTunnel(row) ? undefined : read(row)),
});

/** Of calls of LLM APIs; `llm_call`: whether it was one, undefined = that cannot be told. */
const said = ofContent({
  columns: ['path', 'content_type'],
  read: (row) => (row['llm_call'] === false ? undefined : NOT_STORED),
});
const SAID_IN_CALLS = [
  'gen_ai.prompt',
  'gen_ai.request.model',
  'gen_ai.provider.name',
  'gen_ai.operation.name',
  'gen_ai.completion',
] as const;

const name: Stored = {
  columns: [],
  read(row) {
    if (isTunnel(row)) return TUNNEL_NAME;
    const method = text(row['method']);
    return typeof method === 'string' ? `http.${method.toLowerCase()}` : NOT_STORED;
  },
};

const DEFAULT_PORT: Readonly<Record<string, number>> = { http: 80, https: 443 };

function scheme(row: StoredCells): string | undefined {
  const value = row['scheme'];
  return isTunnel(row) || value === 'tcp' || typeof value !== 'string' ? undefined : value;
}

/** `scheme://host[:port]` as `factsOf` makes it. */
function originOf(row: StoredCells): string | Unread {
  const host = text(row['host']);
  if (typeof host !== 'string') return NOT_STORED;
  const used = scheme(row) ?? 'https';
  const port = Number(row['port']);
  return `${used}://${host.includes(':') ? `[${host}]` : host}${port === DEFAULT_PORT[used] ? '' : `:${port}`}`;
}

interface Target {
  /** Unread = the record changed it, or keeps none. */
  readonly path: string | Unread;
  /** What follows the question mark, `…` where something is missing; undefined = there is none; Unread = not known. */
  readonly query: string | Unread | undefined;
}

function targetOf(row: StoredCells): Target {
  const stored = row['path'];
  if (isTunnel(row) || stored === '' || stored === '*') return { path: '/', query: undefined };
  if (typeof stored !== 'string' || row['path_kept'] === false) return { path: NOT_STORED, query: NOT_STORED };
  const mark = stored.indexOf('?');
  const path = mark < 0 ? stored : stored.slice(0, mark);
  if (!path.startsWith('/') || CHANGED.test(path)) return { path: NOT_STORED, query: NOT_STORED };
  return { path, query: mark < 0 ? undefined : stored.slice(mark + 1) };
}

function url(row: StoredCells): string | Unread {
  const origin = originOf(row);
  if (typeof origin !== 'string') return origin;
  const { path, query } = targetOf(row);
  if (typeof path !== 'string') return withGaps([`${origin}/`, '']);
  if (query instanceof Unread) return withGaps([`${origin}${path}`, '']);
  return query === undefined ? `${origin}${path}` : known(`${origin}${path}?${query}`);
}

/** A text with `…` where something is missing. */
function known(shown: string): string | Unread {
  return CHANGED.test(shown.replace('://', '')) ? withGaps(pieces(shown)) : shown;
}

/** What is certain of it, in order; anything may stand between two of them. */
function pieces(shown: string): string[] {
  return shown.split(/\[[^\][]*_REDACTED\]|<U\+[0-9A-F]{4,6}>|…/);
}

/** Something is known of it all the same: what it begins and ends with, and what is in it. */
function withGaps(parts: readonly string[]): Unread {
  const [head = '', tail = ''] = [parts[0], parts.at(-1)];
  return new Unread((test, part) => {
    if (test === 'startsWith') return head.startsWith(part) || (part.startsWith(head) ? undefined : false);
    if (test === 'endsWith') return tail.endsWith(part) || (part.endsWith(tail) ? undefined : false);
    if (test === '==') return part.startsWith(head) && part.endsWith(tail) ? undefined : false;
    return parts.some((piece) => piece.includes(part)) || undefined;
  });
}

const address: Stored = { columns: ['path'], read: url };
const path: Stored = { columns: ['path'], read: (row) => targetOf(row).path };
const query: Stored = {
  columns: ['path'],
  read(row) {
    const stored = targetOf(row).query;
    return typeof stored === 'string' ? known(stored) : stored;
  },
};

const mediaType: Stored = {
  columns: ['content_type'],
  read(row) {
    const stored = text(row['content_type']);
    return typeof stored === 'string' ? stored.split(';', 1)[0]?.trim().toLowerCase() : stored;
  },
};

const saw = ({ ja4 }: StoredCells): boolean => typeof ja4 === 'string';
const tls = (column: string): Stored => early({ columns: [column], read: (row) => text(row[column]) });
const ech = early({ columns: ['ech', 'ja4'], read: (row) => (saw(row) ? row['ech'] === true : undefined) });
/** Names are joined by commas, and a name may hold one. */
const alpn = early({
  columns: ['alpn', 'ja4'],
  read(row) {
    if (!saw(row)) return undefined;
    const joined = text(row['alpn']);
    if (joined === undefined) return [];
    return typeof joined === 'string' && !joined.includes(',') ? [joined] : NOT_STORED;
  },
});
/** The record may have taken something out of a name that is none, which leaves no trace. */
const sni = early({ columns: ['sni'], read: (row) => (typeof row['sni'] === 'string' ? NOT_STORED : undefined) });

const rules: Stored = {
  columns: ['rules'],
  // Those of later inspectors are among them, too.
  read: (row) => (Array.isArray(row['rules']) && row['rules'].length > 0 ? NOT_STORED : []),
};
const seen: Stored = { columns: ['first_seen'], read: ({ first_seen }) => first_seen === true };
const visibility: Stored = {
  columns: ['visibility'],
  read: (row) => (isTunnel(row) ? 'tunnel' : text(row['visibility'])),
};
const agent = cell('agent');

const STORED: ReadonlyMap<string, Stored> = new Map<string, Stored>([
  ['strathon.tool.name', name],
  ['gen_ai.tool.name', name],
  ['strathon.http.url', address],
  ['strathon.source', constant('egress_proxy')],
  ['strathon.agent.name', agent],
  ['strathon.agent.id', agent],
  // What is said is in no row; whether anything was said at all may be known (`llm_call`).
  ...SAID_IN_CALLS.map((key) => [key, said] as const),
  ['gen_ai.agent.name', agent],
  ['gen_ai.agent.id', agent],
  ['weir.agent', agent],
  ['weir.agent.identified_by', cell('identified_by')],
  ['http.request.method', { columns: [], read: (row) => (isTunnel(row) ? 'CONNECT' : text(row['method'])) }],
  ['url.full', ofContent(address)],
  ['url.scheme', { columns: [], read: scheme }],
  ['url.path', ofContent(path)],
  ['url.query', ofContent(query)],
  ['server.address', cell('host')],
  ['server.port', { columns: [], read: ({ port }) => BigInt(Number(port)) }],
  ['client.address', cell('client_address')],
  ['network.transport', { columns: [], read: (row) => (isTunnel(row) ? 'tcp' : undefined) }],
  ['network.protocol.version', ofContent(cell('protocol'))],
  ['user_agent.original', cell('user_agent')],
  ['weir.request.content_type', ofContent(mediaType)],
  ['tls.protocol.version', tls('tls_version')],
  ['weir.tls.sni', sni],
  ['weir.tls.ja4', tls('ja4')],
  ['weir.tls.alpn', alpn],
  ['weir.tls.ech', ech],
  ['weir.visibility', visibility],
  ['weir.via', cell('via')],
  ['weir.tunnel.protocol', sometime('tunnel_protocol')],
  ['weir.interception_skipped', sometime('interception_skipped')],
  ['weir.exchange.id', cell('id')],
  ['weir.connection.id', cell('connection_id')],
  ['weir.run.id', cell('run_id')],
  ['weir.destination.first_seen', seen],
  ['weir.baseline.state', cell('baseline_state')],
  ['weir.destination.tenant', ofContent(cell('tenant'))],
  ['weir.credential.fingerprint', ofContent(cell('credential_fp'))],
  ['weir.finding.rules', rules],
]);

/** Columns of `exchanges` that tell of these attributes. */
export function columnsOf(attributes: Iterable<string>): Set<string> {
  const columns = new Set(ALWAYS_READ);
  for (const key of attributes) for (const column of STORED.get(key)?.columns ?? []) columns.add(column);
  return columns;
}

/** What a row tells of the request it stands for; what it does not tell is `Unread`, never a guess. */
export class StoredContext extends Context {
  readonly #row: StoredCells;
  readonly #subject: string | Unread;
  #missing: string | undefined;

  constructor(row: StoredCells) {
    const subject = name.read(row) as string | Unread;
    super({
      name: typeof subject === 'string' ? subject : '',
      attrs: new Map<string, never>(),
      now: Number(row['started_at']),
    });
    this.#row = row;
    this.#subject = subject;
  }

  override get subject(): Result {
    return this.#subject;
  }

  override get now(): Result {
    return Number.isFinite(Number(this.#row['started_at'] ?? Number.NaN)) ? super.now : NOT_STORED;
  }

  override attribute(_: number, key: string): Result | undefined {
    const value = this.#read(key);
    if (value instanceof Unread) this.#missing ??= key;
    return value;
  }

  override holds(slot: number, key: string): Result {
    const value = this.attribute(slot, key);
    return value instanceof Unread ? value : value !== undefined;
  }

  /** The first attribute that was read since the last question and is not known. */
  takeMissing(): string | undefined {
    const missing = this.#missing;
    this.#missing = undefined;
    return missing;
  }

  #read(key: string): Value | Unread | undefined {
    const stored = STORED.get(key);
    if (stored !== undefined) return stored.read(this.#row);
    if (!READABLE.has(key) || (NEEDS_CONTENT.has(key) && isTunnel(this.#row))) return undefined;
    return NOT_STORED;
  }
}
