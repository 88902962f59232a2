import { randomBytes } from 'node:crypto';
import { scanBudgetOf } from './collector-content.ts';
import { listenerTls, pemFiles, seedFile } from './collector-files.ts';
import { accountsOf, baselineOf, stageData, upstreamOf } from './collector-parts.ts';
import { readingStage } from './collector-reading.ts';
import { createScanning, scanOptions } from './collector-scan.ts';
import { createShown } from './collector-shown.ts';
import { compileStages } from './collector-stages.ts';
import type { Config } from './config/schema.ts';
import { createTokens } from './inspect/tokens.ts';

/** What a start would refuse beyond the form of the file: categories nobody knows, files that are not what they should be. One sentence each. */
export function configurationProblems(config: Config, env: NodeJS.ProcessEnv): string[] {
  const problems: string[] = [];
  const attempt = (work: () => unknown): void => {
    try {
      work();
    } catch (error) {
      problems.push((error as Error).message);
    }
  };
  attempt(() => pemFiles(config.upstream.ca_file));
  for (const entry of config.listen) attempt(() => listenerTls(entry));
  const { seed } = config.baseline;
  if (seed !== undefined) attempt(() => seedFile(seed));
  const trusting = { ...config, upstream: { ...config.upstream, ca_file: undefined } };
  const data = stageData();
  const shown = createShown(randomBytes(32));
  const baseline = baselineOf(trusting, data, shown, () => trusting.mode);
  attempt(() => createScanning(scanOptions(trusting, String, env)).load());
  // What is wrong with the patterns has been said.
  const builtIn = { ...trusting, patterns: { ...trusting.patterns, secrets_env: [], secrets_file: undefined } };
  const scan = createScanning(scanOptions(builtIn, String, env));
  attempt(() =>
    compileStages({
      config: trusting,
      data,
      shown,
      baseline,
      accounts: accountsOf(trusting, baseline, shown),
      upstream: upstreamOf(trusting, env),
      scan,
      scanBudget: scanBudgetOf(trusting),
      reading: readingStage({ config: trusting, hash: String, tokens: createTokens(), failed: () => undefined }),
      overrides: { agents: new Map(), stopped: new Set(), everyoneStopped: false },
      isSelf: () => false,
      containment: () => 'cooperative',
      hash: (text) => text,
    }),
  );
  return problems;
}
