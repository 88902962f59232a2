import { dataOf } from './collector-library.ts';
import type { Config } from './config/schema.ts';
import { compileCategories } from './inspect/categories.ts';

const SHARED = 'shared-cdn';

/** Allowed hosts that many parties share, one sentence each (threat E4): the list says whose they are not. */
export function sharedHosts({ destinations, agents }: Config): string[] {
  const categories = compileCategories(dataOf('destinations'));
  const lists = [
    ['destinations.allowed', destinations.allowed] as const,
    ...[...agents].map(([name, { allowed_domains }]) => [`agents.${name}.allowed_domains`, allowed_domains] as const),
  ];
  return lists.flatMap(([key, rules]) =>
    rules.flatMap(({ host }) => {
      const name = host.startsWith('*.') ? host.slice(2) : host;
      const found = categories.of(name).find((category) => category.name === SHARED);
      if (found === undefined) return [];
      const whose = host.startsWith('*.') ? 'anybody can rent a name below it' : 'its neighbours can be anybody’s';
      return [
        `${key}: ${host} is on a ${found.label}: ${whose}, and in a tunnel they can be asked for behind its name`,
      ];
    }),
  );
}
