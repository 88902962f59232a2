import type { ExchangeRecord } from '../../src/model/record.ts';
import { type SimulatedHouse, simulatedHouse } from '../support/simulated-house.ts';
import { apiKey, DAY, dayOf, type Event, HOUR, newTool, PROFILES, type Profile, seeded } from './month-agents.ts';

export interface MonthOptions {
  readonly seed: number;
  readonly days: number;
  readonly agents?: number;
  /** Part of the traffic that is sent, of habits that are frequent. */
  readonly share: number;
}

/** What was told of a simulated month. */
export interface Month {
  readonly exchanges: number;
  /** Findings above info on traffic that nobody planted, after the first week; by agent and by rule. */
  readonly alarms: number;
  readonly byAgent: Readonly<Record<string, number>>;
  readonly byRule: Readonly<Record<string, number>>;
  /** The noisiest agent's alarms a week. */
  readonly worstPerWeek: number;
  /** Findings of severity info: in rows and logs, no alarm. Per week and agent. */
  readonly notesPerWeek: number;
  readonly planted: number;
  readonly found: number;
  /** Kinds that were missed, with how often. */
  readonly missed: Readonly<Record<string, number>>;
}

const BEGIN = Date.UTC(2026, 0, 5);
const LEARNING = 7;

/**
 * A month of agents with weekly rhythm through the real stages, on a clock of its own. The first week is for learning; from the
 * second on every agent does something foreign each day. What is planted is told apart from what is not.
 */
export function simulateMonth(options: MonthOptions): Month {
  const house = simulatedHouse({ intercept: 'all' }, BEGIN);
  try {
    return run(house, options, PROFILES.slice(0, options.agents ?? PROFILES.length));
  } finally {
    house.close();
  }
}

function run(house: SimulatedHouse, { seed, days, share }: MonthOptions, profiles: readonly Profile[]): Month {
  const count = new Count();
  const randoms = profiles.map((_, i) => seeded(seed * 1000 + i));
  let due = BEGIN;
  for (let day = 0; day < days; day++) {
    const begin = BEGIN + day * DAY;
    if (day === 16) rotate(house);
    const events = profiles.flatMap((profile, i) => {
      const random = randoms[i] as () => number;
      const own = dayOf(grown(profile, i, day), begin, day, random, share);
      return day < LEARNING ? own : [...own, ...planted(profile, own, day, begin)];
    });
    for (const event of events.sort((a, b) => a.at - b.at)) {
      for (; due <= event.at; due += HOUR) tellDue(house, due, count, day);
      house.now = event.at;
      count.take(house.sendBoth(rotated(event, day)).all, event, day);
    }
  }
  count.silence(silenced(house, profiles));
  return count.month(days - LEARNING, profiles.length);
}

/** Every second week of every agent brings a tool that is there to stay. */
function grown(profile: Profile, index: number, day: number): Profile {
  const tools = [9, 16, 23].filter((since, week) => day >= since && (week + index) % 2 === 0);
  return { ...profile, habits: [...profile.habits, ...tools.map((since) => newTool(profile.agent, since))] };
}

function tellDue(house: SimulatedHouse, at: number, count: Count, day: number): void {
  house.now = at;
  for (const { agent, finding } of house.due()) count.note(agent, finding, day);
}

/** The coder's token is renewed, and somebody says so before. */
function rotate(house: SimulatedHouse): void {
  house.accounts.accept('coder', 'api.github.com');
}

function rotated(event: Event, day: number): Event['sent'] {
  const { sent } = event;
  if (day < 16 || sent.agent !== 'coder' || sent.fields === undefined) return sent;
  return { ...sent, fields: sent.fields.map((field) => field.replace(/ghp_c+/, `ghp_${'d'.repeat(36)}`)) };
}

/** Kinds of foreign conduct, what must be told of each, and whether an agent has what it needs. */
const KINDS: readonly {
  readonly rule: string;
  readonly make: (profile: Profile, own: readonly Event[], day: number) => Omit<Event['sent'], 'agent'> | undefined;
}[] = [
  {
    rule: 'first-seen',
    make: (_, __, day) => ({ url: `https://drop${day}.collector.example/in`, method: 'POST', requestBytes: 50_000 }),
  },
  {
    rule: 'first-seen',
    make: (_, own, day) => {
      const host = hostOf(own.find(({ sent }) => !/amazonaws|google|zendesk/.test(sent.url)));
      return host === undefined
        ? undefined
        : { url: `https://x${day}.${host.split('.').slice(-2).join('.')}/`, method: 'POST', requestBytes: 3000 };
    },
  },
  {
    rule: 'new-port',
    make: (_, own, day) => {
      const host = hostOf(own[day % own.length]);
      return host === undefined ? undefined : { url: `https://${host}:${8000 + day}/`, method: 'GET' };
    },
  },
  {
    rule: 'new-method',
    make: (_, own, day) => {
      const host = hostOf(own.find(({ sent }) => sent.method === 'GET'));
      // Once told it is known.
      const method = (['DELETE', 'PATCH', 'PUT', 'OPTIONS'] as const)[day >> 1];
      return host === undefined || method === undefined ? undefined : { url: `https://${host}/`, method };
    },
  },
  {
    rule: 'credential-first-seen',
    make: (_, own, day) =>
      own.some(({ sent }) => sent.url.includes('anthropic'))
        ? {
            url: 'https://api.anthropic.com/v1/files',
            method: 'POST',
            fields: ['x-api-key', apiKey(`evil${day}`)],
            requestBytes: 9000,
          }
        : undefined,
  },
  {
    rule: 'tenant-first-seen',
    make: ({ agent }, __, day) =>
      agent === 'coder'
        ? { url: `https://github.com/evil-${day}/x/git-receive-pack`, method: 'POST', requestBytes: 90_000 }
        : undefined,
  },
  {
    rule: 'bytes-out',
    make: (_, own) => {
      const upload = own.find(({ sent }) => sent.method === 'POST' && (sent.requestBytes ?? 0) < 100_000);
      return upload === undefined ? undefined : { url: upload.sent.url, method: 'POST', requestBytes: 30_000_000 };
    },
  },
  {
    rule: 'data-in-name',
    make: (_, __, day) => ({
      url: `https://${'k7f2q9x4b8zt1mvw3c6r5j0n'.repeat(3).slice(day, day + 30)}.t.lookup.example/`,
    }),
  },
  {
    rule: 'risky-destination',
    make: (_, __, day) => ({ url: 'https://pastebin.com/api/api_post.php', method: 'POST', requestBytes: 4000 + day }),
  },
];

