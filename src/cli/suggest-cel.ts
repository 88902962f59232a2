import { CliError, safe } from './context.ts';
import type { Entry } from './suggest-list.ts';
import { agentHeading, type Frame, heading, type Suggestion } from './suggest-words.ts';
import { scalar } from './suggest-yaml.ts';

/** Longest expression a policy may have (policy/cel.ts). */
const MAX_EXPRESSION = 32_768;
const ADDRESS = 'attrs["server.address"]';

/** The suggestion as one policy for each agent, in the shape Strathon exports and imports (`{policies: […]}`), shadowed. */
export function celYaml(all: readonly Suggestion[], frame: Frame): string {
  const head = heading(frame, [
    'In shadow nothing is stopped: it is recorded what would have been. `shadow: false` makes it so.',
    'What it would have stopped so far: weir replay --live --policy FILE, with this text in it',
  ]);
  const policies = all.filter(({ entries }) => entries.length > 0).flatMap((s) => policy(s, frame));
  const list = policies.length === 0 ? ['policies: []'] : ['policies:', ...policies];
  const missing = all.filter(({ entries }) => entries.length === 0).flatMap((s) => agentHeading(s, frame).slice(0, 3));
  return `${[...[...head, ...missing].map((line) => `# ${line}`), ...list].join('\n')}\n`;
}

function policy(s: Suggestion, frame: Frame): string[] {
  const expression = outsideOf(s.agent, s.entries);
  if (expression.join('\n').length > MAX_EXPRESSION)
    throw new CliError(
      `the list of ${safe(s.agent, 63)} is too long for one policy (${s.entries.length} entries). As a list it has no limit: weir policy suggest --agent ${safe(s.agent, 63)}`,
    );
  return [
    ...agentHeading(s, frame).map((line) => `  # ${line}`),
    `  - name: ${scalar(`outside-the-list-of-${s.agent.replaceAll('*', 'any')}`)}`,
    `    description: ${JSON.stringify(`${s.agent} reached something its baseline does not imply`)}`,
    '    match_expression: |-',
    ...expression.map((line) => `      ${line}`),
    '    action: block',
    '    action_config: { message: "not on the list" }',
    '    applies_to: []',
    '    enabled: true',
    '    priority: 1000',
    '    shadow: true',
  ];
}

/** True for what is on no line of the list. Lists keep the expression flat: parsers bound depth, not elements. */
function outsideOf(agent: string, entries: readonly Entry[]): string[] {
  const groups = new Map<string, Entry[]>();
  for (const entry of entries) {
    const key = `${entry.port} ${entry.methods.join(' ')}`;
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  const allowed = Array.from(groups.values(), (group) => groupOf(group)).flatMap((lines, i) =>
    i === 0 ? lines : ['  ||', ...lines],
  );
  return [`${whose(agent)} && !(`, ...allowed, ')'];
}

/** Entries of one port and the same methods. A CONNECT has no method of the request it will carry. */
function groupOf(group: readonly Entry[]): string[] {
  const [{ port, methods } = { port: 0, methods: [] }] = group;
  const exact = group.filter(({ host }) => !host.startsWith('*.')).map(({ host }) => host);
  const below = group.filter(({ host }) => host.startsWith('*.')).map(({ host }) => host.slice(1));
  const names: string[][] = [];
  for (let i = 0; i < exact.length; i += 1000)
    names.push([`${ADDRESS} in [`, ...listed(exact.slice(i, i + 1000)), ']']);
  if (below.length > 0) names.push(['[', ...listed(below), `].exists(suffix, ${ADDRESS}.endsWith(suffix))`]);
  const hosts = names.flatMap((lines, i) => (i === 0 ? lines : ['||', ...lines]));
  const method =
    methods.length === 0 ? '' : ` && attrs["http.request.method"] in ${JSON.stringify([...methods, 'CONNECT'])}`;
  return [`  (attrs["server.port"] == ${port}${method} && (`, ...hosts.map((line) => `    ${line}`), '  ))'];
}

function listed(names: readonly string[]): string[] {
  return names.map((name, i) => `  ${JSON.stringify(name)}${i === names.length - 1 ? '' : ','}`);
}

/** An agent, or those a glob names. */
function whose(agent: string): string {
  if (!agent.includes('*')) return `attrs["weir.agent"] == ${JSON.stringify(agent)}`;
  const pattern = agent
    .split('*')
    .map((part) => part.replaceAll('.', '[.]'))
    .join('.*');
  return `attrs["weir.agent"].matches(${JSON.stringify(`^${pattern}$`)})`;
}
