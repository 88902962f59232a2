import { randomBytes } from 'node:crypto';
import { scanBudgetOf } from './collector-content.ts';
import { explainRequest } from './collector-explain.ts';
import { listenerTls, pemFiles, seedFile } from './collector-files.ts';
import { dataOf } from './collector-library.ts';
import { accountsOf, baselineOf, stageData, upstreamOf } from './collector-parts.ts';
import { Policies, receiverUrl } from './collector-policies.ts';
import { readingStage } from './collector-reading.ts';
import { createScanning, scanOptions } from './collector-scan.ts';
import { createShown } from './collector-shown.ts';
import { compileStages, interceptionOf } from './collector-stages.ts';
import type { Config } from './config/schema.ts';
import { compileCategories } from './inspect/categories.ts';
import { createTokens } from './inspect/tokens.ts';
import type { ExplainReport, ExplainRequest } from './model/policy.ts';

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
  attempt(() => createScanning(scanOptions(trusting, String, env)).load());
  attempt(() => alone(trusting, env));
  return problems;
}

/** The stages of a configuration without a collector: nothing is learned, nothing is stopped by hand. Throws Error with a sentence. */
function alone(config: Config, env: NodeJS.ProcessEnv, policies?: Policies) {
  const data = stageData();
  const shown = createShown(randomBytes(32));
  const baseline = baselineOf(config, data, shown, () => config.mode);
  // What is wrong with an operator's own patterns is said where they are compiled.
  const builtIn = { ...config, patterns: { ...config.patterns, secrets_env: [], secrets_file: undefined } };
  const stages = compileStages({
    config,
    data,
    shown,
    baseline,
    accounts: accountsOf(config, baseline, shown),
    upstream: upstreamOf(config, env),
    scan: createScanning(scanOptions(builtIn, String, env)),
    scanBudget: scanBudgetOf(config),
    reading: readingStage({
      config,
      hash: String,
      tokens: createTokens(),
      said: () => undefined,
      failed: () => undefined,
    }),
    ...(policies === undefined ? {} : { policies }),
    overrides: { agents: new Map(), stopped: new Set(), everyoneStopped: false },
    isSelf: () => false,
    containment: () => 'cooperative',
    hash: (text) => text,
  });
  return { stages, baseline, config, shown: shown.text };
}

/** What the configuration says of a request where no collector runs. Rejects with Error for people. */
export async function explainConfigured(
  config: Config,
  env: NodeJS.ProcessEnv,
  request: ExplainRequest,
): Promise<ExplainReport> {
  const trusting = { ...config, upstream: { ...config.upstream, ca_file: undefined } };
  const log = { info: () => undefined, warn: () => undefined };
  const policies = new Policies({ settings: config.policies, stateDir: config.state_dir, env, log });
  policies.use(await policies.stage(config.policies));
  try {
    return explainRequest(alone(trusting, env, policies), request);
  } finally {
    await policies.stop();
  }
}

/** Whether TLS of a host is read by this configuration. Throws Error for a category nobody knows. */
export function tlsReader({ intercept }: Config): (host: string) => boolean {
  return interceptionOf(intercept, compileCategories(dataOf('destinations')));
}

/** What is wrong with the policies a configuration names, one sentence each; nothing is asked of a receiver. */
export async function policyFileProblems({ policies }: Config, env: NodeJS.ProcessEnv): Promise<string[]> {
  try {
    receiverUrl(policies, env);
    if (policies.files.length > 0) (await import('./collector-policy-engine.ts')).readPolicyFiles(policies.files);
    return [];
  } catch (error) {
    return (error as { problems?: readonly string[] }).problems?.slice() ?? [(error as Error).message];
  }
}
