import type { Answer } from '../model/answer.ts';
import type { Cut, Finding } from '../model/finding.ts';
import type { ContentFilter, FilterSink, HeadEdits } from '../model/ports.ts';
import { failed, inspect, judge, noteLate } from './checkpoint.ts';
import { guarded, type OnThrow } from './guarded.ts';
import type { LiveExchange } from './live.ts';

/** Begins to hold a body back as far as must be. Undefined when nothing is held back: it may be looked at on a copy. */
export function filterContent(
  exchange: LiveExchange,
  direction: 'request' | 'response',
  length: number | undefined,
  sink: FilterSink,
): ContentFilter | undefined {
  const { content } = exchange.stages;
  if (content?.filter === undefined || exchange.closed) return undefined;
  const refused = (findings: readonly Finding[]): Answer => {
    note(exchange, findings);
    return refusedBody(exchange);
  };
  const make = (out: FilterSink): ContentFilter | undefined =>
    content.filter?.(exchange, direction, length, {
      data: (payload) => out.data(payload),
      drained: () => out.drained(),
      // What was found before a body was abandoned is told all the same, to us.
      end: (findings, redactions) => {
        note(exchange, findings);
        exchange.redactions = (exchange.redactions ?? 0) + redactions;
        out.end(redactions);
      },
      stop: (findings, last) => {
        const answer = refused(findings);
        if (last === undefined) out.stop(answer);
        else out.stop(answer, last);
      },
    });
  // As any inspector that fails: enforce blocks, redact lets it pass (product.md §3).
  const onThrow: OnThrow = (error) => {
    note(exchange, [failed('scan', error)]);
    return exchange.ruling.action === 'block' ? 'stop' : 'pass';
  };
  try {
    return guarded(make, sink, onThrow, () => sink.stop(refused([])));
  } catch (error) {
    if (onThrow(error) === 'pass') return undefined;
    return { shape: 'whole', write: () => true, end: () => sink.stop(refused([])), abandon: () => undefined };
  }
}

/** The answer to an exchange whose body must not go on. */
export function refusedBody(exchange: LiveExchange): Answer {
  exchange.answeredFor = 'policy-denied';
  const answer = exchange.stages.refuse(exchange);
  exchange.answeredStatus = answer.status;
  return answer;
}

/** What was found in time: judged like anything else. What has been rewritten stays so whatever is found later. */
export function note(exchange: LiveExchange, findings: readonly Finding[]): void {
  if (findings.length === 0) return;
  const { action } = exchange.ruling;
  for (const finding of findings) exchange.findings.push(finding);
  judge(exchange);
  const { ruling } = exchange;
  if (action === 'redact' && ruling.action === 'forward') exchange.ruling = { ...ruling, action };
}

/** Trailers: judged like a body that has gone on when nothing of them can be changed any more. */
export function trailers(
  exchange: LiveExchange,
  direction: 'request' | 'response',
  fields: readonly string[],
): ReadonlyMap<number, string> | undefined {
  const { content } = exchange.stages;
  if (content?.trailers === undefined || fields.length === 0) return undefined;
  try {
    const read = content.trailers(exchange, direction, fields);
    if (read === undefined || read.findings.length === 0) return undefined;
    const { findings, values } = read;
    if (values === undefined) {
      noteLate(exchange, { findings });
      return undefined;
    }
    noteLate(exchange, { findings, takenOut: true });
    exchange.redactions = (exchange.redactions ?? 0) + values.size;
    return values;
  } catch (error) {
    note(exchange, [failed('scan', error)]);
    return undefined;
  }
}

/** What the findings ask to be cut out of a head, when that is what is done. `fields` is the flat list of the head. */
export function editsOf(exchange: LiveExchange, fields: readonly string[], from: number): HeadEdits | undefined {
  if (exchange.ruling.action !== 'redact') return undefined;
  const { findings } = exchange;
  const cuts: Cut[] = [];
  for (let i = from; i < findings.length; i++) {
    const { disposition, located } = findings[i] as Finding;
    if (located === undefined || located === 'body' || (disposition !== 'redact' && disposition !== 'block')) continue;
    cuts.push(...located);
  }
  if (cuts.length === 0) return undefined;
  exchange.redactions = (exchange.redactions ?? 0) + cuts.length;
  return edits(cuts, exchange.request.target, fields);
}

/** Cuts as new values. What lies inside another is gone with it; of two that overlap both labels stand. */
export function edits(cuts: readonly Cut[], target: string, fields: readonly string[]): HeadEdits {
  const parts = new Map<Cut['part'], Cut[]>();
  for (const cut of cuts) {
    const known = parts.get(cut.part);
    if (known === undefined) parts.set(cut.part, [cut]);
    else known.push(cut);
  }
  const values = new Map<number, string>();
  let changed: string | undefined;
  for (const [part, all] of parts) {
    if (part === 'target') changed = cutOut(target, all);
    else values.set(part, cutOut(fields[2 * part + 1] ?? '', all));
  }
  return { ...(changed === undefined ? {} : { target: changed }), ...(values.size === 0 ? {} : { values }) };
}

function cutOut(text: string, cuts: readonly Cut[]): string {
  let out = '';
  let at = 0;
  for (const { start, end, label } of [...cuts].sort((a, b) => a.start - b.start || b.end - a.end)) {
    if (end <= at) continue;
    out += text.slice(at, Math.max(at, start)) + label;
    at = end;
  }
  return out + text.slice(at);
}

/** Judges a response by its head. */
export function responseHead(exchange: LiveExchange): HeadEdits | undefined | 'refuse' {
  const before = exchange.findings.length;
  inspect(exchange, 'response', {});
  const withdrawn = exchange.stages.withdraw?.(exchange);
  if (exchange.findings.length > before && !judge(exchange)) return 'refuse';
  const fields = exchange.responseFields ?? [];
  const cut = exchange.findings.length === before ? undefined : editsOf(exchange, fields, before);
  if (withdrawn === undefined) return cut;
  return { ...cut, values: new Map([...withdrawn, ...(cut?.values ?? [])]) };
}
