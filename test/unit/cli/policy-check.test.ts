import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, test } from 'node:test';
import { Command } from 'commander';
import { CliError, createCli, type World } from '../../../src/cli/context.ts';
import { policyCheckCommand } from '../../../src/cli/policy-check.ts';
import { policyListCommand } from '../../../src/cli/policy-list.ts';
import { tempDir } from './world.ts';

const dir = tempDir();
after(() => rmSync(dir, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** The two commands on their own, without the rest of the command line. */
async function run(args: readonly string[], json = false): Promise<Ran> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const env = { WEIR_CONFIG: join(dir, 'weir.yaml'), WEIR_STATE_DIR: join(dir, 'state') };
  const world = { env, stdin: new PassThrough(), stdout, stderr, cwd: dir } as unknown as World;
  let code = 0;
  const cli = createCli(
    world,
    '0',
    () => ({ json }),
    (given) => {
      code = given;
    },
  );
  const program = new Command().addCommand(policyCheckCommand(cli)).addCommand(policyListCommand(cli));
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { code: error.exit, out: '', err: error.message };
  }
  return { code, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
}

function file(name: string, text: string): string {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, name), text, { mode: 0o600 });
  return name;
}

const GOOD = `policies:
  - name: block-evil
    match_expression: attrs["server.address"].endsWith("evil.com")
    action: block
    priority: 1000
  - name: prompts
    match_expression: attrs["gen_ai.prompt"].matches("(?i)ignore previous")
    action: log
    applies_to: [http.post]
    shadow: true
`;

test('check: what each policy reads, and what can never match in a tunnel', async () => {
  const { code, out, err } = await run(['check', file('good.yaml', GOOD)]);
  assert.deepEqual([code, err], [0, '']);
  assert.match(out, /^block-evil \(block\): reads server\.address$/m);
  assert.match(
    out,
    /^prompts \(log, shadow\): reads gen_ai\.prompt\n {2}note: can never match while TLS is tunnelled: it reads gen_ai\.prompt$/m,
  );
  assert.match(out, /^2 policies, no mistakes; 1 of them can never match while TLS is tunnelled$/m);
});

test('check: mistakes with file, line, policy and key; exit 4', async () => {
  const bad = `policies:
  - name: broken
    match_expression: 'not valid @@@'
  - name: typo
    match_expression: attrs["server.adress"] == "x"
    actoin: block
  - name: fine
    match_expression: attrs["server.adress"] == "x" || name == "http.connect"
`;
  const { code, out, err } = await run(['check', file('bad.yaml', bad)]);
  assert.equal(code, 4);
  assert.match(
    err,
    /^weir: .*bad\.yaml:3: policy "broken": match_expression does not compile: .*\(line 1, column 5\)$/m,
  );
  assert.match(err, /^weir: .*bad\.yaml:6: policy "typo": actoin is not known here — known: id, name/m);
  assert.match(
    out,
    /^ {2}warning: reads server\.adress, which is never set here: .* — did you mean server\.address\?$/m,
  );
  assert.match(out, /1 policy, 2 mistakes/);
});

test('check: an expression that is an error at run time is found', async () => {
  const { code, out } = await run(['check', file('name.yaml', 'policies: [{name: p, match_expression: nope(name)}]')]);
  assert.equal(code, 4);
  assert.match(out, /error: knows no nope\(\): an error when it gets there, which blocks/);
});

