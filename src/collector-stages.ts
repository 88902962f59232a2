import { refuse, verify } from './collector-answers.ts';
import { type Limits, limitInspectors } from './collector-budgets.ts';
import { contentStage } from './collector-content.ts';
import { leakParts } from './collector-leaks.ts';
import type { Policies } from './collector-policies.ts';
import type { Scanning } from './collector-scan.ts';
import type { Shown } from './collector-shown.ts';
import { isStopped } from './collector-stopped.ts';
import type { Config } from './config/schema.ts';
import type { ScanBudget } from './content/budget.ts';
import type { Accounts } from './inspect/account.ts';
import { addressInspector } from './inspect/address.ts';
import { http3Inspector, withoutHttp3 } from './inspect/alt-svc.ts';
import type { Baseline } from './inspect/baseline-contract.ts';
import type { Categories } from './inspect/categories.ts';
import { createFingerprints } from './inspect/credential.ts';
import { createDestinations, type DestinationLists } from './inspect/destination.ts';
import { generatedNameInspector } from './inspect/generated-name.ts';
import { type AgentEvidence, baselineKeys, createAgentKeys, createIdentify } from './inspect/identity.ts';
import type { LeakRules } from './inspect/leak-rules.ts';
import { namesInspectors } from './inspect/names.ts';
import { type IsSelf, selfInspectors } from './inspect/self.ts';
import type { TenantOf } from './inspect/tenant.ts';
import type { Containment } from './model/admin.ts';
import type { Exchange } from './model/exchange.ts';
import type { Mode } from './model/finding.ts';
import { compileHosts } from './model/glob.ts';
import { parseAuthority } from './model/host.ts';
import type { Inspector, Upstream } from './model/ports.ts';
import type { InterceptChoice } from './model/run.ts';
import { refOf } from './model/ulid.ts';
import type { ReadingStage, Stages } from './pipeline/stages.ts';
import { compileModes, enforce, type ModeFor, type ModeRule, mintPermit } from './verdict/enforce.ts';
import { failure } from './verdict/failure.ts';
import { judge } from './verdict/judge.ts';

/** Answered by Weir in every mode: the name cannot resolve (RFC 6761 §6.4), so nothing is lost (product.md §9 "First lines"). */
export const VERIFY_HOST = 'verify.weir.invalid';

/** What `weir mode` changed since the start; beats the configuration until it is reloaded. */
export interface ModeOverrides {
  global?: Mode;
  readonly agents: Map<string, Mode>;
  readonly stopped: Set<string>;
  everyoneStopped: boolean;
}

/** The data files of `patterns/`, compiled. */
export interface StageData {
  readonly categories: Categories;
  readonly tenantOf: TenantOf;
}

export interface StageInputs {
  readonly config: Config;
  readonly data: StageData;
  readonly baseline: Baseline;
  readonly accounts: Accounts;
  readonly upstream: Upstream;
  readonly scan: Scanning;
  readonly scanBudget: ScanBudget;
  /** Outlives reloads: what is under way keeps its readers. */
  readonly reading: ReadingStage;
  /** Absent = nobody asks policies. */
  readonly policies?: Policies;
  /** What agents have sent and how often they asked; absent = nothing of it is kept. */
  readonly limits?: Limits;
  readonly overrides: ModeOverrides;
  readonly isSelf: IsSelf;
  readonly containment: () => Containment;
  /** Keyed hash of the state directory. */
  readonly hash: (text: string) => string;
  /** Agents are told no secret, not even their own. */
  readonly shown: Shown;
  /** `store.required`: nothing can be recorded now. */
  readonly unrecorded?: () => boolean;
}

/** Stages with what only the hall asks of them. */
export interface CompiledStages extends Stages {
  readonly modeFor: ModeFor;
  /** TLS of its destination is to be read: by the configuration, or by the `weir run` its port belongs to. */
  readonly readsTls: (exchange: Exchange) => boolean;
  readonly configKey: (agent: string) => string;
  readonly categories: Categories;
  readonly leakRules: LeakRules;
  /** The inspectors for a request that is only asked about: limits and throttles say how they stand, and count nothing. */
  readonly asking: () => readonly Inspector[];
}

