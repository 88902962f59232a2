import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { configOf, dockerEnv, EXAMPLES, envLines, example } from '../support/examples.ts';
import { startWeir } from '../support/weir.ts';

const run = promisify(execFile);
const manifest = JSON.parse(readFileSync(join(EXAMPLES, '../package.json'), 'utf8')) as {
  name: string;
  version: string;
  bin: Record<string, string>;
};

/** Settings of a unit file, in order: section/key → values. */
function unit(name: string): Map<string, string[]> {
  const settings = new Map<string, string[]>();
  let section = '';
  for (const line of example('systemd', name).split('\n')) {
    section = /^\[(\w+)\]$/.exec(line)?.[1] ?? section;
    const [, key, value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (key === undefined) continue;
    const path = `${section}/${key}`;
    settings.set(path, [...(settings.get(path) ?? []), value]);
  }
  return settings;
}

const weirUnit = unit('weir.service');
const agentUnit = unit('agent@.service');
const one = (settings: Map<string, string[]>, key: string): string => settings.get(`Service/${key}`)?.join(' ') ?? '';
const analyze = await run('systemd-analyze', ['--version']).then(
  ({ stdout }) => Number(/systemd (\d+)/.exec(stdout)?.[1]),
  () => 0,
);

describe('examples/systemd: the units', () => {
  const base = mkdtempSync(join(tmpdir(), 'weir-units-'));
  after(() => rmSync(base, { recursive: true, force: true }));

  /** A copy whose program exists here; everything else is as shipped. */
  const copy = (name: string): string => {
    const path = join(base, name);
    writeFileSync(path, example('systemd', name).replace(/^ExecStart=\S+/m, 'ExecStart=/bin/sh'));
    return path;
  };

  it('systemd understands every line', {
    skip: analyze < 250 && 'systemd-analyze 250 or newer is needed',
  }, async () => {
    const paths = ['weir.service', 'agent@.service'].map(copy);
    for (const path of paths) {
      const { stdout, stderr } = await run('systemd-analyze', ['verify', path]);
      assert.equal(stdout + stderr, '', path);
    }
    const { stdout } = await run('systemd-analyze', ['security', '--offline=yes', '--threshold=20', paths[0] ?? '']);
    assert.match(stdout, /Overall exposure level for weir\.service: [01]\.\d/);
  });

  it('Weir is locked down as far as it can work', () => {
    for (const [key, value] of [
      ['NoNewPrivileges', 'yes'],
      ['ProtectSystem', 'strict'],
      ['ProtectHome', 'yes'],
      ['PrivateTmp', 'yes'],
      ['CapabilityBoundingSet', ''],
      ['UMask', '0077'],
      ['Restart', 'on-failure'],
      ['ExecReload', '/bin/kill -HUP $MAINPID'],
    ] as const)
      assert.equal(one(weirUnit, key), value, key);
    assert.equal(weirUnit.has('Service/MemoryDenyWriteExecute'), false, 'V8 could not start');
    for (const family of ['AF_INET', 'AF_INET6', 'AF_UNIX', 'AF_NETLINK'])
      assert.ok(one(weirUnit, 'RestrictAddressFamilies').includes(family), family);
    assert.notEqual(one(weirUnit, 'User'), one(agentUnit, 'User'), 'agents are another user');
  });

  it('starts what npm installs, with the configuration beside it, on its own state directory', async () => {
    const [bin = ''] = Object.values(manifest.bin);
    const start = one(weirUnit, 'ExecStart');
    assert.equal(start, `/usr/bin/node --disable-sigusr1 /opt/weir/node_modules/${manifest.name}/${bin} start`);
    const readme = example('systemd', 'README.md');
    assert.ok(readme.includes(`npm install --prefix /opt/weir /path/to/weir/${manifest.name}-${manifest.version}.tgz`));
    const config = await configOf(example('systemd', 'weir.yaml'));
    assert.equal(config.state_dir, `/var/lib/${one(weirUnit, 'StateDirectory')}`);
    assert.deepEqual(
      config.listen.map(({ host, port }) => [host, port]),
      [
        ['127.0.0.1', 8080],
        ['::1', 8080],
      ],
    );
    assert.ok(weirUnit.get('Service/Environment')?.includes('WEIR_CONFIG=/etc/weir/weir.yaml'));
    assert.ok(readme.includes('weir.yaml /etc/weir/weir.yaml'));
    assert.ok(Number(one(weirUnit, 'TimeoutStopSec')) > config.limits.drain_s);
  });

  it('an agent has the variables of weir env and no address but loopback', async () => {
    const weir = await startWeir();
    after(weir.stop);
    const given = envLines((agentUnit.get('Service/Environment') ?? []).join('\n').replaceAll('%i', 'researcher'));
    assert.deepEqual(given, await dockerEnv(weir, 'researcher', '127.0.0.1:8080'));
    assert.equal(one(agentUnit, 'IPAddressDeny'), 'any');
    // Not `localhost`: 127.0.0.53 would forward names.
    assert.equal(one(agentUnit, 'IPAddressAllow'), '127.0.0.1 ::1');
    assert.match(one(agentUnit, 'InaccessiblePaths'), /\/run\/systemd\/resolve .*\/run\/docker\.sock/);
  });

  it('the firewall lets the agent user reach the two listeners and nothing else', async () => {
    const rules = example('systemd', 'agent-egress.nft');
    const chain = /chain output \{([\s\S]*?)\n {2}\}/.exec(rules)?.[1] ?? assert.fail('no output chain');
    const lines = chain
      .split('\n')
      .map((line) => line.trim())
      .filter(Boolean);
    const { listen } = await configOf(example('systemd', 'weir.yaml'));
    const accepted = listen.map(
      ({ host, port }) => `${host.includes(':') ? 'ip6' : 'ip'} daddr ${host} tcp dport ${port} accept`,
    );
    assert.deepEqual(lines, [
      'type filter hook output priority filter; policy accept;',
      `meta skuid != "${one(agentUnit, 'User')}" accept`,
      ...accepted,
      'counter reject with icmpx admin-prohibited',
    ]);
    const users = example('systemd', 'weir.sysusers')
      .split('\n')
      .filter((line) => line.startsWith('u '))
      .map((line) => line.split(' ')[1]);
    assert.deepEqual(users, [one(weirUnit, 'User'), one(agentUnit, 'User')]);
  });
});
