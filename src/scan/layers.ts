import type { Reserve } from '../model/scan.ts';
import type { Engine } from './engine.ts';
import { type Decoded, type Encoding, originOf } from './offsets.ts';
import { fromProtobuf } from './protobuf.ts';
import { type Match, resolve } from './resolve.ts';
import { decodeRuns } from './runs.ts';
import type { Budget, ScanResult, UnscannedCause } from './scanner.ts';
import { unescaped } from './unescape.ts';
import { fromQuotedPrintable, fromUtf16 } from './wrapped.ts';

export interface LayerOptions {
  /** Encodings of runs (base64, base32, hex) inside one another. Default 3. */
  readonly depth?: number;
  /** Most bytes decoded in all. Default eight times the input and 64 KiB. */
  readonly limit?: number;
  readonly budget?: Budget;
  /** Of the body the value is a part of; all layers share it. */
  readonly reserve?: Pick<Reserve, 'steps'>;
  /** False = only what is decoded is scanned, the value itself was already. Default true. */
  readonly plain?: boolean;
}

/** Escapes inside escapes (`%2525…`): whoever needs more is not read by anyone. */
const MOST_LAYERS = 8;

interface Visit {
  readonly engine: Engine;
  readonly options: LayerOptions;
  readonly reserve: Pick<Reserve, 'steps'>;
  readonly found: Match[];
  left: number;
  units: number;
  cause: UnscannedCause | undefined;
}

/** A match of the innermost layer, at its place in the outermost. */
function outermost(match: Match, layers: readonly Decoded[]): Match {
  let { start, end } = match;
  const encodings: Encoding[] = [];
  for (const layer of layers.toReversed()) {
    const origin = originOf(layer, start, end);
    [start, end] = [origin.start, origin.end];
    encodings.unshift(...origin.encodings);
  }
  return { ...match, start, end, encodings };
}

/** Looking for encodings reads a text about twice. */
const DECODE_UNITS = 2;

function scanPlainly(state: Visit, bytes: Uint8Array, layers: readonly Decoded[]): void {
  const result = state.engine.scan(bytes, state.options.budget, state.reserve);
  state.units += result.units;
  state.cause ??= result.cause;
  for (const match of result.matches) state.found.push(outermost(match, layers));
}

function visit(state: Visit, bytes: Uint8Array, layers: readonly Decoded[], depth: number): void {
  if (layers.length > 0 || state.options.plain !== false) scanPlainly(state, bytes, layers);
  if (state.cause !== undefined || layers.length >= MOST_LAYERS) return;
  const units = bytes.length * DECODE_UNITS;
  state.units += units;
  if (state.options.budget !== undefined && !state.options.budget.take(units)) {
    state.cause = 'cpu-budget';
    return;
  }
  const plain = unescaped(bytes, false, state.engine.plain);
  if (plain !== undefined) descend(state, plain, layers, depth);
  for (const unwrap of [fromUtf16, fromQuotedPrintable, fromProtobuf]) {
    const layer = state.cause === undefined && depth > 0 ? unwrap(bytes) : undefined;
    if (layer !== undefined) descend(state, layer, layers, depth - 1);
  }
  const runs = depth > 0 && state.cause === undefined ? decodeRuns(bytes, state.left, state.engine.plain) : undefined;
  if (runs === undefined) return;
  if (runs.full) state.cause ??= 'decoded-bytes';
  descend(state, runs, layers, depth - 1);
}

function descend(state: Visit, layer: Decoded, layers: readonly Decoded[], depth: number): void {
  state.left -= layer.bytes.length;
  if (state.left < 0) state.cause ??= 'decoded-bytes';
  else visit(state, layer.bytes, [...layers, layer], depth);
}

/**
 * Scans a value and everything it decodes to, layer by layer within a budget. Places are of the value itself; a match found plainly and
 * decoded is told once.
 */
export function scanLayers(engine: Engine, bytes: Uint8Array, options: LayerOptions = {}): ScanResult {
  const state: Visit = {
    engine,
    options,
    reserve: options.reserve ?? { steps: Number.POSITIVE_INFINITY },
    found: [],
    left: options.limit ?? bytes.length * 8 + 65_536,
    units: 0,
    cause: undefined,
  };
  visit(state, bytes, [], options.depth ?? 3);
  const { cause, units } = state;
  return { matches: resolve(state.found), unscanned: cause !== undefined, cause, units };
}
