import { type BenignCase, casesOf } from './case.ts';
import { maker, many } from './made.ts';

const { hex, base64url, uuid, word, digits, camel, next } = maker(14);
const { ask, answer, url, header } = casesOf('telemetry');
const LINES = 'text/plain';

function telemetry(): BenignCase[] {
  const attribute = (key: string, value: string): object => ({ key, value: { stringValue: value } });
  const span = (): object => ({
    traceId: hex(32),
    spanId: hex(16),
    parentSpanId: hex(16),
    name: `GET /${camel()}`,
    startTimeUnixNano: digits(19),
    attributes: [
      attribute('http.url', `https://api.acme.dev/${camel()}/${hex(24)}`),
      attribute('enduser.id', digits(10)),
      attribute('db.statement', 'SELECT token_hash FROM sessions WHERE id = ?'),
    ],
  });
  return [
    ask(
      'otlp.acme.dev',
      JSON.stringify({
        resourceSpans: [
          {
            resource: { attributes: [attribute('service.instance.id', uuid()), attribute('host.id', hex(32))] },
            scopeSpans: [{ spans: [span(), span(), span()] }],
          },
        ],
      }),
    ),
    ask(
      'otlp.acme.dev',
      JSON.stringify({
        resourceLogs: [
          {
            scopeLogs: [
              {
                logRecords: [
                  {
                    timeUnixNano: digits(19),
                    severityText: 'WARN',
                    body: { stringValue: 'password reset requested; token expires in 15 min' },
                    traceId: hex(32),
                  },
                ],
              },
            ],
          },
        ],
      }),
    ),
    ask(
      'otlp.acme.dev',
      JSON.stringify({
        resourceMetrics: [
          {
            scopeMetrics: [
              {
                metrics: [
                  {
                    name: 'gen_ai.client.token.usage',
                    histogram: {
                      dataPoints: [
                        {
                          count: digits(4),
                          bucketCounts: [1, 2, 3],
                          exemplars: [{ spanId: hex(16), traceId: hex(32) }],
                        },
                      ],
                    },
                  },
                ],
              },
            ],
          },
        ],
      }),
    ),
    ask(
      'o4505.ingest.sentry.io',
      `{"event_id":"${hex(32)}","sent_at":"2026-11-20T12:00:00Z"}\n{"type":"event","length":${digits(4)}}\n${JSON.stringify({ exception: { values: [{ type: 'AuthError', value: 'invalid token', stacktrace: { frames: [{ function: 'verifyPassword', filename: 'app:///dist/auth.js', lineno: 412, context_line: '  const { password, token } = body;' }] } }] }, release: hex(40), contexts: { trace: { trace_id: hex(32), span_id: hex(16) } } })}`,
      'application/x-sentry-envelope',
    ),
    ask(
      'api.segment.io',
      JSON.stringify({
        batch: [
          {
            type: 'track',
            event: 'Password Changed',
            messageId: `ajs-next-${digits(13)}-${uuid()}`,
            anonymousId: uuid(),
            userId: digits(8),
            properties: { plan: 'team', token_balance: 12_000 },
          },
        ],
        sentAt: '2026-11-20T12:00:00.000Z',
      }),
    ),
    ask(
      'http-intake.logs.datadoghq.eu',
      many(10, () =>
        JSON.stringify({
          ddsource: 'nodejs',
          service: 'auth',
          message: `user ${digits(8)} signed in, session ${uuid()}`,
          dd: { trace_id: digits(19), span_id: digits(19) },
        }),
      ),
    ),
    ask(
      'browser-intake-datadoghq.eu',
      many(6, () =>
        JSON.stringify({
          type: 'resource',
          session: { id: uuid() },
          view: { id: uuid(), url: 'https://www.acme.dev/login' },
          resource: { url: `https://cdn.acme.dev/${hex(20)}.js`, duration: digits(8) },
        }),
      ),
      LINES,
    ),
    ask(
      'bam.nr-data.net',
      JSON.stringify({
        xhr: [
          {
            params: { method: 'POST', host: 'api.acme.dev:443', pathname: '/token' },
            metrics: { count: 1, duration: { t: 212 } },
          },
        ],
      }),
    ),
    ask(
      'eu.i.posthog.com',
      JSON.stringify({
        batch: [
          {
            event: '$pageview',
            properties: {
              $session_id: uuid(),
              $window_id: uuid(),
              distinct_id: uuid(),
              $current_url: 'https://www.acme.dev/settings/api-keys',
            },
          },
        ],
      }),
    ),
    ask(
      'api2.amplitude.com',
      JSON.stringify({
        events: [
          {
            device_id: base64url(16),
            session_id: digits(13),
            insert_id: uuid(),
            event_type: 'api_key_created',
            event_properties: { key_id: digits(6) },
          },
        ],
      }),
    ),
    ask(
      'statsd.acme.dev',
      many(30, () => `auth.token.issued:${next(90)}|c|#env:prod,pod:auth-${hex(10)}-${word(5).toLowerCase()}`),
      LINES,
    ),
    ask(
      'loki.acme.dev',
      JSON.stringify({
        streams: [
          {
            stream: { app: 'gateway', pod: `gateway-${hex(9)}-x2k9q` },
            values: [
              [digits(19), 'level=info msg="bearer auth accepted" sub=svc-orders kid=2026-11'],
              [digits(19), 'level=warn msg="basic auth is deprecated"'],
            ],
          },
        ],
      }),
    ),
    answer(
      'prometheus.acme.dev',
      JSON.stringify({
        status: 'success',
        data: {
          resultType: 'matrix',
          result: [
            {
              metric: { __name__: 'token_bucket_remaining', instance: '10.0.4.12:9100' },
              values: [
                [1_763_640_000, '4539148803436467'],
                [1_763_640_060, '42'],
              ],
            },
          ],
        },
      }),
    ),
    answer(
      'prometheus.acme.dev',
      many(
        40,
        () => `secret_rotations_total{name="${camel()}",ns="kube-system",uid="${uuid()}"} ${digits(3)} ${digits(13)}`,
      ),
      LINES,
    ),
    header(
      'otlp.acme.dev',
      `x-honeycomb-dataset: auth\nuser-agent: OTel-OTLP-Exporter-JavaScript/0.301.0\ncontent-encoding: gzip`,
    ),
    url(
      `https://www.google-analytics.com/g/collect?v=2&tid=G-${word(10).toUpperCase()}&cid=${digits(10)}.${digits(10)}&sid=${digits(10)}&gtm=45je${digits(4)}v${digits(9)}za200&_p=${digits(13)}&dl=https%3A%2F%2Fwww.acme.dev%2Ftoken`,
    ),
    url(`https://bat.bing.com/action/0?ti=${digits(9)}&Ver=2&mid=${uuid()}&bo=1&sid=${hex(32)}&vid=${hex(32)}`),
    url(`https://px.ads.acme.dev/collect?pid=${digits(7)}&time=${digits(13)}&li_adsId=${uuid()}&cookiesTest=true`),
    ask(
      'clouderrorreporting.googleapis.com',
      'Traceback (most recent call last):\n  File "/app/auth.py", line 88, in login\n    raise InvalidPassword("password does not match")\nauth.InvalidPassword: password does not match',
      LINES,
    ),
    ask(
      'crash.acme.dev',
      many(30, (i) => `#${i}  0x0000${hex(12)} in verify_token (key=0x7ffd${hex(8)}) at auth.c:${next(900)}`),
      LINES,
    ),
  ];
}

export function telemetryCases(): BenignCase[] {
  return [...telemetry()];
}
