import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, test } from 'node:test';
import type { World } from '../../../src/cli/context.ts';
import { run } from '../../../src/cli/main.ts';
import { tempDir } from './world.ts';

const EXAMPLES = join(import.meta.dirname, '../../../examples');
const dir = tempDir();
after(() => rmSync(dir, { recursive: true, force: true }));

/** `weir init …` in a working directory. */
async function init(cwd: string, ...args: readonly string[]) {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
  stdin.end();
  const world = { env: { HOME: cwd }, stdin, stdout, stderr, cwd } as unknown as World;
  const code = await run(['init', ...args], world);
  return { code, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
}

function fresh(name: string): string {
  const made = join(dir, name);
  mkdirSync(made);
  return made;
}

test('without a name: every example with the heading of its README', async () => {
  const { code, out } = await init(dir);
  assert.equal(code, 0);
  const names = readdirSync(EXAMPLES, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  assert.ok(names.length > 0);
  for (const { name } of names) assert.match(out, new RegExp(`^${name} `, 'm'));
  assert.match(out, /^node-agent +A Node agent behind Weir$/m);
  const listed = JSON.parse((await init(dir, '--json')).out) as { name: string; title: string }[];
  assert.deepEqual(
    listed.map(({ name }) => name),
    names.map(({ name }) => name).sort(),
  );
});

test('copies the files as they are and says what to type next', async () => {
  const cwd = fresh('copy');
  const { code, out, err } = await init(cwd, 'node-agent');
  assert.deepEqual([code, err], [0, '']);
  for (const file of ['README.md', 'agent.mjs'])
    assert.deepEqual(readFileSync(join(cwd, 'node-agent', file)), readFileSync(join(EXAMPLES, 'node-agent', file)));
  assert.match(
    out,
    /^node-agent is in node-agent:\n {2}README\.md\n {2}agent\.mjs\n\nNext \(more in node-agent\/README\.md\):\n\n/,
  );
  const readme = readFileSync(join(EXAMPLES, 'node-agent/README.md'), 'utf8');
  const block = readme.split('```')[1]?.trim().split('\n') ?? [];
  assert.ok(block.length > 3);
  for (const line of block) assert.ok(out.includes(line === '' ? '\n\n' : `  ${line}\n`), line);
  assert.doesNotMatch(out, /```/);
});

test('into a directory that is named, also one that is there or a link to one', async () => {
  const cwd = fresh('named');
  mkdirSync(join(cwd, 'there'));
  writeFileSync(join(cwd, 'there', 'mine.txt'), 'mine');
  symlinkSync('there', join(cwd, 'link'));
  const { code, out } = await init(cwd, 'node-agent', 'link', '--json');
  assert.equal(code, 0);
  assert.deepEqual(JSON.parse(out), {
    example: 'node-agent',
    dir: join(cwd, 'link'),
    files: ['README.md', 'agent.mjs'],
  });
  assert.deepEqual(readdirSync(join(cwd, 'there')).sort(), ['README.md', 'agent.mjs', 'mine.txt']);
});

test('never overwrites: says what is in the way and writes nothing', async () => {
  const cwd = fresh('taken');
  mkdirSync(join(cwd, 'node-agent'));
  writeFileSync(join(cwd, 'node-agent', 'agent.mjs'), 'mine');
  const { code, err } = await init(cwd, 'node-agent');
  assert.equal(code, 1);
  assert.equal(
    err,
    'weir: node-agent/agent.mjs is in the way; nothing is overwritten. Move it, or name another directory: weir init node-agent DIR\n',
  );
  assert.deepEqual(readdirSync(join(cwd, 'node-agent')), ['agent.mjs']);
  assert.equal(readFileSync(join(cwd, 'node-agent', 'agent.mjs'), 'utf8'), 'mine');
  // A link that leads nowhere yet, and a file where the directory belongs.
  symlinkSync(join(cwd, 'elsewhere'), join(cwd, 'dangling'));
  assert.match((await init(cwd, 'node-agent', 'dangling')).err, /^weir: dangling is in the way/);
  assert.ok(!existsSync(join(cwd, 'elsewhere')));
  mkdirSync(join(cwd, 'd'));
  symlinkSync(join(cwd, 'elsewhere'), join(cwd, 'd', 'README.md'));
  assert.match((await init(cwd, 'node-agent', 'd')).err, /^weir: d\/README\.md is in the way/);
  writeFileSync(join(cwd, 'file'), '');
  assert.match((await init(cwd, 'node-agent', 'file')).err, /^weir: file is in the way/);
});

test('an unknown example is named, and no path leaves the examples', async () => {
  const cwd = fresh('unknown');
  for (const name of ['nod-agent', '../src', '.', 'node-agent/..', '/etc']) {
    const { code, err } = await init(cwd, name);
    assert.equal(code, 2, name);
    assert.match(err, /^weir: there is no example .*\. There are: .*node-agent/);
  }
  assert.deepEqual(readdirSync(cwd), []);
});