/** Configuration → one immutable set of stages. Throws Error with a sentence for people; then the old set stays. */
export function compileStages(inputs: StageInputs): CompiledStages {
  const { config, baseline, overrides, shown } = inputs;
  const { categories } = inputs.data;
  const keys = createAgentKeys(config.agents.keys(), config.agent);
  const modeFor = modesOf(config, overrides, keys.configKey, categories);
  const wantsTls = interceptionOf(config.intercept, categories);
  // What could not be read although it was to be is a tunnel like any other.
  const readsTls = ({ destination: { host }, connection: { run, interceptionSkipped } }: Exchange): boolean =>
    interceptionSkipped === undefined && (run === undefined ? wantsTls(host) : run.readsTls(host));
  const destinations = createDestinations({
    global: config.destinations,
    agents: listsOf(config),
    agentKey: keys.configKey,
    categories,
    accepted: (agent, host, port) => baseline.isAccepted(agent, host, port),
    willRead: (exchange) =>
      exchange.destination.scheme !== 'tcp' || exchange.destination.port === 80 || readsTls(exchange),
    readsTls,
  });
  const names = namesInspectors({
    onEch: config.tunnel.on_ech,
    authorityAllowed: (exchange) =>
      destinations.allows(exchange) || unrestricted(config, keys.configKey(exchange.identity.agent)),
    expected: (exchange) => expectedProtocol(exchange, baseline) || destinations.namesPort(exchange),
  });
  const account = accountsOf(inputs);
  const leaks = leakParts(config, keys.configKey, inputs.scan, shown.host);
  // Order: what Weir may never do first (its answer is the same in every mode), then lists, names, addresses, rates; policies
  // have a phase of their own, after all others.
  const all = (limits: readonly Inspector[], policies: readonly Inspector[]): readonly Inspector[] => [
    ...selfInspectors(inputs.isSelf),
    destinations.inspector,
    destinations.carried,
    ...names,
    generatedNameInspector({
      expected: (exchange) => destinations.allows(exchange) || isAccepted(baseline, exchange),
      shownHost: shown.host,
    }),
    ...leaks.inspectors,
    addressInspector({ internal: config.destinations.internal }),
    http3Inspector(),
    ...limits,
    ...policies,
  ];
  return {
    modeFor,
    readsTls,
    configKey: keys.configKey,
    categories,
    leakRules: leaks.rules,
    identify: createIdentify({
      agents: evidenceOf(config),
      defaultAgent: config.agent,
      identify: config.identify,
      maxAgents: config.limits.agents,
      isSecret: (name) => shown.text(name) !== name,
    }),
    inspectors: all(
      limitInspectors(config, keys.configKey, inputs.limits),
      inputs.policies?.inspectors(readsTls) ?? [],
    ),
    asking: () =>
      all(limitInspectors(config, keys.configKey, inputs.limits, true), inputs.policies?.asking(readsTls) ?? []),
    baseline,
    accounts: inputs.accounts,
    upstream: inputs.upstream,
    judge,
    apply: (verdict, findings, exchange) =>
      enforce(
        verdict,
        findings,
        modeFor(exchange.identity.agent, exchange.destination, exchange.connection.run?.mode),
        findings.some(({ disposition, located }) => located !== undefined && disposition !== 'flag'),
      ),
    mintPermit,
    refuse: (exchange) => refuse(exchange, inputs),
    fail: (code, exchange, detail) =>
      failure({
        code,
        ...(exchange === undefined ? {} : { ref: refOf(exchange.id) }),
        // Port 0: the request names no destination anybody could read.
        ...(exchange === undefined || exchange.destination.port === 0
          ? {}
          : { destination: { host: shown.host(exchange.destination.host), port: exchange.destination.port } }),
        ...(detail === undefined ? {} : { detail: shown.text(detail) }),
      }),
    verification: (exchange) =>
      exchange.destination.host === VERIFY_HOST ? verify(exchange, modeFor, inputs) : undefined,
    account,
    content: contentStage({
      config,
      scan: inputs.scan,
      budget: inputs.scanBudget,
      configKey: keys.configKey,
      rules: leaks.rules,
      shownHost: shown.host,
    }),
    reading: inputs.reading,
    // A client that follows the offer is gone (product.md, HTTP/3).
    withdraw: ({ ruling, responseFields }) =>
      ruling.mode === 'enforce' && responseFields !== undefined ? withoutHttp3(responseFields) : undefined,
    stopped: (agent) => overrides.everyoneStopped || isStopped(agent, overrides.stopped, keys.configKey, config.agent),
    ...(inputs.unrecorded === undefined ? {} : { unrecorded: inputs.unrecorded }),
    normalise: (authority, scheme) =>
      parseAuthority(authority, scheme === 'tcp' ? undefined : scheme === 'https' ? 443 : 80),
  };
}

