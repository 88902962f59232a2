import { blocksUnscanned, bodyFilter, webSocketFilter } from './collector-filter.ts';
import type { Scanning } from './collector-scan.ts';
import type { Config } from './config/schema.ts';
import { isEventStream } from './content/body-format.ts';
import { createScanBudget, type ScanBudget } from './content/budget.ts';
import { createHeldBytes, type HeldBytes } from './content/held-bytes.ts';
import { type BodyTap as ScannedTap, tapBody } from './content/tap.ts';
import { tapWebSocket } from './content/websocket-tap.ts';
import { trailerFindings } from './inspect/leak.ts';
import type { LeakRules } from './inspect/leak-rules.ts';
import { bodyFindings } from './inspect/leak-words.ts';
import type { Exchange } from './model/exchange.ts';
import { fieldOf } from './model/fields.ts';
import type { Cut, Finding } from './model/finding.ts';
import { edits } from './pipeline/filtered.ts';
import type { BodyTap, ContentStage } from './pipeline/stages.ts';
import { enforceLate } from './verdict/enforce.ts';
import { judge } from './verdict/judge.ts';

export interface ContentOptions {
  readonly config: Config;
  readonly scan: Scanning;
  /** Outlives reloads, so that one does not refill it. */
  readonly budget: ScanBudget;
  readonly configKey: (agent: string) => string;
  readonly rules: LeakRules;
  readonly shownHost: (host: string) => string;
  /** A stage has its own: after a reload bodies of before are not counted. */
  readonly heldBytes?: HeldBytes;
}

/** Whether an agent's requests or responses are looked at (`agents.X.scan`). */
export function scanSwitch(
  config: Config,
  configKey: (agent: string) => string,
): (agent: string, direction: 'request' | 'response') => boolean {
  const off = new Map(
    [...config.agents].flatMap(([key, { scan }]) => (scan.requests && scan.responses ? [] : [[key, scan] as const])),
  );
  if (off.size === 0) return () => true;
  return (agent, direction) => {
    const scan = off.get(configKey(agent));
    return scan === undefined || (direction === 'request' ? scan.requests : scan.responses);
  };
}

export function scanBudgetOf(config: Config): ScanBudget {
  return createScanBudget(config.body.seconds_per_minute, () => performance.now());
}

/** Bodies on a copy: decoded, looked at through windows, weighed. */
export function contentStage(options: ContentOptions): ContentStage {
  const { config, scan, budget } = options;
  const { scan_bytes, decoded_bytes, decode_ratio, decode_depth } = config.body;
  const holding = { ...options, heldBytes: createHeldBytes(config.limits.held_bytes) };
  const wanted = scanSwitch(config, options.configKey);
  const told = {
    ...options,
    unscanned: (agent: string) => (blocksUnscanned(options, agent) ? 'block' : 'flag'),
  } as const;
  const found = (exchange: Exchange, direction: 'request' | 'response', tap: ScannedTap): BodyTap => ({
    push: (payload) => tap.push(payload),
    finish: () => {
      const scanned = tap.finish();
      return scanned instanceof Promise
        ? scanned.then((known) => bodyFindings(exchange, direction, known, told))
        : bodyFindings(exchange, direction, scanned, told);
    },
  });
  return {
    tap(exchange, direction) {
      const { agent } = exchange.identity;
      if (!wanted(agent, direction)) return undefined;
      const base = {
        what: direction,
        scan,
        budget,
        agent,
        scanBytes: scan_bytes,
        now: () => performance.now(),
      } as const;
      if (isWebSocket(exchange))
        return found(exchange, direction, tapWebSocket({ ...base, decodeRatio: decode_ratio }));
      const fields = direction === 'request' ? exchange.request.fields : exchange.responseFields;
      const events = direction === 'response' && fields !== undefined && isEventStream(fieldOf(fields, 'content-type'));
      return found(
        exchange,
        direction,
        tapBody({
          ...base,
          decodedBytes: decoded_bytes,
          decodeRatio: decode_ratio,
          decodeDepth: decode_depth,
          contentEncoding: fields === undefined ? undefined : fieldOf(fields, 'content-encoding'),
          events: events ? scan : undefined,
        }),
      );
    },
    filter(exchange, direction, length, sink) {
      if (exchange.ruling.mode === 'monitor' || !wanted(exchange.identity.agent, direction)) return undefined;
      if (isWebSocket(exchange)) return webSocketFilter(options, exchange, direction, sink);
      return bodyFilter(holding, exchange, direction, length, sink);
    },
    trailers(exchange, direction, fields) {
      if (!wanted(exchange.identity.agent, direction)) return undefined;
      const findings = trailerFindings(options, exchange, direction, fields);
      const { mode } = exchange.ruling;
      if (mode === 'monitor' || findings.length === 0) return { findings };
      return takenOut(findings, fields);
    },
    judgeLate: (ruling, findings, takenOut) => enforceLate(ruling, judge(findings), takenOut),
  };
}

/** An exchange cannot be refused by its last lines: what asks for a block is taken out as well. */
function takenOut(
  findings: readonly Finding[],
  fields: readonly string[],
): ReturnType<NonNullable<ContentStage['trailers']>> {
  const cuts = findings.flatMap(({ disposition, located }) =>
    (disposition === 'redact' || disposition === 'block') && Array.isArray(located) ? (located as Cut[]) : [],
  );
  const { values } = edits(cuts, '', fields);
  return values === undefined ? { findings } : { findings, values };
}

/** Bytes are frames: after a 101, or on a stream of HTTP/2 that was opened for it and is not refused (RFC 8441 §4). */
function isWebSocket({ request, status }: Exchange): boolean {
  if (request.upgrade !== 'websocket') return false;
  return status === 101 || (request.protocol === '2' && (status === undefined || status < 300));
}