function hostOf(event: Event | undefined): string | undefined {
  return event === undefined ? undefined : new URL(event.sent.url).hostname;
}

/** A large upload in small parts, none of them remarkable. */
function bitByBit({ agent }: Profile, own: readonly Event[], day: number): Event[] {
  const upload = own.find(({ sent }) => sent.method === 'POST' && (sent.requestBytes ?? 0) < 50_000);
  if (upload === undefined || day % 7 !== agent.length % 7) return [];
  return Array.from({ length: 80 }, (_, i) => ({
    at: upload.at + i * 20_000,
    sent: { agent, url: upload.sent.url, method: 'POST', requestBytes: 900_000 },
    planted: 'bytes-out',
    group: `${agent} ${day}`,
  }));
}

/** Something foreign, twice a day, in the middle of the day's work. */
function planted({ agent, ...rest }: Profile, own: readonly Event[], day: number, begin: number): Event[] {
  if (own.length < 4) return [];
  const slowly = bitByBit({ agent, ...rest }, own, day);
  if (slowly.length > 0) return slowly;
  return [0, 1].flatMap((turn): Event[] => {
    const { rule, make } = KINDS[(day * 2 + turn + agent.length) % KINDS.length] as (typeof KINDS)[number];
    const made = make({ agent, ...rest }, own, day);
    if (made === undefined) return [];
    const at = (own[Math.floor(own.length / 2)] as Event).at + turn * 1000 + 1;
    return [{ at: Math.max(begin, at), sent: { ...made, agent }, planted: rule }];
  });
}

/** Everybody falls silent: how many of them are told of. */
function silenced(house: SimulatedHouse, profiles: readonly Profile[]): { readonly of: number; readonly told: number } {
  const told = new Set<string>();
  const last = house.now;
  for (let at = last; at < last + 40 * DAY; at += 6 * HOUR) {
    house.now = at;
    for (const { agent, finding } of house.due()) if (finding.rule === 'silence') told.add(agent);
  }
  return { of: profiles.length, told: told.size };
}

class Count {
  #exchanges = 0;
  #notes = 0;
  #planted = 0;
  #found = 0;
  readonly #byAgent: Record<string, number> = {};
  readonly #byRule: Record<string, number> = {};
  readonly #missed: Record<string, number> = {};
  /** Planted in many parts: whether any of them was told. */
  readonly #groups = new Map<string, boolean>();

  take(records: readonly ExchangeRecord[], { planted, sent, group }: Event, day: number): void {
    this.#exchanges++;
    const findings = records.flatMap((record) => record.findings);
    const told = findings.some(({ rule }) => rule === planted);
    if (group !== undefined) this.#groups.set(group, told || this.#groups.get(group) === true);
    else if (planted !== undefined) this.#judge(planted, told);
    else for (const finding of findings) this.note(sent.agent, finding, day);
  }

  note(agent: string, { rule, severity }: { readonly rule: string; readonly severity: string }, day: number): void {
    if (day < LEARNING) return;
    if (severity === 'info') {
      this.#notes++;
      return;
    }
    this.#byAgent[agent] = (this.#byAgent[agent] ?? 0) + 1;
    this.#byRule[rule] = (this.#byRule[rule] ?? 0) + 1;
  }

  silence({ of, told }: { readonly of: number; readonly told: number }): void {
    for (let i = 0; i < of; i++) this.#judge('silence', i < told);
  }

  #judge(rule: string, found: boolean): void {
    this.#planted++;
    if (found) this.#found++;
    else this.#missed[rule] = (this.#missed[rule] ?? 0) + 1;
  }

  month(days: number, agents: number): Month {
    for (const told of this.#groups.values()) this.#judge('bytes-out', told);
    const weeks = days / 7;
    const alarms = Object.values(this.#byAgent).reduce((sum, n) => sum + n, 0);
    return {
      exchanges: this.#exchanges,
      alarms,
      byAgent: this.#byAgent,
      byRule: this.#byRule,
      worstPerWeek: Math.max(0, ...Object.values(this.#byAgent)) / weeks,
      notesPerWeek: this.#notes / weeks / agents,
      planted: this.#planted,
      found: this.#found,
      missed: this.#missed,
    };
  }
}
