import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import type { TestContext } from 'node:test';
import type { AccountStat } from '../../../src/model/account.ts';
import type { Finding } from '../../../src/model/finding.ts';
import type {
  BaselineEdit,
  ConnectionRecord,
  DestinationStat,
  EventRecord,
  ExchangeRecord,
  RunRecord,
} from '../../../src/model/record.ts';
import { ulid } from '../../../src/model/ulid.ts';
import { openStore, type Store, type StoreOptions } from '../../../src/store/database.ts';

/** 2026-01-15 12:00 UTC. */
export const NOON = Date.UTC(2026, 0, 15, 12);
export const DAY = 86_400_000;

export function tempDir(t: TestContext): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'weir-store-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function options(dir: string, more: Partial<StoreOptions> = {}): StoreOptions {
  return {
    dir,
    path: 'weir.duckdb',
    retentionDays: 30,
    maxBytes: 0,
    minFreeBytes: 0,
    flushMs: 5,
    log: { warn: () => undefined },
    ...more,
  };
}

/** A store that is closed with the test. */
export async function open(t: TestContext, dir: string, more: Partial<StoreOptions> = {}): Promise<Store> {
  const store = await openStore(options(dir, more));
  t.after(() => store.close(1000));
  return store;
}

export function finding(more: Partial<Finding> = {}): Finding {
  return {
    inspector: 'destination',
    rule: 'destination-not-allowed',
    severity: 'high',
    disposition: 'block',
    message: 'not allowed',
    ...more,
  };
}

export function exchange(more: Partial<ExchangeRecord> = {}): ExchangeRecord {
  const startedAt = more.startedAt ?? NOON;
  return {
    kind: 'exchange',
    state: 'closed',
    id: ulid(startedAt),
    connectionId: ulid(startedAt),
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    startedAt,
    durationMs: 12.5,
    agent: 'researcher',
    identifiedBy: 'claim',
    via: 'connect',
    visibility: 'intercepted',
    clientAddress: '127.0.0.1',
    scheme: 'https',
    host: 'api.example.com',
    port: 443,
    protocol: '1.1',
    method: 'GET',
    target: '/v1/things',
    status: 200,
    requestBytes: 10,
    responseBytes: 200,
    outcome: 'forwarded',
    mode: 'monitor',
    verdict: 'allow',
    action: 'forward',
    would: 'none',
    findings: [],
    firstSeen: false,
    baselineState: 'learning',
    teaches: true,
    overheadMs: 0.1,
    ...more,
  };
}

export function connection(more: Partial<ConnectionRecord> = {}): ConnectionRecord {
  return {
    kind: 'connection',
    id: ulid(NOON),
    openedAt: NOON,
    closedAt: NOON + 1000,
    agent: 'researcher',
    identifiedBy: 'claim',
    via: 'connect',
    visibility: 'intercepted',
    clientAddress: '127.0.0.1',
    clientPort: 50000,
    scheme: 'https',
    host: 'api.example.com',
    port: 443,
    exchanges: 3,
    closeReason: 'agent closed',
    ...more,
  };
}

export function event(more: Partial<EventRecord> = {}): EventRecord {
  return { kind: 'finding', id: ulid(NOON), at: NOON, agent: 'researcher', finding: finding(), ...more };
}

export function run(more: Partial<RunRecord> = {}): RunRecord {
  return {
    kind: 'run',
    id: ulid(NOON),
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'c7ad6b7169203331',
    startedAt: NOON,
    endedAt: NOON + 5000,
    agent: 'researcher',
    program: 'python3',
    mode: 'monitor',
    containment: 'cooperative',
    exitCode: 0,
    restarts: 0,
    directWatched: true,
    direct: [
      { at: NOON + 1, program: 'node', address: '192.0.2.9', port: 443, count: 2 },
      { at: NOON + 2, program: 'curl', address: '192.0.2.8', port: 80, count: 1 },
    ],
    ...more,
  };
}

export function stat(host: string, more: Partial<DestinationStat> = {}): DestinationStat {
  return {
    host,
    port: 443,
    firstSeen: NOON,
    lastSeen: NOON,
    count: 1,
    requestBytes: 0,
    responseBytes: 0,
    methods: ['GET'],
    status: 'learned',
    ...more,
  };
}

export function account(
  place: string,
  value: string,
  kind: AccountStat['kind'] = 'credential',
  more: Partial<AccountStat> = {},
): AccountStat {
  return { agent: 'researcher', place, kind, value, firstSeen: NOON, lastSeen: NOON, count: 1, ...more };
}

export function edit(verb: BaselineEdit['verb'], destinations: readonly DestinationStat[] = [], agent = 'researcher') {
  return { kind: 'baseline-edit', id: ulid(NOON), at: NOON, agent, verb, destinations } as const;
}

/** Every file under a directory. */
export function filesUnder(dir: string): string[] {
  return readdirSync(dir, { recursive: true })
    .map((name) => path.join(dir, String(name)))
    .filter((file) => statSync(file).isFile());
}

/** Files that contain a text. */
export function grep(dir: string, text: string): string[] {
  return filesUnder(dir).filter((file) => readFileSync(file).includes(text));
}
