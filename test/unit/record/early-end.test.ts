import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';

const ENDER = new URL('early-ender.ts', import.meta.url).pathname;

// A thread that is ended inside a call of DuckDB's aborts the whole process (exit 134): `weir start` on a port that is taken
// ends its recorder while the database is being opened.
test('a recorder that is ended while it starts leaves the process whole', { timeout: 60_000 }, async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'weir-early-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const delay of [0, 40, 80, 120, 160, 200, 250]) {
    const child = spawn(process.execPath, [ENDER, directory, String(delay)], { stdio: ['ignore', 'pipe', 'pipe'] });
    const exited = new Promise((resolve) => child.once('close', (code, signal) => resolve(code ?? signal)));
    const [out, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
    assert.deepEqual([code, out], [0, 'ended\n'], `after ${delay} ms: ${errors}`);
  }
});
