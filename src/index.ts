/** Weir as a library: the same collector that `weir start` runs. Everything else is internal. */

export type { Collector, CollectorOptions, Log } from './collector.ts';
export { createCollector } from './collector.ts';
export { loadConfig, parseConfig } from './config/load.ts';
export type { Config, ConfigInput } from './config/schema.ts';
export type { AgentIdentity, Connection, IdentifiedBy, TlsFacts, Visibility } from './model/connection.ts';
export type { Destination } from './model/destination.ts';
export type { Disposition, Finding, Mode, Ruling, Severity, Verdict } from './model/finding.ts';
export type { ConnectionRecord, EventRecord, ExchangeRecord, WeirRecord } from './model/record.ts';
