import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { compileCidrs } from '../model/cidr.ts';
import type { AgentIdentity, IdentifiedBy } from '../model/connection.ts';
import { globText } from '../model/glob.ts';
import type { Identify, IdentityEvidence } from '../model/ports.ts';

/** What identity needs of one `agents:` entry. */
export interface AgentEvidence {
  /** The agent's token; a name that has one can be claimed only with it. */
  readonly token?: string;
  /** CIDRs whose connections are this agent. */
  readonly sources: readonly string[];
}

export interface IdentityOptions {
  /** Keys of `agents:`, names and globs (`task-*`), in the order of the file. */
  readonly agents: ReadonlyMap<string, AgentEvidence>;
  readonly defaultAgent: string;
  readonly identify: 'optional' | 'required';
  /** Names accepted beyond the configuration; later ones become `other` (`limits.agents`). */
  readonly maxAgents: number;
  /** A name nobody configured that is a secret in the wrong place is no name. */
  readonly isSecret?: (name: string) => boolean;
}

/** Name under which agents beyond `maxAgents` are recorded. */
export const OTHER_AGENT = 'other';
/** Answers of bounded caches are recomputed after this many distinct inputs. */
const CACHE = 1024;
const NO_NAME = 'say who you are: http://<agent>:<token or x>@<weir address>';

interface Claim {
  readonly name: string;
  readonly password: string;
}

/**
 * Weighs the evidence for an agent, strongest first: token › listener › source › claim › default (product.md §4). Weaker
 * evidence never overrides stronger; where it disagrees the identity carries `conflict`, one sentence.
 */
export function createIdentify(options: IdentityOptions): Identify {
  const judge = new Evidence(options);
  return (evidence) => judge.weigh(evidence);
}

class Evidence {
  readonly #options: IdentityOptions;
  readonly #keys: AgentKeys;
  readonly #sources: readonly { readonly agent: string; readonly has: (address: string) => boolean }[];
  readonly #tokens: ReadonlyMap<string, Buffer>;
  readonly #pepper = randomBytes(32);
  readonly #bySource: Map<string, string> = new Map();
  readonly #unknown: Set<string> = new Set();

