import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, describe, it, type TestContext } from 'node:test';
import type { World } from '../../src/cli/context.ts';
import { run } from '../../src/cli/main.ts';
import { configOf } from '../support/examples.ts';
import { type Block, blocksOf, CHECKOUT, filesIn, normal, plainly } from '../support/readme.ts';
import { type Following, fence, openSandbox, type Sandbox, type Typed } from '../support/readme-sandbox.ts';
import { has } from '../support/runs.ts';
import { eventually } from '../support/weir.ts';

const readme = readFileSync(join(CHECKOUT, 'README.md'), 'utf8');
const blocks = blocksOf(readme);
const PAGE = `<!doctype html><title>Example Domain</title>${'.'.repeat(513 - 44)}`;

/** What `.ci/run` does instead of this file. */
const SETUP = ['npm ci', 'npm ci && npm test'];
const START = 'npm ci && npm start';
/** Reach for the machine's trust store or the real network: only in namespaces of their own. */
const FENCED = /^weir (ca (trust|untrust)|verify --containment)\b/;
const CONTINUOUS = /^weir (start|logs -f)$/;
/** Documented exit codes other than 0. */
const CODES: Readonly<Record<string, readonly number[]>> = {
  'weir doctor': [0, 4],
  // Nothing waits for an approval, and nothing is held back.
  'weir approve 0123456789 --for 1h': [1],
  'weir policy accept': [1],
  'weir replay --policy examples/policies/policies.yaml': [0, 4],
  // That is what it is there for.
  'weir replay --agent researcher --policy ~/lists.yaml': [4],
};

let machine: Sandbox;
const done = new Map<string, Typed>();

before(async () => {
  machine = await openSandbox(PAGE);
});
after(() => machine.close());

function keep(results: readonly Typed[]): void {
  for (const result of results) {
    assert.ok(
      (CODES[plainly(result.command)] ?? [0]).includes(result.code),
      `${result.command}: exit ${result.code}\n${result.output}`,
    );
    done.set(plainly(result.command), result);
  }
}

/** Every line of the README's block stands in the output, in that order; with `whole`, nothing else does. */
function compare(block: Block, output: string, home: string, whole: boolean): void {
  const shown = normal(block.shown ?? assert.fail(`no output is shown for ${block.commands.join('; ')}`));
  const real = normal(output, home);
  if (whole) assert.deepEqual(shown, real);
  let from = 0;
  for (const line of shown) {
    const found = real.indexOf(line, from);
    assert.ok(found >= 0, `not printed (there, or at all): ${line}\n--- printed\n${real.join('\n')}`);
    from = found + 1;
  }
}

function blockWith(command: string): Block {
  return blocks.find(({ commands }) => commands.includes(command)) ?? assert.fail(`README has no ${command}`);
}

/** Types a block and holds what is shown behind it to what was printed. */
async function type(block: Block): Promise<void> {
  const commands = block.commands.filter((command) => !FENCED.test(plainly(command)));
  const results = await machine.type(commands);
  keep(results);
  if (block.shown !== undefined) compare(block, results.map(({ output }) => output).join(''), machine.home, false);
}

const missing = ['bash', 'curl'].filter((program) => !has(program, '--version'));

