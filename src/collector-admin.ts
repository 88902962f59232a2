import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AdminServer } from './admin/server.ts';
import { editBaseline, withAccounts, withShapes } from './collector-baseline.ts';
import type { House } from './collector-house.ts';
import { lineOf, lineOfRow } from './collector-log-lines.ts';
import { policyHandlers } from './collector-policy-admin.ts';
import { preflightOf } from './collector-preflight.ts';
import { readinessOf, statusOf } from './collector-status.ts';
import type {
  AdminHandlers,
  BaselineRequest,
  CaFacts,
  ModeResult,
  ModeVerb,
  PurgeFilter,
  PurgeResult,
} from './model/admin.ts';
import { hostPort } from './model/destination.ts';
import type { Mode } from './model/finding.ts';

const RANK: Readonly<Record<Mode, number>> = { monitor: 0, redact: 1, enforce: 2 };
/** How long a question about baselines waits for the stored ones, which are read right after the start. */
const BASELINE_WAIT_MS = 3000;
const STARTING = 'weir is still starting; try again in a second';

const ONLY_RUNS =
  'this collector serves weir run only and has no address of its own. For one: weir start (it takes over once no run goes on)';

/** What the admin server asks, answered from the house. Before the house stands only readiness has an answer. */
export function createAdminHandlers(current: () => House | undefined, admin: () => AdminServer): AdminHandlers {
  const house = (): House => {
    const found = current();
    if (found === undefined) throw new Error(STARTING);
    return found;
  };
  return {
    status: async () => statusOf(house(), admin()),
    ready: () => {
      const found = current();
      if (found === undefined)
        return { ok: false, problems: [{ code: 'starting', severity: 'info', message: STARTING }] };
      return readinessOf(found);
    },
    metrics: () => {
      house().tellGauges();
      return house().recorder.metrics();
    },
    preflight: (agent, mode) => preflightOf(house(), agent, mode),
    mode: async (agent, verb, actor) => changeMode(house(), agent, verb, actor),
    baselines: async (agent) => {
      const found = await learned(house());
      const key = agent === undefined ? undefined : found.baseline.keyOf(agent);
      const stats = found.baseline.agents().filter((stat) => key === undefined || stat.agent === key);
      return (await withShapes(found, stats)).map((stat) => withAccounts(found, stat));
    },
    baseline: async (request: BaselineRequest) => editBaseline(await learned(house()), request),
    logs: async (query) => {
      const rows = await house().recorder.recent({
        limit: query.limit ?? 200,
        events: true,
        ...(query.agent === undefined ? {} : { agent: query.agent }),
        ...(query.blocked === undefined ? {} : { blocked: query.blocked }),
        ...(query.since === undefined ? {} : { sinceMs: query.since }),
      });
      return rows.map(lineOfRow);
    },
    subscribe: (line) =>
      house().recorder.onRecord((record) => {
        const found = lineOf(record);
        if (found !== undefined) line(found);
      }),
    prepareQuery: async () => ({
      ...(await house().recorder.snapshot()),
      historyDir: join(house().state.path, 'history'),
    }),
    purge: async (filter, actor): Promise<PurgeResult> => {
      const { recorder, baseline, accounts, exceptions } = house();
      const purged = await recorder.purge(filter);
      // A date alone concerns rows; exceptions end by themselves within a week.
      if (filter.before === undefined) {
        if (filter.agent === undefined && filter.host === undefined) exceptions.clear();
        else exceptions.forget(filter);
        await exceptions.flush();
      }
      const stored = await recorder.baseline();
      baseline.replace(stored);
      accounts.replace(stored.accounts ?? []);
      house().audit(actor, 'purge', `${purged.rows} rows erased: ${erasedWhat(filter, house().state.hash)}`);
      return purged;
    },
    ca: async () => house().authorityFacts(),
    rotateCa: async (actor): Promise<CaFacts> => {
      const found = house();
      if (found.options.background !== undefined)
        throw new Error(
          'the CA of weir run is in memory only and is made anew by the next collector; there is nothing to rotate',
        );
      found.authority.rotate();
      found.exceptions.clear();
      found.audit(actor, 'ca-rotate', 'a new interception CA was made');
      return found.authorityFacts();
    },
    caTrusted: async (actor) => {
      const found = house();
      const forgotten = found.exceptions.forgetClients();
      await found.exceptions.flush();
      found.audit(actor, 'ca-trust', `the CA is trusted by this machine; clients that had refused it: ${forgotten}`);
      return { forgotten };
    },
    environment: (agent) => {
      const found = house();
      const bound = found.listener.addresses();
      const mine =
        bound.find((entry) => entry.agent === agent) ?? bound.find((entry) => entry.agent === undefined) ?? bound[0];
      if (mine === undefined) throw new Error(found.options.background === undefined ? STARTING : ONLY_RUNS);
      const address = mine.address === '0.0.0.0' ? '127.0.0.1' : mine.address === '::' ? '::1' : mine.address;
      const { bundle } = found.authority.files;
      const reads = found.config.intercept !== 'none' && bundle !== undefined;
      const key = found.stages.configKey(agent ?? found.config.agent);
      return {
        proxy: hostPort(address, mine.port),
        ...(reads ? { caBundle: bundle } : {}),
        ...(found.config.agents.get(key)?.token === undefined ? {} : { token: true }),
      };
    },
    openRun: (request) => house().runs.open(request),
    directSeen: (id, seen) => house().runs.direct(id, seen),
    endRun: (id, end) => house().runs.end(id, end),
    leave: (actor) => {
      const found = house();
      const { background } = found.options;
      if (background === undefined)
        throw new Error('this collector was started by weir start; end it with Ctrl-C or SIGTERM');
      const runs = found.runs.count();
      if (runs > 0) throw new Error(`${runs} ${runs === 1 ? 'run goes' : 'runs go'} on`);
      found.options.log.info({ actor }, 'leaving for another collector');
      setImmediate(background.idle);
    },
    ...policyHandlers(house),
    reload: async (actor) => ({ message: await house().reload(actor) }),
    verified: ({ containment }, actor) => {
      const found = house();
      found.verified = true;
      if (containment === undefined || containment === found.containment) return;
      found.containment = containment;
      found.recorder.containment(containment);
      found.audit(actor, 'containment', `containment is ${containment}`);
    },
  };
}

