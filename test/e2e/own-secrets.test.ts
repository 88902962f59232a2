import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { startOtlpReceiver } from '../support/otlp-receiver.ts';
import { simpleOrigin } from '../support/runs.ts';
import { eventually, startWeir } from '../support/weir.ts';

/** Of no form that a pattern knows; assembled at run time all the same. */
const SECRET = ['q7Zp', '2Mw8', 'Xk4T', 'n9Vb', '%/+c', '3Hd='].join('');
const PLAIN = ['w3Kd', '8Vx2', 'Nq6T', 'y1Rb'].join('');

function formsOf(value: string): string[] {
  return [
    value,
    encodeURIComponent(value),
    Buffer.from(value).toString('hex'),
    Buffer.from(value).toString('base64'),
    Buffer.from(`x${value}y`).toString('base64url'),
  ];
}

function everything(directory: string): string {
  return readdirSync(directory, { recursive: true })
    .map((name) => join(directory, String(name)))
    .filter((file) => statSync(file).isFile())
    .map((file) => readFileSync(file, 'latin1'))
    .join('\n');
}

test('an operator’s own secrets are found in every encoding, and stand in no row, span, log line or answer', async () => {
  const scene = await assemble(async (later) => {
    const origin = await simpleOrigin();
    later(() => origin.close());
    const otlp = await startOtlpReceiver();
    later(otlp.close);
    const weir = await startWeir({
      env: { MY_SECRET: SECRET, MY_OTHER: PLAIN },
      config: {
        patterns: { secrets_env: ['MY_SECRET', 'MY_OTHER'] },
        upstream: { resolve: { '*.test': `127.0.0.1:${origin.port}` } },
        telemetry: { endpoint: otlp.url, url: 'full' },
      },
    });
    later(weir.stop);
    return { weir, otlp };
  });
  try {
    const { weir, otlp } = scene;
    const targets = [
      ...formsOf(PLAIN).map((form, i) => `/path-${i}/${form}/x`),
      ...formsOf(SECRET).map((form, i) => `/query-${i}?a=${encodeURIComponent(form)}&page=1`),
      `/double?page=${encodeURIComponent(encodeURIComponent(SECRET))}`,
    ];
    for (const target of targets) await plain(weir, `http://a.test${target}`, { agent: 'researcher' });
    await plain(weir, `http://${PLAIN.toLowerCase()}.b.test/host`, { agent: 'researcher' });
    const lines = await eventually(async () => {
      const all = await weir.records('exchanges', (line) => line.kind === 'exchange');
      return all.length === targets.length + 1 && all;
    }, 'every exchange');
    for (const line of lines) {
      const whole = line.path?.startsWith('/path-') === true || line.path?.startsWith('/query-') === true;
      if (whole) assert.match(line.rules.join(), /own-secret-/, JSON.stringify(line));
    }
    assert.ok(
      lines.some(({ destination }) => /^redacted-[0-9a-f]{6}\.b\.test:80$/.test(destination ?? '')),
      JSON.stringify(lines.at(-1)),
    );
    const spans = await eventually(() => otlp.spans.length > targets.length && otlp.spans, 'the spans');
    const told = JSON.stringify(lines) + JSON.stringify(spans) + weir.logs() + everything(weir.stateDir);
    // Beside the letters that other bytes decide as well.
    for (const form of [...formsOf(SECRET), ...formsOf(PLAIN), PLAIN.toLowerCase()])
      assert.ok(!told.includes(form.slice(2, -4)), `${form.slice(0, 3)}… is told`);
  } finally {
    await scene.close();
  }
});