describe('README', { skip: missing.length > 0 && `needs ${missing.join(' and ')}` }, () => {
  const first = blocks[0] ?? assert.fail('no block');
  const rest = blocks.slice(blocks.indexOf(blockWith(START)) + 1);

  it('begins with what a newcomer types, and the receipt is the one the program prints', async () => {
    const [setup, run = ''] = first.commands;
    assert.equal(setup, 'npm ci');
    assert.match(run, /^npm run -s weir -- run -- /);
    assert.ok(readme.slice(0, readme.indexOf('\n## ')).includes(`\`${START}\``));
    assert.ok(readme.slice(0, readme.indexOf('\n## ')).includes('`npm ci && npm test`'));
    // By npm itself, once; the others by a shell script that stands for it.
    const results = await machine.type([run], { fast: false });
    keep(results);
    compare(first, results[0]?.output ?? '', machine.home, true);
    for (const file of filesIn(machine.stateDir))
      assert.ok(!readFileSync(file, 'latin1').includes('PRIVATE KEY'), `a key is on disk: ${file}`);
    assert.ok(!existsSync(join(machine.stateDir, 'private/ca.key')));
  });

  it('what stands before Start runs as it stands', async () => {
    for (const block of blocks.slice(1, blocks.indexOf(blockWith(START)))) await type(block);
    assert.match(done.get('weir demo')?.output ?? '', /The collector, the hosts and their rows are gone/);
  });

  it('the first lines of npm start are those it prints, and everything behind runs in order', async (t) => {
    const collector = await machine.follow('npm start', (output) => output.includes('not verified yet: weir verify\n'));
    try {
      compareStart(collector);
      await eventually(() => existsSync(join(machine.stateDir, 'weir.sock')), 'the admin socket');
      for (const block of rest) {
        if (block.kind === 'sh') await type(block);
        else await typeTable(block, t);
      }
    } finally {
      await collector.stop();
    }
    assert.match(collector.output(), /stopping/);
    const logs = done.get('weir logs')?.output ?? '';
    assert.match(logs, / curl +GET +example\.org:443\/ /, 'what was decrypted');
    assert.match(logs, / curl +CONNECT +example\.org:443 /, 'with --intercept none');
  });

  it('what reaches for the trust store or the network runs where it can reach neither', async (t) => {
    const wrap = fence();
    if (wrap === undefined) return t.skip('needs unshare, ip, mount and a trust store that is known');
    const commands = [...new Set(blocks.flatMap(({ commands }) => commands.map(plainly)))].filter((c) =>
      FENCED.test(c),
    );
    assert.equal(commands.length, 3);
    const home = await machine.another();
    try {
      const start =
        'weir start >"$HOME/start.log" 2>&1 & for i in $(seq 300); do grep -q "not verified" "$HOME/start.log" && break; sleep 0.1; done';
      const [, ...results] = await home.type([start, ...commands, 'kill $!; wait'], { wrap });
      keep(results.slice(0, -1));
      assert.match(done.get('weir verify --containment')?.output ?? '', /^containment: network\./m);
      assert.match(done.get('weir ca untrust')?.output ?? '', /no longer trusted there/);
    } finally {
      await home.close();
    }
  });

  it('no command was left out', () => {
    const skipped = fence() === undefined ? FENCED : /^$/;
    const all = blocks
      .flatMap(({ commands }) => commands)
      .filter((command) => !SETUP.includes(command) && command !== START);
    assert.ok(all.length > 30);
    for (const command of all)
      assert.ok(done.has(plainly(command)) || skipped.test(plainly(command)), `not executed: ${command}`);
    const ci = readFileSync(join(CHECKOUT, '.ci/run'), 'utf8').split('\n');
    for (const command of ['npm ci', 'npm test']) assert.ok(ci.includes(command), command);
  });

  it('what it says of files is so: nothing in the home directory but the state and what was named', () => {
    const left = readdirSync(machine.home).filter((name) => !readme.includes(`~/${name}`));
    assert.deepEqual(left, []);
    assert.deepEqual(readdirSync(join(machine.home, '.local')), ['state']);
    assert.deepEqual(readdirSync(join(machine.home, '.local/state')), ['weir']);
    assert.ok(existsSync(join(machine.stateDir, 'private/ca.key')));
    assert.ok(existsSync(join(machine.stateDir, 'private/hash.key')));
  });
});

function compareStart(collector: Following): void {
  const output = collector
    .output()
    .split('\n')
    .filter((line) => line.startsWith('weir: '));
  const block = blockWith(START);
  // A Collector that happens to run on this machine changes one line.
  const silent = output.some((line) => line.includes('nothing answers OTLP'));
  const shown = (block.shown ?? '').split('\n').filter((line) => silent || !line.includes('OTLP'));
  const printed = output.filter((line) => silent || !/spans|OTLP/.test(line));
  compare({ ...block, shown: shown.join('\n') }, printed.join('\n'), machine.home, true);
}

