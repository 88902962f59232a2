import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { test } from 'node:test';
import { openJournal } from '../../../src/record/journal.ts';
import { createPumps } from '../../../src/record/pumps.ts';
import { collecting, logger, scratch, until } from './harness.ts';

/** Runs the writer, kills it with SIGKILL after some lines, and returns the last thing it said was safe. */
async function writeAndKill(directory: string, boot: string, lines: number): Promise<[number, number, number]> {
  const child = spawn(process.execPath, [new URL('crash-writer.ts', import.meta.url).pathname, directory, boot]);
  let out = '';
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (bytes) => {
      out += String(bytes);
      if (out.split('\n').length > lines) child.kill('SIGKILL');
    });
    child.on('close', () => resolve());
  });
  const whole = out.slice(0, out.lastIndexOf('\n')).trim().split('\n');
  return (whole.at(-1) as string).split(' ').map(Number) as [number, number, number];
}

test('kill -9 of the writer loses nothing that was appended, three lives in a row', {
  timeout: 30_000,
}, async (context) => {
  const directory = scratch(context);
  let spansBefore = 0;
  let startedBefore = 0;
  for (const [life, lines] of [30, 11, 57].entries()) {
    const [spans, started] = await writeAndKill(directory, `child-${life}`, lines);
    const journal = openJournal({ directory, maxBytes: 1 << 30, boot: `parent-${life}`, log: logger().log });
    const status = journal.status();
    const rows = journal.interrupted.length;
    assert.ok(rows > 0);
    // Every open exchange had a row, so every one of them is closed as interrupted and nothing counts as lost.
    assert.ok(status.spans - rows >= spans, `${status.spans} - ${rows} ≥ ${spans}`);
    assert.equal(journal.books().dropped['crash'] ?? 0, 0);
    assert.ok(journal.books().started >= startedBefore + started);
    assert.ok(status.spans > spansBefore);
    spansBefore = status.spans;
    startedBefore = journal.books().started;
    const traces = collecting();
    const pumps = createPumps({
      journal,
      directory,
      consumers: [{ consumer: traces.consumer, maxBatch: 128, lingerMs: 1 }],
      log: logger().log,
    });
    await pumps.start();
    await until(() => pumps.identity().journalled === 0, 'drained');
    const identity = pumps.identity();
    assert.ok(identity.holds, JSON.stringify(identity));
    assert.equal(identity.exported, status.spans);
    assert.equal(new Set(traces.ids()).size, traces.ids().length);
    await pumps.close(500);
    journal.close();
  }
});
