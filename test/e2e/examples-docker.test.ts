import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, get, type Server } from 'node:http';
import { basename, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { validate } from 'dockerfile-utils';
import { loadConfig } from '../../src/config/load.ts';
import type { StatusReport } from '../../src/model/admin.ts';
import { all, pairsOf, readDockerfile, type Stage } from '../support/dockerfile.ts';
import { buildImage, type Image } from '../support/example-image.ts';
import { listening } from '../support/origins.ts';
import { cleanEnv, eventually } from '../support/weir.ts';

const run = promisify(execFile);
const checkout = join(import.meta.dirname, '../..');
const example = join(checkout, 'examples/docker');
const dockerfile = join(example, 'Dockerfile');
const manifest = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as {
  files: string[];
  version: string;
  devDependencies: Record<string, string>;
};

describe('examples/docker: the Dockerfile', () => {
  const stages = readDockerfile(dockerfile);
  const final = stages.at(-1) as Stage;

  it('says nothing the builder would not understand', () => {
    assert.deepEqual(validate(readFileSync(dockerfile, 'utf8')), []);
  });

  it('starts from pinned images with the Node of the tests and glibc', () => {
    for (const { image } of stages) {
      const [, tag] = image.split(':');
      assert.equal(tag, `${manifest.devDependencies['node']}-bookworm-slim`, image);
    }
  });

  it('keeps the rules of a good image', () => {
    for (const stage of stages) {
      assert.deepEqual(all(stage, 'ADD'), [], 'COPY, not ADD (DL3020)');
      assert.deepEqual(all(stage, 'MAINTAINER'), []);
      for (const { text, line } of all(stage, 'WORKDIR')) assert.match(text, /^\//, `line ${line} (DL3000)`);
      for (const { text, line } of all(stage, 'RUN')) {
        assert.doesNotMatch(text, /\bsudo\b|\bcd \//, `line ${line} (DL3003, DL3004)`);
        assert.doesNotMatch(text, /curl|wget/, `line ${line}: nothing is fetched without a lock file`);
        if (/apt(-get)? install/.test(text))
          assert.match(text, /update && .*--no-install-recommends .*rm -rf \/var\/lib\/apt\/lists/, `line ${line}`);
        if (/npm (ci|install)/.test(text)) assert.match(text, /npm ci\b/, `line ${line}: at the locked versions`);
      }
    }
    assert.deepEqual(all(final, 'RUN'), [], 'the image itself needs no shell');
    for (const keyword of ['ENTRYPOINT', 'CMD', 'HEALTHCHECK']) {
      const found = all(final, keyword);
      assert.equal(found.length, 1, `one ${keyword} (DL4003, DL4004, DL3012)`);
      assert.ok(found[0]?.exec, `${keyword} in exec form (DL3025)`);
    }
    const users = all(final, 'USER');
    assert.equal(users.length, 1);
    assert.match(users[0]?.text ?? '', /^[1-9]\d*:[1-9]\d*$/, 'a number: Kubernetes cannot judge a name');
    assert.ok((users[0]?.line ?? 0) < (all(final, 'ENTRYPOINT')[0]?.line ?? 0));
    assert.deepEqual(all(final, 'ENTRYPOINT')[0]?.exec?.slice(0, 2), ['node', '--disable-sigusr1']);
    for (const step of stages.flatMap((stage) => all(stage, 'ENV')))
      for (const name of pairsOf(step).keys())
        assert.doesNotMatch(name, /TOKEN|SECRET|PASSWORD|KEY/, `line ${step.line}`);
  });

  it('copies what exists, what the ignore file lets through, and all that is published', () => {
    const kept = readFileSync(join(example, 'Dockerfile.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    const sources = stages
      .flatMap((stage) => all(stage, 'COPY'))
      .filter(({ flags }) => !flags.has('from'))
      .flatMap(({ text }) => text.split(' ').slice(0, -1));
    for (const source of sources) {
      assert.ok(existsSync(join(checkout, source)), `${source} is in the checkout`);
      assert.ok(kept.includes(source.split('/')[0] ?? ''), `${source} is in the build context`);
    }
    assert.deepEqual(
      kept.filter((name) => !sources.some((source) => source.split('/')[0] === name)),
      [],
      'nothing is sent that is not copied',
    );
    assert.deepEqual(
      manifest.files.filter((name) => name !== 'dist' && !sources.includes(name)),
      [],
      'everything of package.json "files"',
    );
  });

  it('opens the port that the baked configuration listens on, for private networks, under the name of WEIR_AGENT', () => {
    const env = { WEIR_CONFIG: join(example, 'weir.yaml'), WEIR_AGENT: 'my-agent', HOME: '/nonexistent' };
    const { config, warnings } = loadConfig({ env, flags: {} });
    assert.deepEqual(warnings, []);
    assert.equal(config.agent, 'my-agent');
    assert.deepEqual(
      config.listen.map(({ host, port }) => [host, port]),
      [['0.0.0.0', 8080]],
    );
    assert.deepEqual(config.allow_from, ['local-networks']);
    assert.equal(all(final, 'EXPOSE')[0]?.text, '8080');
    assert.deepEqual(all(final, 'VOLUME')[0]?.exec, [config.state_dir]);
    assert.deepEqual(config.health.listen, { host: '127.0.0.1', port: 8081 });
    assert.match(all(final, 'HEALTHCHECK')[0]?.exec?.at(-1) ?? '', /port: 8081, path: '\/readyz'/);
    const image = pairsOf(all(final, 'ENV')[0] ?? assert.fail('ENV'));
    const baked = all(final, 'COPY').find(({ text }) => text.startsWith('examples/docker/weir.yaml '));
    assert.equal(image.get('WEIR_CONFIG'), baked?.text.split(' ')[1]);
  });
});

describe('examples/docker: the image, as a directory', () => {
  let image: Image;
  let origin: Server;
  let originPort = 0;
  let child: ChildProcess | undefined;
  let shipped: string[] = [];
  let log = '';

  before(async () => {
    image = await buildImage(dockerfile);
    shipped = image.files();
    origin = createServer((request, response) => response.end(`you asked for ${request.url}`));
    originPort = await listening(origin);
  });
  after(async () => {
    child?.kill('SIGKILL');
    origin?.close();
    await image?.close();
  });

  /** As the engine would: ENV, USER, no working directory of ours. */
  const options = (more: Record<string, string> = {}) => ({
    cwd: image.at('/var/lib/weir'),
    env: cleanEnv({
      ...image.env,
      PATH: `${join(process.execPath, '..')}:${process.env['PATH'] ?? ''}`,
      // Nothing may need a place to write outside the volume.
      TMPDIR: '/nonexistent',
      OTEL_SDK_DISABLED: 'true',
      ...more,
    }),
    ...(image.user === undefined ? {} : { uid: image.user, gid: image.user }),
  });

  async function start(): Promise<StatusReport> {
    const [program = '', ...args] = [...image.entrypoint, ...image.cmd].map(image.rewrite);
    log = '';
    const started = spawn(program, args, {
      ...options({ WEIR_AGENT: 'my-agent' }),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child = started;
    started.stderr?.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
    return eventually(
      async () => {
        if (started.exitCode !== null) throw new Error(`the entry point ended:\n${log}`);
        const status = await inside('status', '--json').catch(() => undefined);
        return status !== undefined && (JSON.parse(status) as StatusReport);
      },
      'the collector answers weir status',
      20_000,
    );
  }

  async function stop(): Promise<number | null> {
    const stopped = child as ChildProcess;
    const ended = new Promise<number | null>((resolve) => stopped.once('exit', resolve));
    stopped.kill('SIGTERM');
    return ended;
  }

  /** `docker exec weir weir …` */
  async function inside(...args: string[]): Promise<string> {
    return (await run(image.at('/usr/local/bin/weir'), args, { ...options(), timeout: 20_000 })).stdout;
  }

  /** Exit status of HEALTHCHECK, its port replaced by the one that was bound. */
  async function healthcheck(port: number, more: Record<string, string> = {}): Promise<number> {
    const [program = '', ...args] = image.healthcheck.map((word) =>
      image.rewrite(word.replace('port: 8081', `port: ${port}`)),
    );
    const failed = await run(program, args, { ...options(more), timeout: 20_000 }).catch(
      (error: { code: number }) => error,
    );
    return 'code' in failed ? failed.code : 0;
  }

  it('every command of the build was executed, and left the program, its dependencies and nothing to build with', () => {
    const stages = readDockerfile(dockerfile);
    const commands = stages.flatMap((stage) => all(stage, 'RUN')).map(({ text }) => text);
    assert.deepEqual(
      image.ran,
      commands.filter((text) => !text.startsWith('npm ci ')),
    );
    const modules = image.at('/opt/weir/node_modules');
    for (const name of ['@duckdb/node-api', 'commander', 'undici']) assert.ok(existsSync(join(modules, name)), name);
    for (const name of ['typescript', 'ws', '.bin/tsc']) assert.equal(existsSync(join(modules, name)), false, name);
    assert.deepEqual(globSync('opt/weir/{src,test,tsconfig.json}', { cwd: image.root }), []);
    if (image.user === undefined) return;
    assert.equal(statSync(image.at('/var/lib/weir')).uid, image.user);
    for (const path of ['/opt/weir', '/opt/weir/dist/cli/bin.js', '/etc/weir/weir.yaml'])
      assert.deepEqual([statSync(image.at(path)).uid, statSync(image.at(path)).mode & 0o022], [0, 0], path);
  });

  it('docker run -p 8080:8080 -e WEIR_AGENT=my-agent weir: listens, knows the name, is healthy, ends in order', async (t) => {
    // The file is the baked one but for two ports and one path, which are this machine's here and the container's there.
    const config = image.at('/etc/weir/weir.yaml');
    const text = readFileSync(config, 'utf8');
    writeFileSync(
      config,
      text
        .replace('0.0.0.0:8080', '0.0.0.0:0')
        .replace('127.0.0.1:8081', '127.0.0.1:0')
        .replace('state_dir: /var/lib/weir', `state_dir: ${image.at('/var/lib/weir')}`),
    );
    t.after(() => writeFileSync(config, text));
    const status = await start();
    assert.equal(status.mode, 'monitor');
    const proxyPort = Number(status.listeners[0]?.address.split(':').at(-1));
    const healthPort = Number(status.healthAddress?.split(':').at(-1));
    assert.match(status.listeners[0]?.address ?? '', /^0\.0\.0\.0:\d+$/);

    assert.equal(await through(proxyPort, `http://127.0.0.1:${originPort}/hello`), 'you asked for /hello');
    const line = await eventually(
      async () => (await inside('logs', '--json')).split('\n').find((entry) => entry.includes('/hello')),
      'the request is in weir logs',
    );
    assert.equal((JSON.parse(line) as { agent: string }).agent, 'my-agent');

    assert.equal(await healthcheck(healthPort), 0);
    const dead = { HTTP_PROXY: 'http://127.0.0.1:9', http_proxy: 'http://127.0.0.1:9', NODE_USE_ENV_PROXY: '1' };
    assert.equal(await healthcheck(healthPort, dead), 0, 'a proxy in the environment is not asked');

    assert.equal(await stop(), 0, log);
    assert.notEqual(await healthcheck(healthPort), 0, 'down is unhealthy');
    assert.deepEqual(image.files(), shipped, 'nothing was written outside the volume: the root can be read-only');

    await start();
    const rows = JSON.parse(await inside('query', '--json', 'SELECT agent, path FROM exchanges')) as unknown[];
    assert.deepEqual(rows, [{ agent: 'my-agent', path: '/hello' }], 'the volume remembers');
    assert.equal(await stop(), 0, log);
  });

  it('refuses to listen to everybody when allow_from is taken out', async () => {
    const config = image.at('/etc/weir/open.yaml');
    mkdirSync(join(config, '..'), { recursive: true });
    writeFileSync(config, 'listen: 0.0.0.0:0\n');
    const [program = '', ...args] = [...image.entrypoint, ...image.cmd].map(image.rewrite);
    const refused = await run(program, args, { ...options({ WEIR_CONFIG: config }), timeout: 20_000 }).catch(
      (error: { code: number; stderr: string }) => error,
    );
    assert.match(refused.stderr, /allow_from/);
  });
});

describe('examples/docker: the README', () => {
  it('types what the Dockerfile says, and commands that exist', async () => {
    const readme = readFileSync(join(example, 'README.md'), 'utf8');
    const head = readFileSync(dockerfile, 'utf8').split('\n').slice(0, 2);
    for (const line of head) assert.ok(readme.includes(line.replace(/^# | {2,}.*$/g, '')), line);
    assert.ok(readme.startsWith('# ') && readme.split('\n')[2] === '```', 'starts with what to type');
    const bin = join(checkout, 'src/cli/bin.ts');
    for (const [, command = ''] of readme.matchAll(/docker exec weir weir (\w+)/g))
      await run(process.execPath, [bin, command, '--help'], { env: cleanEnv() });
    for (const [, file = ''] of readme.matchAll(/\]\((\S+?)\)/g))
      assert.ok(existsSync(join(example, file)), basename(file));
  });
});

/** One request without credentials through the proxy. */
function through(port: number, url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path: url, agent: false, headers: { host: new URL(url).host } });
    request.on('error', reject);
    request.on('response', (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on('end', () => resolve(text));
      response.on('error', reject);
    });
  });
}