  constructor(options: IdentityOptions) {
    this.#options = options;
    this.#keys = createAgentKeys(options.agents.keys(), options.defaultAgent);
    const sources = [];
    const tokens = new Map<string, Buffer>();
    for (const [agent, entry] of options.agents) {
      // A glob names no single agent, so an address cannot prove one of its names.
      if (entry.sources.length > 0 && !agent.includes('*')) {
        sources.push({ agent, has: compileCidrs(entry.sources) });
      }
      if (entry.token !== undefined && entry.token !== '') tokens.set(agent, this.#digest(entry.token));
    }
    this.#sources = sources;
    this.#tokens = tokens;
  }

  weigh(evidence: IdentityEvidence): AgentIdentity {
    const claim = evidence.proxyAuthorization === undefined ? undefined : readClaim(evidence.proxyAuthorization);
    const header = evidence.claimedBy;
    const proven = claim === undefined ? undefined : this.#proven(claim);
    const source = this.#sources.length === 0 ? undefined : this.#sourceOf(evidence.client.address);
    const listener = evidence.listenerAgent;
    // The strongest one decides; the first weaker one that disagrees is told.
    const claimed = claim?.name || header;
    if (proven !== undefined) return decided(proven, 'token', [listener, source, header, claim?.name]);
    if (listener !== undefined) return decided(listener, 'listener', [source, claim?.name, header]);
    if (source !== undefined) return decided(source, 'source', [claim?.name, header]);
    if (claimed !== undefined) return this.#claimed(claimed, header);
    return this.#fallback(claim !== undefined && claim.password !== '');
  }

  #claimed(name: string, header: string | undefined): AgentIdentity {
    if (!isAgentName(name)) return { ...this.#fallback(false), invalid: true };
    const key = this.#keys.configKey(name);
    const known = key !== this.#options.defaultAgent || name === key;
    if (known && this.#tokens.has(key)) {
      return { agent: name, by: 'claim', challenge: `${name} has a token: give it as the proxy password` };
    }
    if (known) return decided(name, 'claim', [header]);
    if (this.#options.isSecret?.(name) === true) return { ...this.#fallback(false), invalid: true };
    // Where agents prove themselves with tokens and must, an invented name is no way around them.
    if (this.#options.identify === 'required' && this.#tokens.size > 0) {
      return { agent: this.#options.defaultAgent, by: 'default', challenge: NO_NAME };
    }
    if (!this.#unknown.has(name)) {
      if (this.#unknown.size >= this.#options.maxAgents) return decided(OTHER_AGENT, 'claim', []);
      this.#unknown.add(name);
    }
    return decided(name, 'claim', [header]);
  }

  #fallback(wrongToken: boolean): AgentIdentity {
    const { defaultAgent, identify } = this.#options;
    if (identify === 'optional') return { agent: defaultAgent, by: 'default' };
    return { agent: defaultAgent, by: 'default', challenge: wrongToken ? 'no agent has this token' : NO_NAME };
  }

  /** The agent whose token the password is: the named one, or any when no name was given. */
  #proven(claim: Claim): string | undefined {
    if (claim.password === '' || this.#tokens.size === 0) return undefined;
    const given = this.#digest(claim.password);
    if (claim.name !== '') {
      if (!isAgentName(claim.name)) return undefined;
      const expected = this.#tokens.get(this.#keys.configKey(claim.name));
      // Every name of a glob shares the glob's token; an unknown name must not become an agent through the default's token.
      const own =
        this.#options.agents.has(claim.name) || this.#keys.configKey(claim.name) !== this.#options.defaultAgent;
      return own && expected !== undefined && timingSafeEqual(expected, given) ? claim.name : undefined;
    }
    let found: string | undefined;
    for (const [agent, expected] of this.#tokens) {
      if (timingSafeEqual(expected, given) && !agent.includes('*')) found ??= agent;
    }
    return found;
  }

  #sourceOf(address: string): string | undefined {
    const known = this.#bySource.get(address);
    if (known !== undefined) return known === '' ? undefined : known;
    const found = this.#sources.find((source) => source.has(address))?.agent;
    if (this.#bySource.size >= CACHE) this.#bySource.clear();
    this.#bySource.set(address, found ?? '');
    return found;
  }

  /** Equal lengths for timingSafeEqual, and nothing a timing of the comparison could be run against. */
  #digest(secret: string): Buffer {
    return createHmac('sha256', this.#pepper).update(secret, 'utf8').digest();
  }
}

function decided(agent: string, by: IdentifiedBy, weaker: readonly (string | undefined)[]): AgentIdentity {
  for (const other of weaker) {
    if (other === undefined || other === '' || other === agent || agent === OTHER_AGENT) continue;
    const name = isAgentName(other) ? other : 'an illegal name';
    return { agent, by, conflict: `identified as ${agent} by ${by}, but other evidence names ${name}` };
  }
  return { agent, by };
}

/** `Basic user:password` (RFC 7617, UTF-8) or `Bearer token`; undefined for anything else. */
function readClaim(header: string): Claim | undefined {
  const space = header.indexOf(' ');
  if (space < 0) return undefined;
  const scheme = header.slice(0, space).toLowerCase();
  const rest = header.slice(space + 1).trim();
  if (scheme === 'bearer') return { name: '', password: rest };
  if (scheme !== 'basic') return undefined;
  const text = Buffer.from(rest, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? { name: text, password: '' } : { name: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** `^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$` (product.md §4): safe as file name, label and SQL value. */
export function isAgentName(name: string): boolean {
  if (name.length === 0 || name.length > 63) return false;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    const alphanumeric = (c >= 0x30 && c <= 0x39) || ((c | 0x20) >= 0x61 && (c | 0x20) <= 0x7a);
    if (!alphanumeric && (i === 0 || (c !== 0x2e && c !== 0x5f && c !== 0x2d))) return false;
  }
  return true;
}

/** From an agent's name to the `agents:` key that rules it. */
export interface AgentKeys {
  /** The exact key, else the first glob that matches, else the default agent. */
  configKey(name: string): string;
  /** True when a key (exact or glob) or the default agent names it. */
  known(name: string): boolean;
}

/** Compiles the keys of `agents:`. Exact keys win over globs, globs go in file order. Answers are cached, bounded. */
export function createAgentKeys(keys: Iterable<string>, defaultAgent: string): AgentKeys {
  const exact = new Set<string>([defaultAgent]);
  const globs: string[] = [];
  for (const key of keys) {
    if (key.includes('*')) globs.push(key);
    else exact.add(key);
  }
  const cache = new Map<string, string>();
  const lookup = (name: string): string => {
    if (exact.has(name)) return name;
    const cached = cache.get(name);
    if (cached !== undefined) return cached;
    const key = globs.find((glob) => globText(glob, name)) ?? defaultAgent;
    if (cache.size >= CACHE) cache.clear();
    cache.set(name, key);
    return key;
  };
  return {
    configKey: lookup,
    known: (name) => exact.has(name) || lookup(name) !== defaultAgent,
  };
}

/**
 * Key under which an agent learns: globs marked `baseline: as-one` share one; a name nobody configured learns as itself in
 * monitor and as the default agent where unknown names could otherwise buy a fresh learning phase (`newcomersShare`).
 */
export function baselineKeys(
  keys: AgentKeys,
  asOne: ReadonlySet<string>,
  defaultAgent: string,
  newcomersShare: (name: string) => boolean,
): (agent: string) => string {
  return (agent) => {
    const key = keys.configKey(agent);
    if (key !== agent && asOne.has(key)) return key;
    return !keys.known(agent) && newcomersShare(agent) ? defaultAgent : agent;
  };
}
