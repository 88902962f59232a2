import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { plain } from '../support/agent.ts';
import { assemble } from '../support/assemble.ts';
import { openAi, WORDS } from '../support/llm.ts';
import { startOtlpReceiver } from '../support/otlp-receiver.ts';
import { startWeir } from '../support/weir.ts';

/** Assembled at run time, so that no scanner takes this file for a leak. */
const SECRET = ['ghp', 'aR7x'.repeat(9)].join('_');

describe('telemetry.content: on', () => {
  it('what is said is on the span as the conventions have it, without its secrets, and in no row', async () => {
    const { weir, otlp, close } = await assemble(async (later) => {
      const server = createServer((request, response) => void openAi(request, response));
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      later(async () => void server.close());
      const receiver = await startOtlpReceiver();
      later(receiver.close);
      const started = await startWeir({
        config: {
          upstream: { resolve: { 'api.openai.com': `127.0.0.1:${(server.address() as AddressInfo).port}` } },
          telemetry: { endpoint: receiver.url, content: 'on' },
        },
      });
      later(started.stop);
      return { weir: started, otlp: receiver };
    });
    try {
      await plain(weir, 'http://api.openai.com/v1/chat/completions', {
        agent: 'a',
        method: 'POST',
        body: JSON.stringify({
          model: 'm',
          stream: true,
          messages: [{ role: 'user', content: `what is\n${SECRET}?` }],
        }),
        fields: { 'content-type': 'application/json' },
      });
      await otlp.until(() => otlp.spans.length >= 1);
      const facts = otlp.spans[0]?.attributes ?? {};
      const [question, ...more] = JSON.parse(String(facts['gen_ai.input.messages'])) as {
        role: string;
        parts: { type: string; content: string }[];
      }[];
      assert.equal(question?.role, 'user');
      assert.match(question?.parts[0]?.content ?? '', /^what is.*_REDACTED\]\?$/s);
      assert.deepEqual(more, []);
      const [answer] = JSON.parse(String(facts['gen_ai.output.messages'])) as { parts: { content: string }[] }[];
      assert.equal(answer?.parts[0]?.content, WORDS.join(''));
      assert.ok(!otlp.bodies.some((body) => body.includes(SECRET)));
      const rows = await weir.query('SELECT * FROM exchanges');
      assert.ok(!JSON.stringify(rows).includes('barrier'));
    } finally {
      await close();
    }
  });
});
