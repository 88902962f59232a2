import { resolve } from 'node:path';
import { Command } from 'commander';
import { homely } from '../config/load.ts';
import { readYamlFile, yamlText } from '../config/yaml-file.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { importOktsec } from './oktsec.ts';

/** `weir policy import <oktsec file>`: its lists and limits as a configuration of Weir, on standard output. */
export function policyImportCommand(cli: Cli): Command {
  return new Command('import')
    .description('an Oktsec configuration (forward_proxy, egress) in Weir’s words, on standard output')
    .argument('<file>', 'YAML or JSON')
    .action(async (given: string) => {
      const path = resolve(cli.cwd, given);
      const name = homely(path);
      const file = readYamlFile(path, name);
      try {
        const { config, remarks } = importOktsec(file.value);
        cli.print({ config, remarks }, () =>
          [
            `# From ${safe(name, 200)}. Lists add up, the global block list wins: as there.`,
            ...remarks.map((remark) => `# ${safe(remark, 300)}`),
            yamlText(config).trimEnd(),
          ].join('\n'),
        );
      } catch (error) {
        throw new CliError(`${safe(name, 200)}: ${(error as Error).message}`, EXIT.usage, { cause: error });
      }
    });
}