/** Whose account a readable request uses (product.md §6). A CONNECT says nothing of it. */
function accountsOf(inputs: StageInputs): Stages['account'] {
  const { tenantOf } = inputs.data;
  const fingerprint = createFingerprints(inputs.hash);
  return ({ kind, request, destination }) => {
    if (kind !== 'exchange') return {};
    const tenant = tenantOf(destination.host, request.method, request.target);
    const credentialFp = fingerprint(request.fields, request.target);
    return { ...(tenant === undefined ? {} : { tenant }), ...(credentialFp === undefined ? {} : { credentialFp }) };
  };
}

function isAccepted(baseline: Baseline, { identity, destination }: Exchange): boolean {
  return baseline.isAccepted(identity.agent, destination.host, destination.port);
}

/** What is opaque is expected where a ready baseline knows the port. */
function expectedProtocol(exchange: Exchange, baseline: Baseline): boolean {
  const { host, port } = exchange.destination;
  return baseline.knows(exchange.identity.agent, host, port) && baseline.state(exchange.identity.agent) !== 'learning';
}

export function modesOf(
  config: Config,
  overrides: ModeOverrides,
  agentKey: (agent: string) => string,
  categories: Categories,
): ModeFor {
  const rules = (
    lists: readonly { readonly host: string; readonly ports: readonly number[]; readonly mode?: Mode | undefined }[],
  ) =>
    lists.flatMap((rule): ModeRule[] =>
      rule.mode === undefined ? [] : [{ host: rule.host, ports: rule.ports, mode: rule.mode }],
    );
  return compileModes({
    global: overrides.global ?? config.mode,
    overrides: overrides.agents,
    inCategory: (name, host) => categories.of(host).some((category) => category.name === name),
    agents: new Map(
      [...config.agents].map(([key, agent]) => [
        key,
        { mode: agent.mode, destinations: rules([...agent.blocked_domains, ...agent.allowed_domains]) },
      ]),
    ),
    agentKey,
    destinations: rules([...config.destinations.blocked, ...config.destinations.allowed]),
  });
}

/** `intercept:` as a question per host; categories are written `@llm`. Throws Error for an unknown one. */
export function interceptionOf(intercept: InterceptChoice, categories: Categories): (host: string) => boolean {
  if (intercept === 'none') return () => false;
  if (intercept === 'all') return () => true;
  const list = 'only' in intercept ? intercept.only : intercept.except;
  const groups = list.filter((entry) => entry.startsWith('@')).map((entry) => entry.slice(1));
  for (const group of groups) {
    if (!categories.names.has(group)) {
      throw new Error(
        `intercept: @${group} is no category. Known: ${[...categories.names].map((name) => `@${name}`).join(' ')}`,
      );
    }
  }
  const hosts = compileHosts(list.filter((entry) => !entry.startsWith('@')));
  const matches = (host: string): boolean =>
    hosts.has(host) || (groups.length > 0 && categories.of(host).some((category) => groups.includes(category.name)));
  return 'only' in intercept ? matches : (host) => !matches(host);
}

function evidenceOf(config: Config): Map<string, AgentEvidence> {
  return new Map(
    [...config.agents].map(([key, agent]) => [
      key,
      { sources: agent.sources, ...(agent.token === undefined ? {} : { token: agent.token }) },
    ]),
  );
}

/** No allow list concerns this agent: everything is allowed, so nothing is an exception to a list. */
function unrestricted(config: Config, configKey: string): boolean {
  return config.destinations.allowed.length === 0 && (config.agents.get(configKey)?.allowed_domains.length ?? 0) === 0;
}

export function listsOf(config: Config): Map<string, DestinationLists> {
  return new Map(
    [...config.agents].map(([key, agent]) => [key, { allowed: agent.allowed_domains, blocked: agent.blocked_domains }]),
  );
}

/** Key each agent learns under: `baseline: as-one` globs share one; where unknown names could buy a fresh learning phase they share the default agent's. */
export function baselineKeyOf(config: Config, modeOf: (agent: string) => Mode): (agent: string) => string {
  const keys = createAgentKeys(config.agents.keys(), config.agent);
  const asOne = new Set([...config.agents].filter(([, agent]) => agent.baseline === 'as-one').map(([key]) => key));
  return baselineKeys(keys, asOne, config.agent, (name) => modeOf(name) === 'enforce');
}
