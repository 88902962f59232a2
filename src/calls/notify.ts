import { networkInterfaces } from 'node:os';
import type { Finding } from '../model/finding.ts';
import type { HookStatus, NotifyData, NotifyEvent } from '../model/notify.ts';
import type { Consumer } from '../model/ports.ts';
import type { EventRecord, ExchangeRecord, WeirRecord } from '../model/record.ts';
import { refOf } from '../model/ulid.ts';
import { createHook, type Hook, type Message } from './webhook.ts';

/** A reader of the journal that tells webhooks, and what became of that. */
export interface Notifier extends Consumer {
  status(): readonly HookStatus[];
  /** One sentence per address that does not take what it is told. */
  problems(): string[];
}

/** What a former life left in the journal is told no more when it is older than this. */
const STALE_MS = 600_000;

type Log = (level: 'warn', event: string, fields: Record<string, unknown>) => void;

/** Records are presentable here: nothing secret is in them, and nothing secret is told. Never in the traffic's way. */
export function createNotifier({ targets, ownPorts }: NotifyData, log: Log, started: number = Date.now()): Notifier {
  const isSelf = (address: string, port: number): boolean => ownPorts.includes(port) && isLocal(address);
  const hooks = targets.map(({ on, proxy, ...target }) => ({
    on: new Set<NotifyEvent>(on),
    hook: createHook({ ...target, isSelf, via: () => proxy, log }),
  }));
  const each = <T>(use: (hook: Hook) => T): T[] => hooks.map(({ hook }) => use(hook));
  return {
    name: 'notify',
    async consume(batch) {
      for (const record of batch) {
        for (const [event, at, data, id] of eventsOf(record)) {
          if (at < started - STALE_MS) continue;
          for (const { on, hook } of hooks) if (on.has(event)) hook.push(messageOf(event, at, data, id));
        }
      }
      return { accepted: batch.length, sampledOut: 0, dropped: {} };
    },
    close: async (deadlineMs) => void (await Promise.all(each((hook) => hook.close(deadlineMs)))),
    status: () => each((hook) => hook.status()),
    problems: () => each((hook) => hook.status()).flatMap(problemOf),
  };
}

function problemOf({ origin, dead, waiting, lastError }: HookStatus): string[] {
  if (dead === 0 && lastError === undefined) return [];
  const why = lastError === undefined ? '' : `; last: ${lastError}`;
  return [`notifications to ${origin}: ${dead} given up, ${waiting} waiting${why}`];
}

function messageOf(type: NotifyEvent, at: number, data: object, id: string): Message {
  return { id: `msg_${id}_${type}`, body: JSON.stringify({ type, timestamp: new Date(at).toISOString(), data }) };
}

type Event = readonly [event: NotifyEvent, at: number, data: object, id: string];

/** Everything of a record somebody may want to be told of. An open row is followed by its closing one. */
export function eventsOf(record: WeirRecord): Event[] {
  switch (record.kind) {
    case 'exchange':
    case 'connect':
    case 'tunnel':
      return record.state === 'closed' ? exchangeEvents(record) : [];
    case 'finding':
      return [['finding', record.at, eventData(record), record.id]];
    case 'audit':
      return [['audit', record.at, eventData(record), record.id]];
    default:
      return [];
  }
}

function exchangeEvents(record: ExchangeRecord): Event[] {
  const { startedAt, action, would, findings } = record;
  const id = record.kind === 'tunnel' ? `${record.id}_tunnel` : record.id;
  const wanted = action === 'block' ? 'block' : would;
  const events: Event[] = [];
  const told = (event: NotifyEvent, finding: Finding | undefined, suffix = ''): void => {
    events.push([event, startedAt, exchangeData(record, finding), `${id}${suffix}`]);
  };
  const deciding = findings.find(({ disposition }) => disposition === wanted);
  // A tunnel shares its CONNECT's decision, unless what decided was found after the CONNECT had been reported.
  const decides = record.kind !== 'tunnel' || deciding !== undefined;
  if (decides && action === 'block') told('block', deciding);
  else if (decides && would === 'block') told('would-block', deciding);
  if (action === 'redact')
    told(
      'redact',
      findings.find(({ disposition }) => disposition === 'redact'),
    );
  const first = findings.find(({ rule }) => rule === 'first-seen');
  if (first !== undefined) told('first-seen', first);
  for (const [index, finding] of findings.entries()) told('finding', finding, `_${index}`);
  return events;
}

function exchangeData(record: ExchangeRecord, finding: Finding | undefined): object {
  const { agent, host, port, method, mode, action, would, visibility } = record;
  const where = { agent, host, port, method, mode, action, would, visibility, ref: refOf(record.id) };
  return { ...where, exchange_id: record.id, trace_id: record.traceId, ...(finding && findingData(finding)) };
}

function eventData(record: EventRecord): object {
  const { agent, host, port, actor, finding } = record;
  return { agent, host, port, actor, ...findingData(finding) };
}

function findingData({ inspector, rule, severity, disposition, message, policy }: Finding): object {
  return { inspector, rule, severity, disposition, message, ...(policy === undefined ? {} : { policy: policy.name }) };
}

function isLocal(address: string): boolean {
  if (address === '::1' || address.startsWith('127.')) return true;
  return Object.values(networkInterfaces()).some((list) => list?.some((one) => one.address === address));
}
