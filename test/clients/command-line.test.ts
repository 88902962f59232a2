import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { GIT_ENV } from '../support/git-origin.ts';
import { type ClientHouse, openClientHouse, runClient, succeeded, type View } from './harness.ts';

const VIEWS: readonly View[] = ['plain', 'tunnel', 'intercepted'];

async function missing(command: string): Promise<string | false> {
  const { code } = await runClient(command, ['--version'], process.env as Record<string, string>);
  return code === 0 ? false : `${command} is not installed`;
}

describe('clients: command line', { timeout: 110_000 }, async () => {
  let house: ClientHouse;
  before(async () => {
    house = await openClientHouse();
  });
  after(() => house?.close());

  const curl = await missing('curl');
  for (const view of VIEWS) {
    it(`curl, HTTP/1.1, ${view}`, { skip: curl }, async () => {
      const args = ['-sS', '--http1.1', '-d', 'hello=weir', '-w', '\n%{http_version} %{http_code}'];
      const text = succeeded(await runClient('curl', [...args, `${house.base(view)}/curl1/${view}?q=1`], house.env()));
      const [body = '', status] = text.split('\n');
      assert.equal(status, '1.1 200');
      const echoed = JSON.parse(body) as { method: string; body: string; proxyHeaders: string[]; path: string };
      assert.deepEqual([echoed.method, echoed.body, echoed.path], ['POST', 'hello=weir', `/curl1/${view}?q=1`]);
      assert.deepEqual(echoed.proxyHeaders, [], 'no proxy header reaches the origin');
      await house.seen(view, `/curl1/${view}`);
    });
  }
  for (const view of ['tunnel', 'intercepted'] as const) {
    it(`curl, HTTP/2, ${view}`, { skip: curl }, async () => {
      const args = ['-sS', '--http2', '-d', 'hello=weir', '-w', '\n%{http_version} %{http_code}'];
      const text = succeeded(await runClient('curl', [...args, `${house.base(view)}/curl2`], house.env()));
      assert.match(text, /\n2 200$/);
      assert.equal((JSON.parse(text.split('\n')[0] ?? '') as { body: string }).body, 'hello=weir');
      await house.seen(view, '/curl2');
    });
  }

  const git = await missing('git');
  for (const view of VIEWS) {
    it(`git clone and push, ${view}`, { skip: git }, async () => {
      const directory = join(house.directory, `git-${view}`);
      const env = house.env(GIT_ENV);
      await mkdir(directory);
      succeeded(await runClient('git', ['clone', '-q', `${house.base(view)}/git/tiny.git`, 'tiny'], env, directory));
      const tree = join(directory, 'tiny');
      await writeFile(join(tree, 'new.txt'), `from ${view}\n`);
      succeeded(await runClient('git', ['add', 'new.txt'], env, tree));
      succeeded(await runClient('git', ['commit', '-q', '-m', `pushed through the weir, ${view}`], env, tree));
      succeeded(await runClient('git', ['push', '-q', 'origin', 'HEAD:main'], env, tree));
      const log = succeeded(await runClient('git', ['ls-remote', 'origin', 'main'], env, tree));
      const head = succeeded(await runClient('git', ['rev-parse', 'HEAD'], env, tree));
      assert.equal(log.split('\t')[0], head.trim());
      await house.seen(view, '/git/tiny.git/git-receive-pack');
    });
  }

  const npm = await missing('npm');
  for (const view of ['tunnel', 'intercepted'] as const) {
    it(`npm install, ${view}`, { skip: npm }, async () => {
      const directory = join(house.directory, `npm-${view}`);
      await mkdir(directory);
      await writeFile(join(directory, 'package.json'), '{"name":"x","version":"1.0.0","private":true}');
      const env = house.env({
        npm_config_registry: `${house.base(view)}/npm/`,
        npm_config_cache: join(directory, 'cache'),
        npm_config_userconfig: join(directory, 'npmrc'),
        npm_config_globalconfig: join(directory, 'globalrc'),
        npm_config_audit: 'false',
        npm_config_update_notifier: 'false',
      });
      succeeded(await runClient('npm', ['install', 'weir-tiny', '--no-fund'], env, directory));
      const installed = await readFile(join(directory, 'node_modules/weir-tiny/index.js'), 'utf8');
      assert.match(installed, /low barrier/);
      await house.seen(view, '/npm/weir-tiny');
    });
  }
});
