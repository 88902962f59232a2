import { deflateOf } from './codec/websocket-extensions.ts';
import type { ContentOptions } from './collector-content.ts';
import { filterBody } from './content/filter.ts';
import type { FilterOptions } from './content/filter-contract.ts';
import { WebSocketFilter } from './content/websocket-filter.ts';
import type { LeakRules } from './inspect/leak-rules.ts';
import type { Weight } from './inspect/leak-weight.ts';
import { bodyFindings } from './inspect/leak-words.ts';
import type { Exchange } from './model/exchange.ts';
import { fieldOf } from './model/fields.ts';
import type { Finding } from './model/finding.ts';
import type { ContentFilter } from './model/ports.ts';
import { printable } from './model/printable.ts';
import type { Act, BodyScanned, Found, PartScanPort } from './model/scan.ts';
import { refOf } from './model/ulid.ts';
import { failed } from './pipeline/checkpoint.ts';
import type { StageSink } from './pipeline/stages.ts';
import { enforce } from './verdict/enforce.ts';

/** Longest time bytes wait because of an open candidate (product.md §7). */
const HOLD_MS = 250;

type Direction = 'request' | 'response';

/** One body that is held back as far as must be: what is found is weighed, and the mode says what is done about it. */
export interface Held extends FilterOptions {
  readonly scan: PartScanPort;
  onFailed(error: unknown): 'pass' | 'stop';
}

/** What every filter of this exchange is given. Asked in redact and enforce only. */
export function holding(options: ContentOptions, exchange: Exchange, direction: Direction, sink: StageSink): Held {
  const { config, scan, budget } = options;
  const { agent } = exchange.identity;
  const { mode } = exchange.ruling;
  const rules = remembered(options.rules);
  const place = direction === 'request' ? 'body' : 'response';
  const failures: Finding[] = [];
  const blocks = blocksUnscanned(options, agent);
  const findings = (scanned: BodyScanned): readonly Finding[] => [
    ...bodyFindings(exchange, direction, scanned, {
      rules,
      shownHost: options.shownHost,
      unscanned: () => (blocks ? 'block' : 'flag'),
      held: true,
    }),
    ...failures,
  ];
  return {
    what: direction,
    scan,
    budget,
    agent,
    now: () => performance.now(),
    scanBytes: config.body.scan_bytes,
    decodeRatio: config.body.decode_ratio,
    holdMs: HOLD_MS,
    act(found) {
      const weight = rules.weigh(found, place, exchange);
      return weight === undefined ? 'pass' : ACTS[enforce(weight, [], mode, true).action];
    },
    onUnscanned: () => (blocks && mode === 'enforce' ? 'stop' : 'pass'),
    onFailed(error) {
      failures.push(failed('scan', error));
      return enforce({ disposition: 'block' }, [], mode).action === 'block' ? 'stop' : 'pass';
    },
    out: {
      data: (payload) => sink.data(payload),
      drained: () => sink.drained(),
      end: (scanned, replaced) => sink.end(findings(scanned), replaced),
      stop: (scanned, last) => sink.stop(findings(scanned), last),
    },
  };
}

const ACTS: Readonly<Record<'forward' | 'redact' | 'block', Act>> = {
  forward: 'pass',
  redact: 'replace',
  block: 'stop',
};

/** The filter of one HTTP body. */
export function bodyFilter(
  options: ContentOptions,
  exchange: Exchange,
  direction: Direction,
  length: number | undefined,
  sink: StageSink,
): ContentFilter {
  const { decoded_bytes, decode_depth } = options.config.body;
  const fields = (direction === 'request' ? exchange.request.fields : exchange.responseFields) ?? [];
  return filterBody({
    ...holding(options, exchange, direction, sink),
    decodedBytes: decoded_bytes,
    decodeDepth: decode_depth,
    held: options.heldBytes,
    contentType: fieldOf(fields, 'content-type'),
    contentEncoding: fieldOf(fields, 'content-encoding'),
    length,
  });
}

/** The filter of one direction of a WebSocket. */
export function webSocketFilter(
  options: ContentOptions,
  exchange: Exchange,
  direction: Direction,
  sink: StageSink,
): ContentFilter {
  return new WebSocketFilter({
    ...holding(options, exchange, direction, sink),
    // Asked with the first compressed message: a request's filter is older than the response that agrees to it.
    deflate: () => {
      const agreed = deflateOf(exchange.responseFields ?? []);
      return agreed === undefined ? undefined : { takeover: agreed[direction] };
    },
    reason: ({ found }) => {
      const name = found[0]?.found.name;
      const why = name === undefined ? 'a message that cannot be scanned' : printable(name, MOST_NAME);
      return `Blocked by Weir: ${why} (ref ${refOf(exchange.id)})`;
    },
  });
}

/** Leaves room for the rest of a Close frame's 123 bytes (RFC 6455 §5.5). */
const MOST_NAME = 60;

/** product.md §3, last row: content that cannot be read stops agents that have `blocked_categories`. */
export function blocksUnscanned(
  { config, configKey }: Pick<ContentOptions, 'config' | 'configKey'>,
  agent: string,
): boolean {
  const { on_unscanned } = config.body;
  if (on_unscanned !== 'auto') return on_unscanned === 'block';
  return (config.agents.get(configKey(agent))?.blocked_categories.length ?? 0) > 0;
}

/** Of a WebSocket that lives for days there may be any number. */
const MOST_REMEMBERED = 1000;

/** Rules count what `suppress` keeps quiet: what is weighed when it is found and again when it is told counts once. */
function remembered(rules: LeakRules): LeakRules {
  const known = new Map<string, Weight | undefined>();
  return {
    suppressed: rules.suppressed,
    weigh(found: Found, place, exchange) {
      const key = `${found.rule} ${found.fingerprint} ${place}`;
      if (known.has(key)) return known.get(key);
      const weight = rules.weigh(found, place, exchange);
      if (known.size >= MOST_REMEMBERED) known.delete(known.keys().next().value as string);
      known.set(key, weight);
      return weight;
    },
  };
}