/** The house with the stored baselines in it, or after a while without them. */
async function learned(house: House): Promise<House> {
  if (!house.baselineLoaded) {
    await Promise.race([house.recorder.ready, sleep(BASELINE_WAIT_MS, undefined, { ref: false })]);
  }
  return house;
}

/** A typing mistake must not look like a stopped agent. */
function isKnown({ config, corridor, baseline }: House, agent: string): boolean {
  if (agent === config.agent || config.agents.has(agent)) return true;
  return corridor.agents().has(agent) || baseline.agents().some((stat) => stat.agent === agent);
}

/** What was erased, without the name that was to be erased: equal names still read alike. */
export function erasedWhat({ agent, host, before }: PurgeFilter, hash: (text: string) => string): string {
  const parts = [
    ...(agent === undefined ? [] : [`of one agent (${hash(agent).slice(0, 8)})`]),
    ...(host === undefined ? [] : [`to one host (${hash(host).slice(0, 8)})`]),
    ...(before === undefined ? [] : [`older than ${new Date(before).toISOString()}`]),
  ];
  return parts.length === 0 ? 'everything' : parts.join(', ');
}

function changeMode(house: House, agent: string | undefined, verb: ModeVerb, actor: string): ModeResult {
  const { overrides } = house;
  if (agent !== undefined && !isKnown(house, agent))
    throw new Error(`nobody here is called ${agent}. Who is known: weir status`);
  const wasStopped = agent === undefined ? overrides.everyoneStopped : house.stages.stopped(agent);
  const before = house.stages.modeFor(agent ?? house.config.agent, { host: '', port: 0 });
  const who = agent ?? 'every agent';
  let lowered = verb === 'resume';
  let message: string;
  if (verb === 'stop') {
    if (agent === undefined) overrides.everyoneStopped = true;
    else overrides.stopped.add(agent);
    message = `${who} is stopped: open streams are closed, new ones refused`;
  } else {
    if (agent === undefined) {
      overrides.everyoneStopped = false;
      overrides.stopped.clear();
    } else overrides.stopped.delete(agent);
    if (verb === 'resume') message = `${who} may go on`;
    else {
      if (agent === undefined) overrides.global = verb;
      else overrides.agents.set(agent, verb);
      lowered = wasStopped || RANK[verb] < RANK[before];
      message = `${who}: ${verb}${wasStopped ? ', was stopped' : before === verb ? ' (as before)' : `, was ${before}`}`;
    }
    if (agent !== undefined && overrides.everyoneStopped) message += '; still stopped with everybody: weir mode resume';
  }
  house.recompile();
  house.audit(actor, lowered ? 'mode-lowered' : 'mode', message, agent, lowered ? 'medium' : 'info');
  house.options.log[lowered ? 'warn' : 'info']({ agent, mode: verb, actor }, message);
  return { message, lowered };
}
