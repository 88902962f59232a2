import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { tempDir, weir } from './world.ts';

/** Assembled at run time, so that no scanner takes this file for a leak. */
const TOKEN = ['ghp', 'aR7x'.repeat(9)].join('_');

const OWN = `patterns:
  - id: acme-key
    name: Acme Key
    severity: high
    category: token
    expression: "(?<![A-Za-z0-9])acme_[a-z0-9]{16}(?![A-Za-z0-9])"
    keywords: [acme_]
    label: ACME KEY
    home: [api.acme.test]
    examples: ["acme_{{}}{{aB3d*4}}"]
    counter_examples: ["acme_short"]
    reference: https://example.com
`;

function setting(patterns: object): { env: NodeJS.ProcessEnv; dir: string } {
  const dir = tempDir();
  const file = join(dir, 'weir.yaml');
  writeFileSync(file, JSON.stringify({ patterns }), { mode: 0o600 });
  return { dir, env: { WEIR_CONFIG: file, WEIR_STATE_DIR: join(dir, 'state') } };
}

test('list: every pattern as a table or JSON, without a collector', async () => {
  const { env } = setting({ disable: ['github-pat'] });
  const { code, out } = await weir(['patterns', 'list'], env);
  assert.equal(code, 0);
  assert.match(out, /^github-pat .*critical .*disabled$/m);
  const facts = JSON.parse((await weir(['patterns', 'list', '--json'], env)).out) as Record<string, unknown>[];
  const fact = facts.find((one) => one['id'] === 'github-pat');
  assert.equal(fact?.['enabled'], false);
  assert.equal(fact?.['kind'], 'credential');
  assert.ok(facts.length > 100);
});

test('test: what would be found, with label and place, the secret masked', async () => {
  const { env, dir } = setting({});
  const text = `first line\nkey ${TOKEN}\nand ${Buffer.from(`token=${TOKEN}`).toString('base64')}\n`;
  const { code, out } = await weir(['patterns', 'test'], env, text);
  assert.equal(code, 4);
  assert.match(out, /2:5 +github-pat +critical +GITHUB PERSONAL ACCESS TOKEN +40 +ghp_…/);
  assert.match(out, /3:\d+ +github-pat .*base64/);
  assert.ok(!out.includes(TOKEN.slice(4, 14)));
  const file = join(dir, 'text');
  writeFileSync(file, text);
  const json = await weir(['patterns', 'test', file, '--json'], env);
  assert.equal(json.code, 4);
  assert.ok(!json.out.includes(TOKEN.slice(4, 14)));
  assert.equal((JSON.parse(json.out) as { found: unknown[] }).found.length, 2);
});

test('test: nothing found is status 0', async () => {
  const { code, out } = await weir(['patterns', 'test', '-'], setting({}).env, 'good morning\n');
  assert.deepEqual([code, out], [0, 'nothing found\n']);
});

test('test: a file that is not there', async () => {
  const { code, err } = await weir(['patterns', 'test', '/nonexistent/file'], setting({}).env);
  assert.equal(code, 2);
  assert.match(err, /\/nonexistent\/file cannot be read \(ENOENT\)/);
});

test('explain: one pattern, and an id that is none', async () => {
  const { env } = setting({});
  const { code, out } = await weir(['patterns', 'explain', 'github-pat'], env);
  assert.equal(code, 0);
  assert.match(out, /^home +.*api\.github\.com/m);
  assert.match(out, /^label +\[GITHUB PERSONAL ACCESS TOKEN_REDACTED\]$/m);
  const wrong = await weir(['patterns', 'explain', 'nothing\u001b[31m'], env);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /there is no pattern nothing<U\+001B>/);
});

test('a directory of one’s own, and what is wrong with it', async () => {
  const { env, dir } = setting({ directories: [join(tempDir(), 'missing')] });
  const missing = await weir(['patterns', 'list'], env);
  assert.equal(missing.code, 1);
  assert.match(missing.err, /patterns\.directories: .*missing cannot be read \(ENOENT\)/);
  const mine = join(dir, 'mine');
  mkdirSync(mine);
  writeFileSync(join(mine, 'acme.yaml'), OWN);
  const own = setting({ directories: [mine] });
  const { out } = await weir(['patterns', 'test'], own.env, `x ${['acme', 'a1b2c3d4e5f6a7b8'].join('_')} y`);
  assert.match(out, /1:3 +acme-key +high +ACME KEY/);
  writeFileSync(join(mine, 'again.yaml'), OWN);
  assert.match((await weir(['patterns', 'list'], own.env)).err, /again\.yaml: acme-key: already defined in acme\.yaml/);
  const check = await weir(['check'], own.env);
  assert.equal(check.code, 4);
  assert.match(check.err, /acme-key: already defined/);
  const typo = await weir(['check'], setting({ disable: ['github-pta'] }).env);
  assert.match(typo.err, /patterns\.disable: github-pta is no pattern/);
});

test('secrets of one’s own: from a file and from variables, in any encoding, and never shown', async () => {
  const dir = tempDir();
  const file = join(dir, 'secrets');
  const [first, second] = ['correct.horse(battery)+staple', 'p@ss wörd $1'];
  writeFileSync(file, `# mine\n\n${first}\n`, { mode: 0o600 });
  const { env } = setting({ secrets_file: file, secrets_env: ['MY_SECRET', 'UNSET'] });
  const all = { ...env, MY_SECRET: second };
  const text = `a ${first} b ${Buffer.from(`xx${first}`).toString('base64')} c ${encodeURIComponent(second)}`;
  const { code, out } = await weir(['patterns', 'test'], all, text);
  assert.equal(code, 4);
  assert.equal([...out.matchAll(/own-secret-\d/g)].length, 3, out);
  for (const secret of [first, second]) assert.ok(!out.includes(secret.slice(0, 6)));
  writeFileSync(file, 'short\n');
  const short = await weir(['patterns', 'test'], all, text);
  assert.match(short.err, /line 1 of .*secrets is shorter than 8 bytes/);
  assert.ok(!short.err.includes('short\n'));
});
