import { globText } from '../model/glob.ts';
import { createContext, evaluate } from './cel.ts';
import { Context } from './cel-context.ts';
import { type Result, Unread } from './cel-value.ts';
import { type Decision, type PolicyFacts, stoppedBy } from './decide.ts';
import type { Policy, PolicySet } from './policy.ts';
import { READABLE, TUNNEL_NAME } from './vocabulary.ts';

/** The same for a CONNECT and for every request inside it. */
const SETTLED: ReadonlySet<string> = new Set([
  'strathon.source',
  'strathon.agent.name',
  'strathon.agent.id',
  'strathon.project.environment',
  'gen_ai.agent.name',
  'gen_ai.agent.id',
  'deployment.environment',
  'server.address',
  'server.port',
  'client.address',
  'weir.agent',
  'weir.agent.identified_by',
  'weir.via',
  'weir.connection.id',
  'weir.run.id',
]);

/** Ends the asking without stopping anything. */
const LETS_PASS: ReadonlySet<string> = new Set(['allow', 'redact']);
/** Stops by itself; a throttle and an approval depend on what is asked inside. */
const STOPS: ReadonlySet<string> = new Set(['block', 'steer']);
const RECORDS: ReadonlySet<string> = new Set(['log', 'alert']);

/**
 * What can be said of a CONNECT that is going to be read, before anything is resolved or dialled for it: stopped, when every request
 * inside would be stopped whatever it is; otherwise undefined, and the requests are asked one by one. The name of the policy is that of
 * the first that surely stops: another one may come before it for some request.
 */
export function decideEarly(set: PolicySet, facts: PolicyFacts): Decision | undefined {
  const inside = new Inside(facts);
  for (const policy of set.policies) {
    if (!policy.enabled || policy.shadow || RECORDS.has(policy.action)) continue;
    if (policy.agents.length > 0 && !policy.agents.some((glob) => globText(glob, facts.agent))) continue;
    const own = isForConnect(policy);
    const { outcome, ...rest } = evaluate(policy.compiled, own ? createContext(facts) : inside);
    if (outcome === 'NO_MATCH') continue;
    const sure = outcome === 'MATCH' && (own || appliesToAll(policy));
    if (sure && STOPS.has(policy.action)) return stoppedBy(policy);
    const open = sure || outcome === 'MATCH' || ('failure' in rest && rest.failure.code === 'unread');
    if (open && LETS_PASS.has(policy.action)) return undefined;
  }
  return undefined;
}

function appliesToAll({ appliesTo }: Policy): boolean {
  return appliesTo.length === 0 || appliesTo.includes('http');
}

/** Written for CONNECT itself: no request inside can match it. */
function isForConnect({ appliesTo }: Policy): boolean {
  return appliesTo.length > 0 && appliesTo.every((token) => token === 'connect' || token === TUNNEL_NAME);
}

const UNREAD = new Unread();

/** Some request inside a CONNECT. */
class Inside extends Context {
  readonly #url: Unread;

  constructor(facts: PolicyFacts) {
    super(facts);
    const known = String(facts.attrs.get('strathon.http.url') ?? '');
    // The URL of the CONNECT ends where theirs goes on; on port 80 they are http.
    const prefix = facts.attrs.get('server.port') === 80 ? known.replace(/^https:(.*):80\/$/, 'http:$1/') : known;
    this.#url = new Unread((test, part) => beginsWith(prefix, test, part));
  }

  override get subject(): Result {
    return UNREAD;
  }

  override attribute(slot: number, key: string): Result | undefined {
    if (key === 'strathon.http.url' || key === 'url.full') return this.#url;
    return SETTLED.has(key) || !READABLE.has(key) ? super.attribute(slot, key) : UNREAD;
  }

  override holds(slot: number, key: string): Result {
    if (key === 'strathon.http.url' || key === 'url.full') return true;
    return SETTLED.has(key) || !READABLE.has(key) ? super.holds(slot, key) : UNREAD;
  }
}

/** What is known of a text of which only the beginning is known; undefined = it depends. */
function beginsWith(prefix: string, test: string, part: string): boolean | undefined {
  if (test === 'contains') return prefix.includes(part) ? true : undefined;
  if (test === 'startsWith') return prefix.startsWith(part) || (part.startsWith(prefix) ? undefined : false);
  if (test === '==') return part.startsWith(prefix) ? undefined : false;
  return undefined;
}