async function typeTable({ commands }: Block, t: TestContext): Promise<void> {
  for (const command of commands.filter((one) => CONTINUOUS.test(one) && one !== 'weir start')) {
    const following = await machine.follow(command, (output) => output.includes('\n'));
    const { code, signal } = await following.stop();
    assert.ok(code === 0 || signal === 'SIGTERM' || code === 143, `${command}: ${code} ${signal}`);
    done.set(command, { command, code: 0, output: following.output() });
    t.diagnostic(`${command}: started and stopped`);
  }
  const once = commands.filter((one) => !CONTINUOUS.test(one) && !FENCED.test(one) && !done.has(one));
  keep(await machine.type(once));
  // `npm start` is this command: the shim and package.json agree.
  const { scripts } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  if (commands.includes('weir start')) {
    assert.equal(scripts['start'], `${scripts['weir']} start`);
    done.set('weir start', { command: 'weir start', code: 0, output: '' });
  }
}

describe('README, read', () => {
  const table = blocks.find(({ commands }) => commands.includes('weir status')) ?? assert.fail('no table of commands');
  const listed = table.commands.map((command) => command.split(' '));

  it('its table has every command of weir --help, and no other', async () => {
    const top = namesIn(await helpOf());
    const first = new Set(listed.map(([, command]) => command));
    assert.deepEqual([...first].sort(), [...top].sort());
    let parents = 0;
    for (const parent of top.filter((name) => name !== 'help')) {
      const names = namesIn(await helpOf(parent));
      if (names.length === 0) continue;
      parents++;
      const subs = new Set(listed.filter(([, command]) => command === parent).map(([, , sub]) => sub));
      assert.deepEqual([...subs].sort(), names.filter((name) => name !== 'help').sort(), parent);
    }
    assert.ok(parents >= 3, 'baseline, policy, ca');
  });

  it('every option it names belongs to the command, and every command in the prose is one', async () => {
    const rows = [...table.text.matchAll(/^\| `(weir [^`]+)` \| (.*) \|$/gm)];
    assert.equal(rows.length, table.commands.length);
    const problems: string[] = [];
    for (const [, command = '', text = ''] of rows) {
      const known = await optionsOf(command);
      for (const [option] of text.matchAll(/--[a-z0-9-]+/g))
        if (!known.has(option)) problems.push(`${command}: ${option}`);
    }
    const spans = [...readme.matchAll(/`(weir [^`]+)`/g)].map(([, span = '']) => span);
    assert.ok(spans.length > table.commands.length);
    for (const span of spans.filter((one) => !one.startsWith('weir <'))) {
      const known = await optionsOf(span);
      const [own = ''] = span.split(' -- ');
      for (const [option] of own.matchAll(/(?<= )--?[a-z][a-z0-9-]*/g))
        if (!known.has(option)) problems.push(`${span}: ${option}`);
    }
    assert.deepEqual(problems, []);
    await assert.rejects(optionsOf('weir bassline show'), /there is no weir bassline/);
  });

  it('its configuration is one that loads, without a warning', async () => {
    const yaml = blocks.filter(({ kind }) => kind === 'yaml');
    assert.ok(yaml.length > 0);
    for (const { text } of yaml) {
      const config = await configOf(text);
      assert.deepEqual(config.agents.get('researcher')?.blocked_domains.length, 1);
    }
  });

  it('shell blocks say so, so that none is overlooked', () => {
    assert.deepEqual([...new Set(blocks.map(({ kind }) => kind))].sort(), ['sh', 'table', 'text', 'yaml']);
    const alone = blocks.filter(({ kind, text }) => kind === 'text' && text.includes('weir: '));
    assert.deepEqual(alone, []);
  });

  it('its links lead somewhere', () => {
    for (const file of ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md']) {
      const text = readFileSync(join(CHECKOUT, file), 'utf8');
      for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)#]+)\)/g))
        assert.ok(existsSync(join(CHECKOUT, target)), `${file}: ${target}`);
      for (const [, path = ''] of text.matchAll(/`((?:src|test|examples)\/[\w./-]+|[\w-]+\.(?:yaml|md))`/g))
        if (path !== 'weir.yaml') assert.ok(existsSync(join(CHECKOUT, path)), `${file}: ${path}`);
    }
  });

  it('its numbers and versions are those of the bench', () => {
    const bench = readFileSync(join(CHECKOUT, 'test/bench/README.md'), 'utf8');
    const numbers = blocks.find(({ text }) => text.startsWith('| what | measured |')) ?? assert.fail('no numbers');
    const rows = numbers.text.trim().split('\n').slice(2);
    assert.ok(rows.length >= 5);
    for (const row of rows) assert.ok(bench.includes(row.replace(/\|$/, '|')), `not in test/bench/README.md: ${row}`);
    const versions = /\((Node v[^,]+), (mitmproxy [^,]+), ([^,]+),/.exec(readme) ?? assert.fail('no versions');
    for (const version of versions.slice(1)) assert.ok(bench.includes(version), version);
  });

  it('its packages are used, but for the one it says is not', () => {
    const code = programText();
    const rows = [...readme.matchAll(/^\| (`[^|]+`) \| (.+) \|$/gm)].filter(([, name = '']) =>
      /^`[@a-z-]+(\/[a-z-]+)?`( →|$)/.test(name),
    );
    assert.equal(rows.length, 7);
    for (const [, name = '', text = ''] of rows) {
      const used = /`([^`]+)`$/.exec(name)?.[1] ?? '';
      const imported = new RegExp(`(?:from |import\\()'${used}(?:/[^']*)?'`).test(code);
      assert.equal(imported, !text.includes('not used in this version'), used);
    }
  });
});

