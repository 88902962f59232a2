import { evaluate } from './cel.ts';
import { Context } from './cel-context.ts';
import { type Result, Unread } from './cel-value.ts';
import { enforces, type Policy, type PolicySet } from './policy.ts';
import {
  KNOWN_LATER,
  NEEDS_CONTENT,
  READABLE,
  SAID_IN_ANSWER,
  SAID_IN_REQUEST,
  TUNNEL,
  TUNNEL_NAME,
} from './vocabulary.ts';

/** What can be said of a policy without any request. */
export interface Examined {
  readonly policy: Policy;
  /** Attributes it names, sorted. */
  readonly reads: readonly string[];
  /** False: no request, or no CONNECT of a tunnel that stays closed, can match it. */
  readonly canMatch: boolean;
  readonly canMatchInTunnel: boolean;
  /** Attributes nobody sets here: the policy is not applicable wherever evaluation reaches them. */
  readonly unknownAttributes: readonly string[];
  readonly remarks: readonly Remark[];
}

/** `error`: the policy cannot do what it says. `warning`: probably not what was meant. */
export interface Remark {
  readonly level: 'error' | 'warning' | 'note';
  /** Stable: `never`, `always`, `never-in-tunnel`, `unknown-name`, `unknown-attribute`, `overshadowed`, `too-late`. */
  readonly code: string;
  /** A sentence for people, without the policy's name. */
  readonly text: string;
}

/** Looks at every policy of a set; order as in the set. */
export function examine(set: PolicySet): Examined[] {
  let above: Policy | undefined;
  return set.policies.map((policy) => {
    const seen = examineOne(policy, above);
    if (above === undefined && decidesAll(policy)) above = policy;
    return seen;
  });
}

function examineOne(policy: Policy, above: Policy | undefined): Examined {
  const { reads, unknown } = policy.compiled;
  const anywhere = judge(policy, new Anything());
  const canMatch = anywhere !== 'never';
  const canMatchInTunnel = canMatch && appliesToTunnel(policy) && judge(policy, new Tunnel()) !== 'never';
  const unknownAttributes = [...reads].filter((name) => !READABLE.has(name)).sort();
  const remarks: Remark[] = [];
  const remark = (level: Remark['level'], code: string, text: string) => remarks.push({ level, code, text });
  if (unknown.size > 0) {
    const end = enforces(policy.action) ? ', which blocks' : '';
    remark('error', 'unknown-name', `knows no ${[...unknown].join(', ')}: an error when it gets there${end}`);
  }
  if (!canMatch) remark('warning', 'never', 'can never match');
  else if (anywhere === 'always' && policy.compiled.source.trim() !== 'true') {
    remark('warning', 'always', 'matches every request; write `true` when that is meant');
  }
  for (const name of unknownAttributes) {
    const why = KNOWN_LATER.has(name) ? 'known only after the request was judged' : 'never set here';
    remark('warning', 'unknown-attribute', `reads ${name}, which is ${why}: not applicable where it gets there`);
  }
  const late = lateText(policy);
  if (late !== undefined) remark('warning', 'too-late', late);
  if (canMatch && !canMatchInTunnel) remark('note', 'never-in-tunnel', tunnelText(policy));
  if (above !== undefined && policy.enabled && !policy.shadow && policy.action !== 'log' && policy.action !== 'alert') {
    remark('warning', 'overshadowed', `never decides: ${JSON.stringify(above.name)} above it decides everything`);
  }
  return { policy, reads: [...reads].sort(), canMatch, canMatchInTunnel, unknownAttributes, remarks };
}

/** What is said in a call is known after the policies of the head have decided (strathon-compat knows no such order: there all is one). */
function lateText({ action, compiled: { reads } }: Policy): string | undefined {
  if (reads.has(SAID_IN_ANSWER)) {
    const stops = enforces(action) || action === 'allow' || action === 'redact';
    return stops
      ? `reads ${SAID_IN_ANSWER}, known when the answer has been given: it is recorded and stops nothing`
      : undefined;
  }
  const named = [...SAID_IN_REQUEST].filter((name) => reads.has(name)).join(', ');
  if (named === '') return undefined;
  if (action === 'allow')
    return `reads ${named} and is asked when the rest has decided: it can only come before other policies on what is said, and allows nothing they refused`;
  if (action === 'redact')
    return `reads ${named}, known when the request has been read: what has gone on by then is not taken out`;
  return undefined;
}

