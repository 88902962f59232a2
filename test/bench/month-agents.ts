import type { Sent } from '../support/simulated-house.ts';

/** Numbers that look random and are the same every time (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;

/** One thing an agent does again and again. */
export interface Habit {
  readonly url: (turn: Turn) => string;
  readonly method?: string;
  readonly fields?: (turn: Turn) => readonly string[];
  /** Times a day on the days it is done. */
  readonly often: number;
  /** 0 = Sunday. Default: those of the agent. */
  readonly days?: readonly number[];
  /** Bytes out, the usual size; each time is between half and twice of it. */
  readonly bytes?: number;
}

export interface Profile {
  readonly agent: string;
  readonly days: readonly number[];
  /** Hours of the day (UTC), from and to. */
  readonly hours: readonly [number, number];
  readonly habits: readonly Habit[];
}

interface Turn {
  readonly random: () => number;
  /** Epoch ms. */
  readonly at: number;
  /** Since the simulation began. */
  readonly day: number;
}

const WEEK = [1, 2, 3, 4, 5];
const ALL = [0, 1, 2, 3, 4, 5, 6];
const to = (url: string) => () => url;
const one = (turn: Turn, all: readonly string[]): string => all[Math.floor(turn.random() * all.length)] as string;
/** Assembled, so that no scanner takes the repository for a leak. */
export const apiKey = (who: string): string => ['sk', 'ant', 'api03', `${who}${'Q7x'.repeat(12)}`].join('-');
const anthropic = (who: string) => () => ['x-api-key', apiKey(who)];
/** A token of the day or the hour: no two weeks see the same. */
const oauth = ({ at }: Turn) => [
  'Authorization',
  `Bearer ya29.${Math.floor(at / HOUR)
    .toString(36)
    .padStart(40, 'k')}`,
];
const llm = (who: string, often: number): Habit => ({
  url: to('https://api.anthropic.com/v1/messages'),
  method: 'POST',
  fields: anthropic(who),
  often,
  bytes: 20_000,
});
/** Names of documentation sites nobody has been to before. */
const fresh = (turn: Turn): string =>
  `https://${one(turn, WORDS)}-${one(turn, WORDS)}${turn.day}.${one(turn, ['dev', 'io', 'org'])}/docs`;
const WORDS =
  'amber basil cedar delta ember fable grove harbor iris juniper kestrel lumen maple nectar onyx pepper'.split(' ');
const npm = (often: number): Habit => ({
  url: (turn) => `https://registry.npmjs.org/${one(turn, WORDS)}`,
  often,
});