/** Every source that the program can load, from its entries on. */
function programText(): string {
  const files = new Map<string, string>();
  const visit = (file: string): void => {
    if (files.has(file)) return;
    const text = readFileSync(file, 'utf8');
    files.set(file, text);
    for (const [, target = ''] of text.matchAll(/'(\.{1,2}\/[^']+\.ts)'/g)) {
      const next = join(dirname(file), target);
      if (existsSync(next)) visit(next);
    }
  };
  for (const entry of ['cli/bin.ts', 'recorder.ts', 'index.ts']) visit(join(CHECKOUT, 'src', entry));
  return [...files.values()].join('\n');
}

const helps = new Map<string, string>();

/** What a command prints with --help; '' when there is no such command. */
async function helpOf(...words: string[]): Promise<string> {
  const key = words.join(' ');
  let text = helps.get(key);
  if (text === undefined) {
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    stdin.end();
    await run([...words, '--help'], { env: {}, stdin, stdout, stderr, cwd: CHECKOUT } as unknown as World);
    text = String(stdout.read() ?? '');
    helps.set(key, text);
  }
  return text;
}

/** Options that a command line's command has. Rejects when it is none. */
async function optionsOf(line: string): Promise<Set<string>> {
  const [, name = '', sub = ''] = line.split(' ');
  let help = await helpOf(...(name === 'help' ? [] : [name]));
  if (!help.startsWith(name === 'help' ? 'Usage: weir' : `Usage: weir ${name} `))
    throw new Error(`there is no weir ${name}`);
  if (name !== 'help' && namesIn(help).length > 0 && sub !== '' && sub !== '…') {
    help = await helpOf(name, sub);
    if (!help.startsWith(`Usage: weir ${name} ${sub} `)) throw new Error(`there is no weir ${name} ${sub}`);
  }
  return new Set([...help.matchAll(/(?<=[ ,])--?[a-z0-9-]+/g)].map(([option]) => option));
}

/** Names in the list of a help text. */
function namesIn(help: string): string[] {
  return [...(help.split('Commands:\n')[1] ?? '').matchAll(/^ {2}([a-z]+)/gm)].map(([, name = '']) => name);
}
