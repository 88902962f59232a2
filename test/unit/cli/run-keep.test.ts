import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { supervise } from '../../../src/cli/keep.ts';

let dir = '';

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'weir-keep-'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A collector in a few lines: `lives` is what it does in its first, second … life; each life notes the CA it was given. */
function collector(...lives: readonly string[]): string[] {
  const file = join(dir, 'collector.mjs');
  writeFileSync(
    file,
    `import { appendFileSync, readFileSync } from 'node:fs';
     process.once('message', ({ ca }) => {
       const log = ${JSON.stringify(join(dir, 'log'))};
       appendFileSync(log, (ca?.keyPem ?? 'none') + '\\n');
       const made = () => new Promise((done) => process.send({ ca: { certPem: 'c', keyPem: 'k' } }, done));
       const life = readFileSync(log, 'utf8').split('\\n').length - 2;
       const lives = [${lives.map((life) => `async () => { ${life} }`).join(', ')}];
       lives[Math.min(life, lives.length - 1)]();
     });`,
  );
  return [process.execPath, file];
}

function seen(): string[] {
  return readFileSync(join(dir, 'log'), 'utf8').trim().split('\n');
}

const free = { owned: () => Promise.resolve(false) };

test('a collector that dies is started again with the CA it had made', async () => {
  const command = collector('await made(); process.kill(process.pid, "SIGKILL")', 'process.exit(1)', 'process.exit(0)');
  assert.equal(await supervise(command, free), 0);
  assert.deepEqual(seen(), ['none', 'k', 'k']);
});

test('five deaths in a minute are enough', async () => {
  assert.equal(await supervise(collector('await made(); process.exit(1)'), free), 1);
  assert.equal(seen().length, 5);
});

test('one that never worked is not tried again, a wrong configuration neither', async () => {
  assert.equal(await supervise(collector('process.exit(1)'), free), 1);
  assert.equal(seen().length, 1);
  assert.equal(await supervise(collector('process.exit(2)'), free), 2);
  assert.equal(seen().length, 2);
});

test('who finds the directory served by another leaves quietly', async () => {
  assert.equal(await supervise(collector('process.exit(1)'), { owned: () => Promise.resolve(true) }), 0);
});

test('SIGTERM is passed on and ends the supervision', async () => {
  const command = collector(
    'await made(); process.on("SIGTERM", () => process.exit(3)); setInterval(() => {}, 1000); process.kill(process.ppid, "SIGTERM")',
  );
  assert.equal(await supervise(command, free), 0);
  assert.deepEqual(seen(), ['none']);
});

test('a program that is not there is said, not thrown', async () => {
  assert.equal(await supervise([join(dir, 'nothing')], free), 1);
});
