import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTraces, newSpanId, newTraceId, parseTraceparent } from '../../../src/pipeline/trace.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';

test('a valid traceparent is joined whatever its sampled flag says', () => {
  const traces = createTraces(10, () => 0);
  assert.deepEqual(traces(`00-${TRACE}-${SPAN}-00`), { traceId: TRACE, parentSpanId: SPAN });
  assert.deepEqual(traces(`00-${TRACE}-${SPAN}-01`), { traceId: TRACE, parentSpanId: SPAN });
});

test('an invalid traceparent starts a new root', () => {
  for (const bad of [
    '',
    'garbage',
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-extra`,
  ]) {
    assert.equal(parseTraceparent(bad), undefined, bad);
  }
  assert.deepEqual(parseTraceparent(`01-${TRACE}-${SPAN}-01-later`), { traceId: TRACE, spanId: SPAN });
});

test('beyond the cap of one trace id spans become new roots linked to the claimed context', () => {
  let now = 0;
  const traces = createTraces(2, () => now);
  const header = `00-${TRACE}-${SPAN}-01`;
  traces(header);
  traces(header);
  const third = traces(header);
  assert.equal(third.reparented, true);
  assert.notEqual(third.traceId, TRACE);
  assert.deepEqual([third.linkTraceId, third.linkSpanId, third.parentSpanId], [TRACE, SPAN, undefined]);
  now = 3_600_000;
  assert.equal(traces(header).traceId, TRACE);
});

test('ids are lower-case hex of the right length and differ', () => {
  const ids = new Set(Array.from({ length: 5000 }, () => newTraceId()));
  assert.equal(ids.size, 5000);
  assert.match(newTraceId(), /^[0-9a-f]{32}$/);
  assert.match(newSpanId(), /^[0-9a-f]{16}$/);
});
