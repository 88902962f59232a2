import { safe } from './context.ts';
import type { Entry } from './suggest-list.ts';
import type { Doubt } from './suggest-place.ts';
import { agentHeading, evidence, type Frame, heading, placeText, remarks, type Suggestion } from './suggest-words.ts';

/** One line: what stands in the file, and what is said of it. */
interface Line {
  readonly text: string;
  readonly comment?: string;
}

/** Comments begin here where the entry leaves room. */
const COLUMN = 48;
/** Lines commented out for one agent; a scan of thousands of hosts is not a list anybody reads. */
const DOUBTS = 200;

/** Siblings listed under a wildcard. */
const COVERED = 20;

/** The suggestion as Weir's own configuration: `agents.<name>.allowed_domains`. */
export function allowListYaml(all: readonly Suggestion[], frame: Frame): string {
  const next = [
    'Next: hold it against what was recorded: weir replay --policy FILE, with this text in it',
    `      take it into your configuration, then: weir check --config ${frame.config}`,
    ...all.slice(0, 1).map(({ agent }) => {
      const who = all.length === 1 && !agent.includes('*') ? `${safe(agent, 63)} ` : '';
      return `      and, when weir logs --blocked shows nothing that is missed: weir mode ${who}enforce`;
    }),
  ];
  const blocks = all.flatMap((s) => [
    ...comments(agentHeading(s, frame), '  '),
    `  ${scalar(s.agent)}:`,
    ...agentLines(s, frame.now),
  ]);
  const text = [...comments(heading(frame, next), ''), 'agents:', ...blocks, ...internalLines(all, frame.now)];
  return `${text.join('\n')}\n`;
}

/** Nothing certain: the whole list is a comment, since an empty list would be none. */
function agentLines(s: Suggestion, now: number): string[] {
  const sure = s.entries.flatMap((entry) => [
    { text: `- ${ruleOf(entry)}`, comment: said(entry, now) },
    ...coveredBy(entry, now),
  ]);
  const doubtful = doubtLines(s, now, (place) => ruleOf({ ...place, methods: [], paths: [] }));
  if (sure.length === 0 && doubtful.length === 0) return ['    # nothing was reached yet'];
  const key = s.entries.length === 0 ? '    # allowed_domains:' : '    allowed_domains:';
  return [key, ...rendered([...sure, ...doubtful], '      ')];
}

function said(entry: Entry, now: number): string {
  return [evidence(entry.places, now), ...remarks(entry)].join('; ');
}

/** The siblings under a wildcard, each with its own evidence. */
function coveredBy({ places }: Entry, now: number): Line[] {
  if (places.length < 2) return [];
  const lines = places.slice(0, COVERED).map((place): Line => {
    return { text: `#   ${placeText(place)}`, comment: evidence([place], now) };
  });
  const more = places.length - lines.length;
  return more > 0 ? [...lines, { text: `#   … and ${more} more` }] : lines;
}

function doubtLines(s: Suggestion, now: number, form: (place: Doubt['place']) => string): Line[] {
  if (s.doubts.length === 0) return [];
  const lines = s.doubts.slice(0, DOUBTS).map(({ place, reason }): Line => {
    const wide = s.entries.find(({ host, port }) => port === place.port && coversName(host, place.host));
    const covered = wide === undefined ? '' : `; ${wide.host} above covers it`;
    return { text: `# - ${form(place)}`, comment: `${safe(reason, 240)}${covered}; ${evidence([place], now)}` };
  });
  const more = s.doubts.length - lines.length;
  return [
    { text: '# Left out until somebody decides:' },
    ...lines,
    ...(more > 0 ? [{ text: `# … and ${more} more` }] : []),
  ];
}

function coversName(pattern: string, host: string): boolean {
  return pattern.startsWith('*.') && host.endsWith(pattern.slice(1));
}

/** Private addresses are opened for everybody, by a person, or not at all. */
function internalLines(all: readonly Suggestion[], now: number): string[] {
  const lines = all.flatMap(({ agent, internal }) =>
    internal.map(({ place, finding }): Line => {
      const comment = `${safe(agent, 63)}: ${safe(finding.message, 160)}; ${evidence([place], now)}`;
      return { text: `#     - ${ruleOf({ ...place, methods: [], paths: [] })}`, comment };
    }),
  );
  if (lines.length === 0) return [];
  return [
    '# Private addresses that were reached. Enforce stops them, allowed or not, until they stand here:',
    '# destinations:',
    '#   internal:',
    ...rendered(lines, ''),
  ];
}

/** `- a.example:443   # why`, comments in one column where there is room. */
function rendered(lines: readonly Line[], indent: string): string[] {
  return lines.map(({ text, comment }) => {
    const line = `${indent}${text}`;
    return comment === undefined ? line : `${line.padEnd(COLUMN - 1)} # ${comment}`;
  });
}

function comments(lines: readonly string[], indent: string): string[] {
  return lines.map((line) => `${indent}# ${line}`);
}

/** An entry of `allowed_domains` in its shortest form (config/entries.ts). */
function ruleOf({ host, port, methods, paths }: Pick<Entry, 'host' | 'port' | 'methods' | 'paths'>): string {
  const place = placeText({ host, port });
  if (paths.length > 0) {
    const list = paths.map((path) => JSON.stringify(path)).join(', ');
    return `{ host: ${scalar(host)}, ports: [${port}], methods: [${methods.join(', ')}], paths: [${list}] }`;
  }
  if (methods.length === 0) return scalar(place);
  if (methods.length === 1) return scalar(`${methods[0]} ${place}`);
  return `{ host: ${scalar(host)}, ports: [${port}], methods: [${methods.join(', ')}] }`;
}

/** Words YAML takes for something else than a string, and whatever does not begin like a name, are quoted. */
export function scalar(text: string): string {
  const plain = /^[A-Za-z][A-Za-z0-9._-]*(?: [A-Za-z][A-Za-z0-9.-]*)?(?::\d+)?$/.test(text);
  const word = /^(?:true|false|null|yes|no|on|off|y|n)$/i.test(text);
  return plain && !word ? text : JSON.stringify(text);
}

/** The same list as Oktsec reads it: `agents.<name>.egress.allowed_domains`, names alone. */
export function oktsecYaml(all: readonly Suggestion[], frame: Frame): string {
  const head = heading(frame, [
    'Oktsec lists names alone: ports and methods are not in it, and no wildcard stands for siblings.',
  ]);
  const blocks = all.flatMap((s) => {
    const seen = new Map<string, Entry['places']>();
    for (const { host, places } of s.entries) seen.set(host, [...(seen.get(host) ?? []), ...places]);
    const sure = Array.from(seen, ([host, places]): Line => {
      return { text: `- ${scalar(host)}`, comment: evidence(places, frame.now) };
    });
    const doubtful = doubtLines(s, frame.now, ({ host }) => scalar(safe(host, 260)));
    const key = sure.length === 0 ? '      # allowed_domains:' : '      allowed_domains:';
    return [
      ...comments(agentHeading(s, frame), '  '),
      `  ${scalar(s.agent)}:`,
      '    egress:',
      key,
      ...rendered([...sure, ...doubtful], '        '),
    ];
  });
  return `${[...comments(head, ''), 'agents:', ...blocks].join('\n')}\n`;
}