function tunnelText({ compiled }: Policy): string {
  const needs = [...compiled.reads].filter((name) => NEEDS_CONTENT.has(name));
  const why = needs.length === 0 ? 'a tunnel shows host and port only' : `it reads ${needs.join(', ')}`;
  return `can never match while TLS is tunnelled: ${why}`;
}

const DECIDING: ReadonlySet<string> = new Set(['allow', 'block', 'redact', 'steer']);

/** No request gets past it. */
function decidesAll(policy: Policy): boolean {
  const everyone = policy.enabled && !policy.shadow && policy.appliesTo.length === 0 && policy.agents.length === 0;
  return everyone && DECIDING.has(policy.action) && judge(policy, new Anything()) === 'always';
}

function appliesToTunnel({ appliesTo }: Policy): boolean {
  return appliesTo.length === 0 || appliesTo.some((token) => `.${TUNNEL_NAME}.`.includes(`.${token}.`));
}

/** Evaluates with values that are not known: what comes out all the same holds for every request. */
export function judge({ compiled }: Policy, context: Context): 'always' | 'never' | 'depends' {
  // Names that are computed cannot be answered one by one.
  if (compiled.readsComputed) return 'depends';
  const evaluation = evaluate(compiled, context);
  if (evaluation.outcome !== 'ERROR') return evaluation.outcome === 'MATCH' ? 'always' : 'never';
  // Another error than an unknown value, an attribute nobody sets included, is no match.
  return evaluation.failure.code === 'unread' ? 'depends' : 'never';
}

const UNREAD = new Unread();
/** `name` is not known; as text it begins with `http.`, but policies for other surfaces are read here too. */
const NOTHING = { attrs: new Map<string, never>(), now: 0 };

/** A request of which nothing is known but which attributes can exist. */
export class Anything extends Context {
  constructor(name = '') {
    super({ ...NOTHING, name });
  }

  override get subject(): Result {
    return UNREAD;
  }

  override get now(): Result {
    return UNREAD;
  }

  override attribute(_: number, key: string): Result | undefined {
    return READABLE.has(key) ? UNREAD : undefined;
  }

  override holds(_: number, key: string): Result {
    return READABLE.has(key) ? UNREAD : false;
  }
}

/** A CONNECT whose tunnel stays closed. */
class Tunnel extends Anything {
  constructor() {
    super(TUNNEL_NAME);
  }

  override get subject(): Result {
    return this.name;
  }

  override attribute(slot: number, key: string): Result | undefined {
    if (NEEDS_CONTENT.has(key)) return undefined;
    return TUNNEL.get(key) ?? (key === 'strathon.http.url' ? TUNNEL_URL : super.attribute(slot, key));
  }

  override holds(slot: number, key: string): Result {
    if (TUNNEL.has(key) || key === 'strathon.http.url') return true;
    return NEEDS_CONTENT.has(key) ? false : super.holds(slot, key);
  }
}

const PREFIX = 'https://';
/** Characters of a host and port, lower case. */
const AUTHORITY = /^[a-z0-9._~:[\]-]*$/;

/** `https://host[:port]/` and nothing else: a literal with a path, a query or another scheme is not in it. */
const TUNNEL_URL = new Unread((test, part) => (possible(test, part) ? undefined : false));

function possible(test: string, part: string): boolean {
  if (test === 'startsWith' && (PREFIX.startsWith(part) || part.startsWith(PREFIX))) return inUrl(part);
  if (test === 'startsWith') return false;
  if (test === 'endsWith') return part === '' || (part.endsWith('/') && inUrl(part));
  if (test === '==') return part.startsWith(PREFIX) && part.endsWith('/') && inUrl(part);
  return inUrl(part);
}

/** Some tunnel's URL contains this text. */
function inUrl(part: string): boolean {
  for (let cut = 0; cut <= PREFIX.length; cut++) {
    const head = PREFIX.slice(cut);
    if (head.includes(part)) return true;
    if (part.startsWith(head) && AUTHORITY.test(part.slice(head.length).replace(/\/$/, ''))) return true;
  }
  return false;
}
