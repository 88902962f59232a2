import type { AdminServer } from './admin/server.ts';
import type { House } from './collector-house.ts';
import { interceptionOf, readsSentence } from './collector-lines.ts';
import { policyProblems, policySentence } from './collector-policy-admin.ts';
import type { AgentStatus, ConsumerStatus, Problem, Readiness, StatusReport } from './model/admin.ts';
import { hostPort } from './model/destination.ts';
import type { RecorderStatus } from './record/client.ts';

/** Everything `weir status` shows. */
export async function statusOf(house: House, admin: AdminServer): Promise<StatusReport> {
  const { options, config, corridor, listener, authority } = house;
  const recorder = await house.recorder.status();
  house.heard(recorder);
  const { started, open } = corridor.tally();
  const { bundle } = authority.files;
  const adminAddress = admin.adminAddress();
  const policies = policySentence(house);
  const healthAddress = admin.healthAddress();
  return {
    version: options.version,
    pid: process.pid,
    since: house.since,
    mode: house.overrides.global ?? config.mode,
    containment: house.containment,
    verified: house.verified,
    runs: house.runs.count(),
    ...(options.background === undefined ? {} : { background: true }),
    listeners: listener.addresses().map(({ address, port, agent }, i) => ({
      address: hostPort(address, port),
      ...(agent === undefined ? {} : { agent }),
      tls: config.listen[i]?.tls !== undefined,
    })),
    ...(adminAddress === undefined ? {} : { adminAddress }),
    ...(healthAddress === undefined ? {} : { healthAddress }),
    stateDir: house.state.path,
    ...(options.configSource.file === undefined ? {} : { configFile: options.configSource.file }),
    interception: interceptionOf(house),
    reads: readsSentence(house),
    ...(config.intercept === 'none' || bundle === undefined ? {} : { caBundle: bundle }),
    agents: agentsOf(house),
    exceptions: house.exceptions.list().map((exception) => ({
      agent: exception.agent,
      subject: exception.subject,
      reason: exception.reason,
      until: exception.until,
      fix: exceptionFix(exception, bundle),
    })),
    limitsReached: limitsOf(house),
    connections: corridor.openConnections(),
    started,
    open,
    dropped: recorder.dropped,
    consumers: recorder.consumers.map(consumerOf),
    ...(recorder.identity === undefined ? {} : { identity: recorder.identity }),
    journalBytes: recorder.journalBytes,
    store: {
      path: config.store.path,
      bytes: recorder.storeBytes,
      sentence: recorder.storeSentence,
    },
    telemetry: {
      ...(recorder.endpoint === undefined ? {} : { endpoint: recorder.endpoint }),
      sentence: recorder.endpointSentence,
    },
    ...(policies === undefined ? {} : { policies }),
    ...(recorder.notifications === undefined ? {} : { notifications: recorder.notifications }),
    problems: readinessOf(house).problems,
  };
}

function exceptionFix(
  exception: { readonly kind: 'client' | 'host'; readonly subject: string },
  bundle: string | undefined,
): string {
  return exception.kind === 'host'
    ? `the host asks for a client certificate: intercept: {except: [${exception.subject}]}`
    : `make the client trust ${bundle ?? 'the CA bundle'} (weir env), or intercept: {except: [its hosts]}`;
}

function consumerOf(consumer: RecorderStatus['consumers'][number]): ConsumerStatus {
  return {
    name: consumer.name,
    exported: consumer.accepted,
    journalled: consumer.waitingSpans,
    sampledOut: consumer.sampledOut,
    dropped: consumer.dropped,
    ...(consumer.lastError === undefined ? {} : { failing: consumer.lastError }),
  };
}

function problemOf(message: string): Problem {
  return { code: 'recorder', severity: 'warn', message };
}

function agentsOf(house: House): AgentStatus[] {
  const { corridor, baseline, stages } = house;
  const counters = corridor.agents();
  const learned = new Map(baseline.agents().map((stat) => [stat.agent, stat]));
  const names = new Set([...counters.keys(), ...learned.keys()]);
  return [...names].sort().map((agent) => {
    const seen = counters.get(agent);
    const stat = learned.get(baseline.keyOf(agent));
    return {
      agent,
      identifiedBy: seen?.identifiedBy ?? 'default',
      mode: stages.modeFor(agent, { host: '', port: 0 }),
      stopped: stages.stopped(agent),
      baseline: {
        state: baseline.state(agent),
        requests: stat?.requests ?? 0,
        destinations: stat?.destinations.length ?? 0,
        sentence: baseline.sentence(agent) ?? `${agent}: nothing learned yet`,
      },
      connections: corridor.connectionsOf(agent),
      requests: seen?.requests ?? 0,
      requestBytes: seen?.requestBytes ?? 0,
      responseBytes: seen?.responseBytes ?? 0,
      wouldBlock: seen?.wouldBlock ?? 0,
      blocked: seen?.blocked ?? 0,
      ...(seen === undefined ? {} : { lastSeen: seen.lastSeen }),
    };
  });
}

/** Limits and refusals met since the start, by name. */
function limitsOf(house: House): Record<string, number> {
  const stats = house.listener.stats();
  // Since the configuration was read.
  const suppressed = house.stages.leakRules.suppressed.reduce((sum, count) => sum + count, 0);
  return {
    ...house.corridor.counters(),
    ...(suppressed > 0 ? { 'scan.suppress': suppressed } : {}),
    ...(stats.refusedAtLimit > 0 ? { connections: stats.refusedAtLimit } : {}),
    ...(stats.refusedAddress > 0 ? { allow_from: stats.refusedAddress } : {}),
  };
}

/** `/readyz`: listening, CA bundle on disk, baseline loaded; a store that is asked for is open. */
export function readinessOf(house: House): Readiness {
  const problems: Problem[] = [];
  const add = (code: string, severity: Problem['severity'], message: string): void => {
    problems.push({ code, severity, message });
  };
  const background = house.options.background !== undefined;
  if (house.listener.addresses().length === 0 && !background) add('not-listening', 'error', 'no listener is bound');
  if (house.authority.files.bundle === undefined && !background)
    add('ca-bundle-missing', 'error', 'the CA bundle is not on disk');
  if (house.authority.expiresAt < Date.now()) add('ca-expired', 'error', 'the CA has expired: weir ca rotate');
  if (!house.baselineLoaded)
    add('baseline-not-loaded', 'warn', 'the stored baseline is not loaded (yet): first contacts may be old ones');
  if (house.overrides.everyoneStopped) add('stopped', 'warn', 'every agent is stopped: weir mode resume');
  if (house.config.store.required && house.unrecorded !== undefined)
    add('not-recorded', 'error', `store.required: traffic is refused while rows cannot be kept: ${house.unrecorded}`);
  problems.push(...policyProblems(house));
  for (const message of house.recorderProblems) problems.push(problemOf(message));
  return { ok: problems.every((problem) => problem.severity !== 'error'), problems };
}
