import { readFileSync } from 'node:fs';
import { validate as deployment } from 'kubernetes-models/_schemas/IoK8sApiAppsV1Deployment';
import { validate as job } from 'kubernetes-models/_schemas/IoK8sApiBatchV1Job';
import { validate as configMap } from 'kubernetes-models/_schemas/IoK8sApiCoreV1ConfigMap';
import { validate as namespace } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Namespace';
import { validate as claim } from 'kubernetes-models/_schemas/IoK8sApiCoreV1PersistentVolumeClaim';
import { validate as service } from 'kubernetes-models/_schemas/IoK8sApiCoreV1Service';
import { validate as networkPolicy } from 'kubernetes-models/_schemas/IoK8sApiNetworkingV1NetworkPolicy';
import { parseAllDocuments } from 'yaml';

/** Validators compiled from the OpenAPI document of Kubernetes. */
const SCHEMAS: ReadonlyMap<string, Validate> = new Map<string, Validate>([
  ['apps/v1 Deployment', deployment],
  ['batch/v1 Job', job],
  ['networking.k8s.io/v1 NetworkPolicy', networkPolicy],
  ['v1 ConfigMap', configMap],
  ['v1 Namespace', namespace],
  ['v1 PersistentVolumeClaim', claim],
  ['v1 Service', service],
]);

export type Labels = Readonly<Record<string, string>>;

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value: string }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly [more: string]: unknown;
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly securityContext?: Readonly<Record<string, unknown>>;
  readonly [more: string]: unknown;
}

interface Peer {
  readonly podSelector?: { readonly matchLabels: Labels };
  readonly namespaceSelector?: { readonly matchLabels: Labels };
}

export interface PolicyRule {
  readonly to?: readonly Peer[];
  readonly from?: readonly Peer[];
  readonly ports?: readonly { readonly protocol: string; readonly port: number }[];
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Labels };
  readonly spec?: {
    readonly template?: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
    readonly podSelector?: { readonly matchLabels: Labels };
    readonly policyTypes?: readonly string[];
    readonly ingress?: readonly PolicyRule[];
    readonly egress?: readonly PolicyRule[];
    readonly [more: string]: unknown;
  };
  readonly data?: Readonly<Record<string, string>>;
}

/** A pod, or a place outside the cluster (no labels). */
export interface End {
  readonly labels?: Labels;
  readonly namespace?: Labels;
}

/** What NetworkPolicies say about one connection: selected pods may do only what some rule of some policy allows. */
export function allowed(policies: readonly Manifest[], from: End, to: End, port: number, protocol = 'TCP'): boolean {
  const side = (end: End, other: End, type: 'Egress' | 'Ingress'): boolean => {
    const mine = policies.filter(
      ({ spec }) =>
        spec?.policyTypes?.includes(type) && end.labels && matches(spec.podSelector?.matchLabels, end.labels),
    );
    if (mine.length === 0) return true;
    const rules = mine.flatMap(({ spec }) => (type === 'Egress' ? spec?.egress : spec?.ingress) ?? []);
    return rules.some((rule) => {
      const peers = type === 'Egress' ? rule.to : rule.from;
      const ports = rule.ports?.some((one) => one.port === port && one.protocol === protocol) ?? true;
      return ports && (peers?.some((peer) => isPeer(peer, other)) ?? true);
    });
  };
  return side(from, to, 'Egress') && side(to, from, 'Ingress');
}

/** Without a namespace selector a pod selector means the policy's own namespace. */
function isPeer(peer: Peer, end: End): boolean {
  if (end.labels === undefined || !matches(peer.podSelector?.matchLabels, end.labels)) return false;
  if (peer.namespaceSelector === undefined) return end.namespace === undefined;
  return end.namespace !== undefined && matches(peer.namespaceSelector.matchLabels, end.namespace);
}

function matches(wanted: Labels | undefined, labels: Labels): boolean {
  return Object.entries(wanted ?? {}).every(([name, value]) => labels[name] === value);
}

interface Validate {
  (data: unknown): boolean;
  errors?: readonly { readonly instancePath: string; readonly keyword: string; readonly params: object }[] | null;
}

/** All documents of a manifest file. Throws Error for YAML that is not clean. */
export function readManifests(path: string): Manifest[] {
  return parseAllDocuments(readFileSync(path, 'utf8'), { strict: true, merge: false }).map((document) => {
    for (const problem of [...document.errors, ...document.warnings]) throw new Error(`${path}: ${problem.message}`);
    return document.toJS() as Manifest;
  });
}

/**
 * What the Kubernetes schemas have against an object. They allow any further field, the API server in strict mode none: a
 * field that the validator never looks at is one it does not know.
 */
export function problemsOf(manifest: Manifest): string[] {
  const validate = SCHEMAS.get(`${manifest.apiVersion} ${manifest.kind}`);
  if (validate === undefined) return [`there is no ${manifest.kind} in ${manifest.apiVersion}`];
  const unread = new Set<string>();
  validate(watched(manifest, '', unread));
  const errors = (validate.errors ?? []).map(
    ({ instancePath, keyword, params }) => `${instancePath}: ${keyword} ${Object.values(params).join(' ')}`,
  );
  return [...errors, ...[...unread].map((path) => `${path} is not a field of ${manifest.kind}`)];
}

/** A copy that notes which of its properties are looked at; maps of labels and the like are listed as a whole. */
function watched(value: unknown, path: string, unread: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [] : {};
  for (const [key, member] of Object.entries(value)) {
    (copy as Record<string, unknown>)[key] = watched(member, `${path}/${key}`, unread);
    if (!Array.isArray(value)) unread.add(`${path}/${key}`);
  }
  if (Array.isArray(value)) return copy;
  return new Proxy(copy, {
    get: (target, key, self) => {
      if (typeof key === 'string') unread.delete(`${path}/${key}`);
      return Reflect.get(target, key, self);
    },
    ownKeys: (target) => {
      for (const key of Object.keys(target)) unread.delete(`${path}/${key}`);
      return Reflect.ownKeys(target);
    },
  });
}
