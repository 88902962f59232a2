import { fileURLToPath } from 'node:url';
import { readYamlFile } from '../config/yaml-file.ts';

/** Destinations that only a person may put on a list (product.md §6). */
export interface Risky {
  /** The label of a host's category (“paste site”); undefined when it has no risky one. */
  of(host: string): string | undefined;
  /** Whether a wildcard over a domain would cover one of them. */
  below(domain: string): boolean;
}

/** Reads the risky categories of `patterns/destinations.yaml`. Throws ConfigError when the file cannot be trusted. */
export function readRisky(): Risky {
  const path = fileURLToPath(new URL('../../patterns/destinations.yaml', import.meta.url));
  const { categories } = readYamlFile(path, 'patterns/destinations.yaml').value as {
    readonly categories: Readonly<
      Record<string, { readonly label: string; readonly risky: boolean; readonly hosts: readonly string[] }>
    >;
  };
  const labels = new Map<string, string>();
  for (const { label, risky, hosts } of Object.values(categories))
    if (risky) for (const host of hosts) labels.set(host, label);
  return riskyOf(labels);
}

/** Looks hosts up among these: a listed one stands for itself and every name below it. */
export function riskyOf(labels: ReadonlyMap<string, string>): Risky {
  const of = (host: string): string | undefined => {
    for (let name = host; name !== ''; ) {
      const label = labels.get(name);
      if (label !== undefined) return label;
      const dot = name.indexOf('.');
      name = dot < 0 ? '' : name.slice(dot + 1);
    }
    return undefined;
  };
  return {
    of,
    below: (domain) =>
      of(domain) !== undefined || Array.from(labels.keys()).some((host) => host.endsWith(`.${domain}`)),
  };
}
