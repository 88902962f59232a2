import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLosses } from '../../../src/collector-losses.ts';
import type { Finding } from '../../../src/model/finding.ts';
import type { EventRecord } from '../../../src/model/record.ts';
import { toLogEvents } from '../../../src/telemetry/log.ts';
import { exchangeSample } from '../record/samples.ts';

const LEAK: Finding = {
  inspector: 'scan',
  rule: 'github-pat',
  severity: 'critical',
  disposition: 'block',
  message: 'a token',
  blockReason: 'credential-leak',
};

test('a credential is a WARN event of its own name, with its rule; what was done is another event', () => {
  const events = toLogEvents(exchangeSample({ findings: [LEAK], verdict: 'block', would: 'block' }));
  assert.deepEqual(
    events.map(({ eventName, severityText }) => [eventName, severityText]),
    [
      ['weir.credential.detected', 'WARN'],
      ['weir.policy.decision', 'WARN'],
    ],
  );
  assert.equal(events[0]?.attributes['weir.detector.id'], 'github-pat');
});

test('TLS that was not read is an event when its tunnel ends', () => {
  const skipped = { kind: 'tunnel', visibility: 'tunnel', interceptionSkipped: 'client-rejected-ca' } as const;
  const [event, ...more] = toLogEvents(exchangeSample(skipped));
  assert.equal(event?.eventName, 'weir.tls.interception_failed');
  assert.equal(event?.severityText, 'WARN');
  assert.match(event?.body ?? '', /client-rejected-ca/);
  assert.deepEqual(more, []);
  assert.deepEqual(toLogEvents(exchangeSample({ ...skipped, state: 'open' })), []);
  assert.deepEqual(toLogEvents(exchangeSample({ kind: 'tunnel', visibility: 'tunnel' })), []);
});

test('losses become an ERROR event with their reasons, at most one a minute, and none for what was lost before', () => {
  let now = 1000;
  const posted: Omit<EventRecord, 'agent'>[] = [];
  const losses = createLosses(
    (loss) => posted.push(loss),
    () => now,
  );
  const told = (lost: Record<string, number>): string | undefined => {
    losses(lost);
    return posted.pop()?.finding.message;
  };
  losses(undefined);
  assert.equal(told({ backlog: 5 }), undefined, 'of a former life, or told already');
  losses({ backlog: 7, 'otlp-traces rejected-400': 3 });
  const [first] = posted.splice(0);
  assert.equal(
    first?.finding.message,
    'telemetry was given up for good: 2 (backlog), 3 (otlp-traces rejected-400); weir status tells the whole account',
  );
  assert.deepEqual(
    toLogEvents({ ...(first as NonNullable<typeof first>), agent: 'default' }).map((event) => [
      event.eventName,
      event.severityText,
    ]),
    [['weir.telemetry.dropped', 'ERROR']],
  );
  assert.equal(told({ backlog: 20, 'otlp-traces rejected-400': 3 }), undefined, 'within the minute');
  now += 61_000;
  assert.match(told({ backlog: 20, 'otlp-traces rejected-400': 3 }) ?? '', /for good: 13 \(backlog\);/);
  now += 61_000;
  assert.equal(told({ backlog: 20, 'otlp-traces rejected-400': 3 }), undefined, 'nothing new');
});
