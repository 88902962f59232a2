import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { assemble } from '../support/assemble.ts';
import { linesOf, witness } from '../support/fortress.ts';
import { dial } from '../support/origins.ts';
import { startOtlpReceiver } from '../support/otlp-receiver.ts';
import { ask, claim, peerOf, tunnel } from '../support/watched.ts';
import { startWeir } from '../support/weir.ts';

describe('O3, O15: a killed Weir leaves its gap on record', () => {
  it('kill -9 under load: the next start works on the same directory, open exchanges are closed as interrupted', async () => {
    const house = await assemble(async (later) => {
      const stateDir = await mkdtemp(join(tmpdir(), 'weir-killed-'));
      later(() => rm(stateDir, { recursive: true, force: true }));
      const origin = await witness();
      later(origin.close);
      const otlp = await startOtlpReceiver();
      later(otlp.close);
      return { stateDir, origin, otlp };
    });
    try {
      const config = {
        upstream: { resolve: { 'plain.test': `127.0.0.1:${house.origin.port}` } },
        telemetry: { endpoint: house.otlp.url },
      };
      const first = await startWeir({ stateDir: house.stateDir, config });
      const long = peerOf(await dial(first.port));
      await long.send(`GET http://plain.test/stream HTTP/1.1\r\nHost: plain.test\r\n${claim('long')}\r\n`);
      await long.until('first');
      const opaque = peerOf((await tunnel(first.port, 'long', 'plain.test:5432')).socket);
      await opaque.send('SSH-2.0-x\r\nGET / HTTP/1.1\r\n\r\n');
      await opaque.until('ok');
      assert.match(await ask(first.port, 'short', 'http://plain.test/done'), /^HTTP\/1\.1 200 /);
      // What is older than 5 s has an open row.
      await linesOf(first, 2, ({ agent, outcome }) => agent === 'long' && outcome === 'open');
      first.kill('SIGKILL');
      await first.exited;
      // Its agents see the end at once: nothing goes on unrecorded.
      await Promise.all([long.ended(), opaque.ended()]);

      const second = await startWeir({ stateDir: house.stateDir, config });
      try {
        assert.notEqual(second.pid, first.pid);
        await linesOf(second, 2, ({ agent, outcome }) => agent === 'long' && outcome === 'interrupted');
        await linesOf(second, 0, ({ outcome }) => outcome === 'open');
        await linesOf(second, 1, ({ agent, outcome }) => agent === 'short' && outcome === 'forwarded');
        assert.match(await ask(second.port, 'after', 'http://plain.test/after'), /^HTTP\/1\.1 200 /);
        await house.otlp.until(
          ({ spans }) => spans.filter((span) => span.attributes['weir.outcome'] === 'interrupted').length === 2,
        );
        // Same ids as in the rows: the span continues the exchange, it is no new one.
        const rows = await second.query("SELECT span_id FROM exchanges WHERE outcome = 'interrupted' ORDER BY span_id");
        const spans = house.otlp.spans.filter((span) => span.attributes['weir.outcome'] === 'interrupted');
        assert.deepEqual(
          rows.map((row) => row['span_id']),
          spans.map((span) => span.spanId).sort(),
        );
      } finally {
        await second.stop();
      }
    } finally {
      await house.close();
    }
  });

  it('while it is stopped (SIGSTOP) nothing passes, and it goes on afterwards', async () => {
    const origin = await witness();
    const weir = await startWeir({ config: { upstream: { resolve: { 'plain.test': `127.0.0.1:${origin.port}` } } } });
    try {
      weir.kill('SIGSTOP');
      const pending = ask(weir.port, 'paused', 'http://plain.test/paused');
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert.equal(origin.heard(), '');
      weir.kill('SIGCONT');
      assert.match(await pending, /^HTTP\/1\.1 200 /);
      await weir.records('the paused one', ({ agent }) => agent === 'paused');
    } finally {
      weir.kill('SIGCONT');
      await weir.stop();
      await origin.close();
    }
  });
});
