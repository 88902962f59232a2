import assert from 'node:assert/strict';
import { chmodSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { type Running, startCommand } from '../support/command.ts';
import { canBecomeAnother } from '../support/example-image.ts';
import { configOf, dockerEnv, EXAMPLES, example } from '../support/examples.ts';
import {
  allowed,
  type Container,
  type Manifest,
  type PodSpec,
  problemsOf,
  readManifests,
} from '../support/kubernetes.ts';
import { eventually, startWeir } from '../support/weir.ts';

const directory = join(EXAMPLES, 'kubernetes');
const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));
const manifests = new Map(files.map((name) => [name, readManifests(join(directory, name))]));
const find = (file: string, kind: string, name?: string): Manifest =>
  manifests.get(file)?.find((one) => one.kind === kind && (name === undefined || one.metadata.name === name)) ??
  assert.fail(`${file} has no ${kind} ${name ?? ''}`);
const workloads = [...manifests.values()].flat().filter(({ spec }) => spec?.template !== undefined);
const pod = (manifest: Manifest): PodSpec => manifest.spec?.template?.spec ?? assert.fail('no pod template');
const containers = (spec: PodSpec): readonly Container[] => [...(spec.initContainers ?? []), ...spec.containers];
const weirDeployment = find('weir.yaml', 'Deployment');

