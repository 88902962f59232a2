import { hostPort } from '../model/destination.ts';
import type { ConfigProblem, Locate } from './problem.ts';
import type { Config } from './schema.ts';
import { isLoopback } from './values.ts';

/** Rules of product.md §4 about where Weir may listen, beyond the form of each entry. */
export function listenProblems(config: Config, locate: Locate): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const seen = new Set<string>();
  for (const [index, entry] of config.listen.entries()) {
    const name = hostPort(entry.host, entry.port);
    const where = locate(['listen', index]);
    if (entry.port !== 0 && seen.has(name))
      problems.push({ where, key: 'listen', message: `listen in ${where}: ${name} stands there twice` });
    seen.add(name);
    if (isLoopback(entry.host) || config.allow_from.length > 0 || entry.tls?.client_ca !== undefined) continue;
    const lack = missingTokens(config);
    if (lack === undefined) continue;
    problems.push({ where, key: 'listen', message: openToAll(name, entry.host, lack) });
  }
  return problems;
}

/** What keeps tokens from covering everybody; undefined when they do. */
function missingTokens(config: Config): string | undefined {
  const agents = [...config.agents];
  const without = agents.filter(([, agent]) => agent.token === undefined && agent.token_file === undefined);
  if (agents.length === without.length) return 'no agent has a token';
  if (without.length > 0) return `${without.map(([name]) => name).join(', ')} has no token`;
  // A caller without evidence is `agent`; without this it would need no token at all.
  const anonymous = config.agents.get(config.agent);
  if (config.identify !== 'required' && anonymous === undefined)
    return `who gives no name needs no token (identify: required closes that)`;
  return undefined;
}

function openToAll(name: string, host: string, lack: string): string {
  const who =
    host === '0.0.0.0' || host === '::'
      ? 'can be reached by everyone who reaches this machine'
      : 'can be reached from other machines';
  return [
    `${name} ${who}, and ${lack}.`,
    'Say who may use it: allow_from: [10.0.0.0/8]   or   allow_from: local-networks   or give every agent a token.',
  ].join('\n');
}