test('check and list take the files of the configuration', async () => {
  file('good.yaml', GOOD);
  file(
    'more.json',
    JSON.stringify({
      policies: [{ name: 'all', match_expression: 'true', action: 'allow' }],
      intervention_default_action: 'block',
    }),
  );
  file('weir.yaml', `policies: {files: [${join(dir, 'good.yaml')}, ${join(dir, 'more.json')}]}`);
  const { code, out } = await run(['list']);
  assert.equal(code, 0);
  const lines = out.split('\n').map((line) => line.trim().replaceAll(/ {2,}/g, '|'));
  assert.equal(lines[0], 'PRIORITY|NAME|ACTION|APPLIES TO|AGENTS|STATE|IN TUNNELS|FROM');
  assert.match(lines[1] as string, /^1000\|block-evil\|block\|all\|all\|on\|yes\|.*good\.yaml:2$/);
  assert.match(lines[2] as string, /^0\|all\|allow\|all\|all\|on\|yes\|.*more\.json:1$/);
  assert.match(lines[3] as string, /^0\|prompts\|log\|http\.post\|all\|shadow\|never\|.*good\.yaml:6$/);
  assert.match(out, /3 policies\. Requests that no policy decides are blocked\./);
  const { out: json } = await run(['check'], true);
  const { ok, default: fallback, policies } = JSON.parse(json) as Record<string, unknown>;
  assert.deepEqual([ok, fallback, (policies as unknown[]).length], [true, 'block', 3]);
});

test('no files, a missing file, a file others may write', async () => {
  file('weir.yaml', '{}');
  const none = await run(['check']);
  assert.equal(none.code, 2);
  assert.match(none.err, /no policy files.*policies: \{files: \[FILE\]\}/);
  const missing = await run(['check', 'missing.yaml']);
  assert.equal(missing.code, 4);
  assert.match(missing.err, /missing\.yaml: there is no such file/);
  chmodSync(join(dir, file('open.yaml', GOOD)), 0o666);
  const open = await run(['check', 'open.yaml']);
  assert.equal(open.code, 4);
  assert.match(open.err, /can be changed by other users/);
});

test('nothing of a file reaches the terminal raw', async () => {
  const name = 'a\\u001b[31m\\u202eb';
  const text = `{"policies": [{"name": "${name}", "match_expression": "true"}, {"name": "${name}", "match_expression": "@"}]}`;
  const { out, err } = await run(['check', file('raw.json', text)]);
  const list = await run(['list', 'raw.json']);
  for (const shown of [out, err, list.out, list.err]) {
    assert.ok(!shown.includes('\u001b') && !shown.includes('\u202e'), JSON.stringify(shown));
  }
  assert.match(out, /<U\+001B>/);
});

test('allowed hosts on shared CDNs are named, own ones are not', async () => {
  const file = join(dir, 'shared.yaml');
  writeFileSync(file, JSON.stringify(ONE), { mode: 0o600 });
  const config = {
    destinations: { allowed: ['*.cloudfront.net', 'api.github.com'] },
    agents: { coder: { allowed_domains: ['d111.cloudfront.net'] } },
    policies: { files: [file] },
  };
  writeFileSync(join(dir, 'weir.yaml'), JSON.stringify(config), { mode: 0o600 });
  const { code, err } = await run(['check']);
  assert.equal(code, 0);
  const lines = err.trimEnd().split('\n');
  assert.equal(lines.length, 2, err);
  assert.match(String(lines[0]), /destinations\.allowed: \*\.cloudfront\.net is on a CDN/);
  assert.match(String(lines[1]), /agents\.coder\.allowed_domains: d111\.cloudfront\.net is on a CDN/);
});

const ONE = { policies: [{ name: 'one', match_expression: 'attrs["server.address"] == "a"', action: 'block' }] };

test('check: what is written for hosts whose TLS the configuration does not read', async () => {
  const policies = file(
    'read.yaml',
    `policies:
  - name: no-uploads
    match_expression: attrs["server.address"] == "api.a.example" && attrs["url.path"] == "/upload"
    action: block
`,
  );
  const warned = /^ {2}warning: can never match over TLS: that of api\.a\.example is not read \(intercept\)$/m;
  const check = async (config: string) => {
    file('weir.yaml', config);
    return (await run(['check', policies])).out;
  };
  assert.match(await check('intercept: {only: [api.b.example]}\n'), warned);
  assert.match(await check('mode: monitor\n'), warned);
  assert.doesNotMatch(await check('intercept: {only: ["*.a.example"]}\n'), warned);
  assert.doesNotMatch(await check('nonsense: 1\n'), warned, 'a configuration that cannot be used says nothing');
});
