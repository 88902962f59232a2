import type { CompiledStages } from './collector-stages.ts';
import type { Config } from './config/schema.ts';
import type { Connection, TlsFacts } from './model/connection.ts';
import { hostPort } from './model/destination.ts';
import type { RequestFacts } from './model/exchange.ts';
import type { Disposition, Finding, Mode } from './model/finding.ts';
import { kindOf } from './model/host.ts';
import type { Explained, ExplainReport, ExplainRequest, ModeActions } from './model/policy.ts';
import { inspect, observe } from './pipeline/checkpoint.ts';
import type { LiveConnection, LiveExchange } from './pipeline/live.ts';
import { openExchange } from './pipeline/open.ts';
import type { BaselineReader, Stages } from './pipeline/stages.ts';
import { createTraces } from './pipeline/trace.ts';
import { enforce } from './verdict/enforce.ts';

/** What the learned baseline can be asked without being taught. */
interface Knows {
  knows(agent: string, host: string, port: number): boolean;
  state(agent: string): ReturnType<BaselineReader['observe']>['state'];
}

export interface ExplainInputs {
  readonly stages: CompiledStages;
  readonly baseline: Knows;
  readonly config: Config;
  /** Without secrets, for people. */
  readonly shown: (text: string) => string;
}

const CLIENT = { address: '127.0.0.1', port: 0 };

/**
 * What would happen to a request, by the stages that judge the traffic, without any: nothing is resolved, dialled, learned, counted or
 * recorded; rates, budgets and throttles say how they stand and lose nothing. Throws Error with a sentence for what is no request.
 */
export function explainRequest(inputs: ExplainInputs, { agent, method, url }: ExplainRequest): ExplainReport {
  const target = parsed(url);
  const stages = passive(inputs);
  const https = target.protocol === 'https:';
  const connection = connectionOf(agent, https);
  if (!https) return { steps: [step(inputs, stages, connection, requestOf(method, target, 'http'), 'exchange')] };
  const connect = step(inputs, stages, connection, requestOf('CONNECT', target, 'tcp'), 'connect');
  if (connect.visibility === 'tunnel') return { steps: [connect] };
  connection.visibility = 'intercepted';
  return { steps: [connect, step(inputs, stages, connection, requestOf(method, target, 'https'), 'exchange')] };
}

/** What each mode does about a verdict. */
export function actionsIn(verdict: Disposition, findings: readonly Finding[], located: boolean): ModeActions {
  const of = (mode: Mode) => {
    const { action, would } = enforce({ disposition: verdict }, findings, mode, located);
    return { action, would };
  };
  return { monitor: of('monitor'), redact: of('redact'), enforce: of('enforce') };
}

function step(
  { stages: own, shown }: ExplainInputs,
  stages: Stages,
  connection: LiveConnection,
  request: RequestFacts,
  kind: 'exchange' | 'connect',
): Explained {
  const exchange: LiveExchange = openExchange(stages, createTraces(1, Date.now), connection, request, kind);
  if (exchange.invalid !== undefined) throw new Error(`${request.authority}: ${exchange.invalid}`);
  Object.assign(exchange, stages.account(exchange));
  inspect(exchange, 'request', {});
  observe(exchange);
  const reads = kind === 'connect' && own.readsTls(exchange);
  if (kind === 'connect' && !reads)
    inspect(exchange, 'tls', { tls: helloOf(exchange.destination.host), protocol: 'tls' });
  const { host, port } = exchange.destination;
  if (kindOf(host) !== 'name') {
    const resolved = { addresses: [host], delegated: false, byOperator: false, dnsMs: 0 };
    inspect(exchange, 'address', { resolved });
  }
  const { disposition, rule } = stages.judge(exchange.findings);
  const located = exchange.findings.some((one) => one.located !== undefined && one.disposition !== 'flag');
  const { agent } = exchange.identity;
  return {
    what: shown(
      `${request.method} ${kind === 'connect' ? hostPort(host, port) : `${request.scheme}://${hostPort(host, port)}${request.target}`}`,
    ),
    agent,
    visibility: reads ? 'intercepted' : connection.visibility,
    inspectors: [...new Set(['baseline', ...own.inspectors.map(({ id }) => id)])],
    findings: exchange.findings.map((finding) => ({
      inspector: finding.inspector,
      rule: shown(finding.rule),
      severity: finding.severity,
      disposition: finding.disposition,
      message: shown(finding.message),
    })),
    verdict: disposition,
    ...(rule === undefined ? {} : { rule: shown(rule) }),
    mode: own.modeFor(agent, exchange.destination),
    stopped: own.stopped(agent),
    modes: actionsIn(disposition, exchange.findings, located),
  };
}

/** The stages with a memory that cannot be written. */
function passive({ stages, baseline, config }: ExplainInputs): Stages {
  const reader: BaselineReader = {
    observe({ identity: { agent }, destination: { host, port } }) {
      const state = baseline.state(agent);
      if (baseline.knows(agent, host, port)) return { firstSeen: false, state, findings: [] };
      const blocks = state !== 'learning' && config.baseline.on_unknown === 'block';
      const finding: Finding = {
        inspector: 'baseline',
        rule: 'first-seen',
        severity: blocks ? 'high' : 'info',
        disposition: blocks ? 'block' : 'flag',
        message: `${agent} has never used ${hostPort(host, port)}`,
      };
      return { firstSeen: true, state, findings: state === 'learning' ? [] : [finding] };
    },
    teach: () => undefined,
    grade: (_, finding) => finding,
    volume: () => undefined,
    agentFirstSeen: () => undefined,
  };
  return {
    ...stages,
    inspectors: stages.asking(),
    baseline: reader,
    accounts: { observe: () => [], teach: () => undefined },
  };
}

function parsed(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) throw new Error('write an http:// or https:// URL');
  return url;
}

function connectionOf(agent: string, https: boolean): LiveConnection {
  const identity: Connection['identity'] = { agent, by: 'claim' };
  return {
    id: '',
    openedAt: Date.now(),
    client: CLIENT,
    identity,
    via: https ? 'connect' : 'absolute-form',
    visibility: https ? 'tunnel' : 'plaintext',
    exchanges: 0,
  };
}

function requestOf(method: string, url: URL, scheme: RequestFacts['scheme']): RequestFacts {
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const authority = scheme === 'tcp' ? `${url.hostname}:${port}` : url.host;
  const target = scheme === 'tcp' ? '' : `${url.pathname}${url.search}`;
  return { method, scheme, authority, hostField: authority, target, protocol: '1.1', fields: ['Host', authority] };
}

/** A client that says what it asked for, and nothing odd. */
function helloOf(host: string): TlsFacts {
  const sni = kindOf(host) === 'name' ? { sni: host } : {};
  return { ...sni, alpn: ['http/1.1'], ja4: '', version: '1.3', ech: false };
}