/** Ten agents of a company, each with its week. */
export const PROFILES: readonly Profile[] = [
  {
    agent: 'researcher',
    days: WEEK,
    hours: [8, 18],
    habits: [
      llm('researcher', 60),
      { url: to('https://api.search.example/v1/search?q=x'), often: 40 },
      { url: (turn) => `https://${one(turn, WORDS)}.readthedocs.example/en/latest/`, often: 30 },
      { url: fresh, often: 2 },
    ],
  },
  {
    agent: 'coder',
    days: WEEK,
    hours: [9, 20],
    habits: [
      llm('coder', 120),
      npm(30),
      {
        url: (turn) => `https://api.github.com/repos/acme/${one(turn, ['web', 'api'])}/contents`,
        often: 20,
        fields: () => ['Authorization', `token ghp_${'c'.repeat(36)}`],
      },
      { url: to('https://github.com/acme/web/git-upload-pack'), method: 'POST', often: 8, bytes: 40_000 },
      { url: to('https://github.com/acme/web/git-receive-pack'), method: 'POST', often: 4, bytes: 200_000 },
    ],
  },
  {
    agent: 'support',
    days: ALL,
    hours: [0, 24],
    habits: [
      llm('support', 100),
      { url: to('https://acme.zendesk.com/api/v2/tickets.json'), often: 100 },
      { url: to('https://acme.zendesk.com/api/v2/tickets/1.json'), method: 'PUT', often: 40, bytes: 2000 },
      { url: to('https://slack.com/api/chat.postMessage'), method: 'POST', often: 20, bytes: 600 },
    ],
  },
  {
    agent: 'ci',
    days: ALL,
    hours: [1, 4],
    habits: [
      npm(80),
      { url: to('https://registry-1.docker.io/v2/library/node/manifests/24'), often: 10 },
      {
        url: to('https://acme-artifacts.s3.eu-central-1.amazonaws.com/build.tgz'),
        method: 'PUT',
        often: 3,
        bytes: 40_000_000,
      },
      {
        url: to('https://acme-artifacts.s3.eu-central-1.amazonaws.com/full.tgz'),
        method: 'PUT',
        often: 1,
        days: [0],
        bytes: 300_000_000,
      },
    ],
  },
  {
    agent: 'finance',
    days: WEEK,
    hours: [7, 17],
    habits: [
      { url: to('https://sheets.googleapis.com/v4/spreadsheets/a/values'), often: 30, fields: oauth },
      { url: to('https://api.bank.example/accounts'), often: 20 },
      { url: to('https://api.bank.example/payments'), method: 'POST', often: 5, days: [5], bytes: 3000 },
      { url: to('https://reports.tax.example/upload'), method: 'POST', often: 1, days: [1], bytes: 80_000 },
    ],
  },
  {
    agent: 'crawler',
    days: ALL,
    hours: [0, 24],
    habits: [
      { url: (turn) => `https://${one(turn, WORDS)}.news.example/feed`, often: 150 },
      { url: fresh, often: 25 },
      { url: to('https://index.acme.example/documents'), method: 'POST', often: 100, bytes: 30_000 },
    ],
  },
  {
    agent: 'mailer',
    days: WEEK,
    hours: [6, 9],
    habits: [
      {
        url: to('https://api.sendgrid.com/v3/mail/send'),
        method: 'POST',
        often: 80,
        bytes: 5000,
        fields: () => ['Authorization', `Bearer SG.${'m'.repeat(22)}.${'n'.repeat(43)}`],
      },
      { url: to('https://crm.acme.example/contacts'), often: 40 },
    ],
  },
  {
    agent: 'backup',
    days: ALL,
    hours: [2, 5],
    habits: [
      { url: to('https://status.acme.example/ping'), often: 24 },
      { url: to('https://acme-backup.s3.eu-west-1.amazonaws.com/daily'), method: 'PUT', often: 10, bytes: 20_000_000 },
      {
        url: to('https://acme-backup.s3.eu-west-1.amazonaws.com/weekly'),
        method: 'PUT',
        often: 10,
        days: [0],
        bytes: 100_000_000,
      },
    ],
  },
  {
    agent: 'analyst',
    days: WEEK,
    hours: [8, 19],
    habits: [
      llm('analyst', 40),
      { url: to('https://warehouse.acme.example/query'), method: 'POST', often: 60, bytes: 4000 },
      { url: (turn) => `https://acme-${one(turn, ['sales', 'web'])}.s3.eu-central-1.amazonaws.com/part`, often: 20 },
      { url: to('https://dashboards.acme.example/publish'), method: 'POST', often: 2, days: [1], bytes: 500_000 },
    ],
  },
  {
    agent: 'assistant',
    days: ALL,
    hours: [6, 22],
    habits: [
      llm('assistant', 50),
      { url: to('https://gmail.googleapis.com/gmail/v1/users/me/messages'), often: 60, fields: oauth },
      { url: ({ day }) => `https://edge${day}.cdn.acme.example/app.js`, often: 6 },
      {
        url: to('https://gmail.googleapis.com/gmail/v1/users/me/messages/send'),
        method: 'POST',
        often: 8,
        fields: oauth,
        bytes: 9000,
      },
      {
        url: to('https://www.googleapis.com/calendar/v3/calendars/primary/events'),
        often: 40,
        fields: oauth,
        days: WEEK,
      },
    ],
  },
];

export interface Event {
  readonly at: number;
  readonly sent: Sent;
  /** Set where it was planted: what must be told of it, once for all of a group. */
  readonly planted?: string;
  readonly group?: string;
}

/** What nobody planned: now and then an agent is given a new tool, and uses it from then on. */
export function newTool(agent: string, week: number): Habit {
  return { url: to(`https://api.tool${week}.${agent}.example/v1/run`), method: 'POST', often: 5, bytes: 3000 };
}

/** What one agent does in one day, in order. */
export function dayOf(profile: Profile, begin: number, day: number, random: () => number, share: number): Event[] {
  const weekday = new Date(begin).getUTCDay();
  const events: Event[] = [];
  for (const habit of profile.habits) {
    if (!(habit.days ?? profile.days).includes(weekday)) continue;
    // No two days are the same, and what is done rarely is done whole.
    const times =
      habit.often <= 5 ? habit.often : Math.max(1, Math.round(habit.often * share * (0.7 + 0.6 * random())));
    for (let i = 0; i < times; i++) {
      const [from, until] = profile.hours;
      const at = begin + (from + (until - from) * random()) * HOUR;
      const turn = { random, at, day };
      // One upload in fifty is of another size than the others.
      const size = (0.5 + 1.5 * random()) * (random() < 0.02 ? 8 : 1);
      const bytes = Math.round((habit.bytes ?? 0) * size);
      const fields = habit.fields?.(turn);
      events.push({
        at,
        sent: {
          agent: profile.agent,
          url: habit.url(turn),
          method: habit.method ?? 'GET',
          requestBytes: bytes,
          ...(fields === undefined ? {} : { fields }),
        },
      });
    }
  }
  return events.sort((a, b) => a.at - b.at);
}