describe('examples/kubernetes: the manifests', () => {
  it('every object is what the Kubernetes schemas ask for, with no unknown field', () => {
    assert.deepEqual(files.sort(), [
      'agent.yaml',
      'ca-env.yaml',
      'sidecar-cooperative.yaml',
      'verify.yaml',
      'weir.yaml',
    ]);
    for (const [file, objects] of manifests)
      for (const manifest of objects) assert.deepEqual(problemsOf(manifest), [], `${file}: ${manifest.metadata.name}`);
  });

  it('the schema check sees a wrong type and a misspelt field', () => {
    const broken = structuredClone(weirDeployment) as unknown as { spec: { replicas: unknown; stratgy?: unknown } };
    broken.spec.replicas = 'one';
    broken.spec.stratgy = {};
    const problems = problemsOf(broken as unknown as Manifest);
    assert.deepEqual(problems, ['/spec/replicas: type integer', '/spec/stratgy is not a field of Deployment']);
  });

  it('every pod keeps to the restricted profile, a read-only root, pinned images and a memory limit', () => {
    const namespace = find('weir.yaml', 'Namespace').metadata.labels;
    assert.equal(namespace?.['pod-security.kubernetes.io/enforce'], 'restricted');
    assert.equal(workloads.length, 4);
    for (const manifest of workloads) {
      const spec = pod(manifest);
      const { name } = manifest.metadata;
      assert.equal(spec.securityContext?.['runAsNonRoot'], true, name);
      assert.deepEqual(spec.securityContext?.['seccompProfile'], { type: 'RuntimeDefault' }, name);
      assert.equal(spec['automountServiceAccountToken'], false, name);
      assert.equal(spec['enableServiceLinks'], false, name);
      for (const key of ['hostNetwork', 'hostPID', 'hostIPC', 'shareProcessNamespace'])
        assert.equal(spec[key], undefined, key);
      for (const container of containers(spec)) {
        const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = container.securityContext ?? {};
        assert.deepEqual(
          [allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities],
          [false, true, { drop: ['ALL'] }],
          container.name,
        );
        assert.match(container.image, /:[0-9]+\.[0-9]+\.[0-9]+/, container.name);
        assert.match(JSON.stringify(container['resources']), /"limits":\{"memory":"/, container.name);
        const user: unknown = container.securityContext?.['runAsUser'] ?? spec.securityContext?.['runAsUser'];
        assert.equal(user, container.name === 'agent' ? 10002 : 10001, container.name);
      }
    }
  });

  it('agents reach Weir and the DNS, nothing else; Weir reaches everything and is reached by agents alone', () => {
    const policies = manifests.get('weir.yaml')?.filter(({ kind }) => kind === 'NetworkPolicy') ?? [];
    const agents = ['agent.yaml', 'verify.yaml'].map((file) => {
      const workload = manifests.get(file)?.find(({ spec }) => spec?.template);
      return { labels: workload?.spec?.template?.metadata.labels ?? assert.fail(file) };
    });
    const weir = { labels: weirDeployment.spec?.template?.metadata.labels ?? {} };
    const dns = { labels: { 'k8s-app': 'kube-dns' }, namespace: { 'kubernetes.io/metadata.name': 'kube-system' } };
    const stranger = { labels: { app: 'other' } };
    const internet = {};
    for (const agent of agents) {
      assert.ok(allowed(policies, agent, weir, 8080));
      assert.ok(allowed(policies, agent, dns, 53, 'UDP') && allowed(policies, agent, dns, 53, 'TCP'));
      assert.equal(allowed(policies, agent, weir, 8081), false, 'metrics are not for agents');
      for (const port of [80, 443, 53, 8080]) {
        assert.equal(allowed(policies, agent, internet, port), false, `agent → internet:${port}`);
        assert.equal(allowed(policies, agent, internet, port, 'UDP'), false, `agent → internet:${port} UDP`);
        assert.equal(allowed(policies, agent, stranger, port), false, `agent → another pod:${port}`);
      }
      assert.equal(allowed(policies, agent, { ...dns, namespace: { other: 'namespace' } }, 53, 'UDP'), false);
    }
    assert.ok(allowed(policies, weir, internet, 443) && allowed(policies, weir, stranger, 5432));
    assert.equal(allowed(policies, stranger, weir, 8080), false, 'a pod that is no agent');
  });

  it('Service, ports, probes, mounts and the two configurations fit each other', async () => {
    const selector = find('weir.yaml', 'Service').spec?.['selector'] as Record<string, string>;
    const labels = weirDeployment.spec?.template?.metadata.labels ?? {};
    for (const [name, value] of Object.entries(selector)) assert.equal(labels[name], value);
    for (const [file, map, listen] of [
      ['weir.yaml', 'weir', '0.0.0.0'],
      ['sidecar-cooperative.yaml', 'weir-sidecar-cooperative', '127.0.0.1'],
    ] as const) {
      const config = await configOf(find(file, 'ConfigMap', map).data?.['weir.yaml'] ?? '');
      assert.deepEqual(
        config.listen.map(({ host, port }) => [host, port]),
        [[listen, 8080]],
        file,
      );
      const spec = pod(find(file, 'Deployment'));
      const weir = containers(spec).find(({ name }) => name === 'weir') ?? assert.fail(file);
      assert.equal(weir.ports?.find(({ name }) => name === 'health')?.containerPort, config.health.listen?.port);
      assert.equal(config.health.listen?.host, '0.0.0.0', 'the kubelet asks from outside the pod');
      assert.match(JSON.stringify(weir['startupProbe']), /"path":"\/readyz","port":"health"/);
      assert.match(JSON.stringify(weir['livenessProbe']), /"path":"\/healthz","port":"health"/);
      const mount = weir.volumeMounts?.find(({ name }) => name === 'state')?.mountPath;
      assert.equal(join(config.state_dir, '..'), mount, 'a directory of Weir’s own inside the volume');
      assert.deepEqual(
        weir.volumeMounts?.find(({ name }) => name === 'config'),
        {
          name: 'config',
          mountPath: '/etc/weir',
          readOnly: true,
        },
      );
      assert.equal(spec.securityContext?.['fsGroupChangePolicy'], 'OnRootMismatch');
      assert.ok(Number(spec['terminationGracePeriodSeconds']) > config.limits.drain_s);
    }
    const { replicas, strategy } = weirDeployment.spec as { replicas: number; strategy: unknown };
    assert.deepEqual([replicas, strategy], [1, { type: 'Recreate' }], 'one collector owns the volume');
  });

  it('agents have the environment that weir env --docker prints', async () => {
    const weir = await startWeir({ config: { intercept: 'all' } });
    after(weir.stop);
    const printed = await dockerEnv(weir, 'researcher', 'weir:8080', '/etc/weir/bundle.pem');
    const given = { ...find('agent.yaml', 'ConfigMap').data, ...find('ca-env.yaml', 'ConfigMap').data };
    assert.deepEqual(given, printed);
    const beside = containers(pod(find('sidecar-cooperative.yaml', 'Deployment'))).find(({ name }) => name === 'agent');
    assert.deepEqual(
      Object.fromEntries((beside?.env ?? []).map(({ name, value }) => [name, value])),
      Object.fromEntries(
        Object.entries(await dockerEnv(weir, 'researcher', '127.0.0.1:8080')).filter(
          ([, value]) => !value.startsWith('unexpected'),
        ),
      ),
    );
  });

  it('the same-pod variant is called cooperative wherever one looks', () => {
    const text = example('kubernetes/sidecar-cooperative.yaml');
    assert.match(text, /^# COOPERATIVE/);
    assert.equal(find('sidecar-cooperative.yaml', 'Deployment').metadata.labels?.['weir/containment'], 'cooperative');
    for (const readme of [example('kubernetes/README.md'), example('README.md')])
      assert.match(readme, /sidecar.*cooperative/i);
    for (const manifest of manifests.get('sidecar-cooperative.yaml') ?? [])
      assert.notEqual(manifest.kind, 'NetworkPolicy', 'a policy here would look like a wall');
  });
});

describe('examples/kubernetes: a volume as the kubelet prepares it', {
  skip: !canBecomeAnother() && 'needs root',
}, () => {
  const uid = 10001;
  const base = mkdtempSync(join(tmpdir(), 'weir-volume-'));
  after(() => rmSync(base, { recursive: true, force: true }));

  async function start(stateDir: string): Promise<Running> {
    const file = join(base, 'weir.yaml');
    const text = find('weir.yaml', 'ConfigMap', 'weir').data?.['weir.yaml'] ?? '';
    writeFileSync(file, text.replace(/0\.0\.0\.0:\d+/g, '127.0.0.1:0').replace('/var/lib/weir/state', stateDir), {
      mode: 0o644,
    });
    const env = { WEIR_CONFIG: file, OTEL_SDK_DISABLED: 'true', HOME: join(base, 'volume') };
    return startCommand(['start'], { uid, env, timeout: 60_000 });
  }

  it('the first start makes its directory, a rollout finds everything again, the default fsGroup policy would not', async () => {
    chmodSync(base, 0o755);
    const volume = mkdtempSync(join(base, 'v'));
    // fsGroup: the root of the volume is root's, with the group, group-writable and setgid.
    chownSync(volume, 0, uid);
    chmodSync(volume, 0o2775);
    const state = join(volume, 'state');
    for (const round of ['first', 'rollout']) {
      const weir = await start(state);
      const ready = (): boolean => /listening on/.test(weir.stderr()) && existsSync(join(state, 'public/bundle.pem'));
      await eventually(ready, `${round}: weir start\n${weir.stderr()}`, 20_000);
      weir.kill('SIGTERM');
      assert.equal((await weir.ended).code, 0, weir.stderr());
    }
    // fsGroupChangePolicy: Always.
    for (const name of readdirSync(state, { recursive: true, encoding: 'utf8' })) {
      const path = join(state, name);
      chmodSync(path, name.includes('.') ? 0o660 : 0o2770);
    }
    const refused = await (await start(state)).ended;
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /can be read by others/);
  });
});
