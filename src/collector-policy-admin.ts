import { explainRequest } from './collector-explain.ts';
import type { House } from './collector-house.ts';
import { enforces } from './collector-policy-host.ts';
import { homely } from './config/load.ts';
import type { Problem } from './model/admin.ts';
import type { PolicyHandlers, PolicyLine, PolicyReport } from './model/policy.ts';
import type { Examined } from './policy/examine.ts';

/** What the admin server asks about policies. */
export function policyHandlers(house: () => House): PolicyHandlers {
  return {
    policies: async () => reportOf(house()),
    async approve(ref, forMs, actor) {
      const found = house();
      const until = Date.now() + forMs;
      const approval = found.policies.approvals.approve(ref, until);
      if (approval === undefined)
        throw new Error(
          `no refusal with ref ${ref} waits for an approval. Refs end with the collector; let the agent try again`,
        );
      const { agent, policy } = approval;
      const request = found.words.text(approval.request);
      const what = `${agent} may ${request} until ${new Date(until).toISOString()}, approved against policy ${JSON.stringify(policy)} (ref ${ref})`;
      found.lowered(actor, 'approve', what, agent);
      return { ref, agent, policy, request, until };
    },
    async explain(request) {
      const { stages, baseline, config } = house();
      return explainRequest({ stages, baseline, config, shown: (text) => house().words.text(text) }, request);
    },
    async acceptPolicies(actor) {
      const found = house();
      const { receiver } = found.policies.state;
      const held = receiver?.state.held;
      if (receiver === undefined || held === undefined || !receiver.accept())
        throw new Error('no policies are held back: weir policy list shows what is in force');
      const message = `policies that were held back are in force: ${held}`;
      found.lowered(actor, 'policies-accepted', message);
      return { message };
    },
  };
}

function reportOf({ policies }: House): PolicyReport {
  const { settings, files, receiver, problems, loadedAt } = policies.state;
  const said = receiver?.state;
  return {
    policies: policies.examined().map((examined) => lineOf(examined, policies.counts.of(examined.policy))),
    default: policies.set?.defaultAction ?? (policies.unloaded ? 'block' : 'allow'),
    files: files === undefined ? [] : settings.files.map(homely),
    loadedAt,
    problems,
    ...(receiver === undefined || said === undefined
      ? {}
      : {
          receiver: {
            url: new URL(receiver.url).origin,
            ...(said.loadedAt === undefined ? {} : { loadedAt: said.loadedAt }),
            ...(said.checkedAt === undefined ? {} : { checkedAt: said.checkedAt }),
            ...(said.problem === undefined ? {} : { problem: said.problem }),
            ...(said.held === undefined ? {} : { held: said.held }),
          },
        }),
    approvals: policies.approvals.open(),
  };
}

function lineOf(
  { policy, canMatchInTunnel }: Examined,
  count: ReturnType<House['policies']['counts']['of']>,
): PolicyLine {
  const { id, name, action, priority, appliesTo, agents, enabled, shadow, where, compiled } = policy;
  return {
    id,
    name,
    action,
    priority,
    applies_to: appliesTo,
    agents,
    enabled,
    shadow,
    where,
    expression: compiled.source,
    can_match_in_tunnel: canMatchInTunnel,
    matches: count.matches,
    shadow_matches: count.shadowMatches,
    errors: count.errors,
    not_applicable: count.notApplicable,
    ...(count.lastAt === undefined ? {} : { last_match_at: count.lastAt }),
  };
}

/** One sentence for status and first lines; undefined when no policies are configured. */
export function policySentence({ policies }: House): string | undefined {
  const { files, receiver, settings } = policies.state;
  if (files === undefined && receiver === undefined) return undefined;
  const from = [...settings.files.map(homely), ...(receiver === undefined ? [] : [new URL(receiver.url).origin])];
  if (policies.unloaded) return `policies: none loaded yet from ${from.join(', ')}: enforce refuses everything`;
  const all = policies.examined().filter(({ policy }) => policy.enabled);
  const blind = all.filter(({ canMatchInTunnel }) => !canMatchInTunnel).length;
  const tunnels = blind === 0 ? '' : `; ${blind} of them can never match while TLS is tunnelled`;
  return `policies: ${all.length} from ${from.join(', ')}${tunnels}`;
}

/** What is not as it should be with policies. */
export function policyProblems(house: House): Problem[] {
  const { policies } = house;
  const { receiver, problems } = policies.state;
  const found: Problem[] = [];
  for (const message of problems)
    found.push({
      code: 'policies-kept',
      severity: 'warn',
      message: `the policies of before stay in force: ${message}`,
    });
  if (receiver === undefined) return found;
  const { problem, held, loadedAt } = receiver.state;
  const from = new URL(receiver.url).origin;
  if (policies.unloaded) {
    const severity = enforces(house) ? 'error' : 'warn';
    const message = `no policies were ever loaded from ${from}${problem === undefined ? '' : `: ${problem}`}`;
    found.push({ code: 'policies-not-loaded', severity, message });
  } else if (problem !== undefined) {
    const age = loadedAt === undefined ? '' : ` of ${new Date(loadedAt).toISOString()}`;
    found.push({
      code: 'policies-not-pulled',
      severity: 'warn',
      message: `${from}: ${problem}; the policies${age} stay in force`,
    });
  }
  if (held !== undefined) {
    const message = `new policies of ${from} allow much more and are held back: ${held}`;
    found.push({ code: 'policies-held', severity: 'warn', message, next: 'weir policy accept' });
  }
  return found;
}
