import { scanSwitch } from './collector-content.ts';
import { blocksUnscanned } from './collector-filter.ts';
import { givenRules, type Scanning } from './collector-scan.ts';
import type { Config } from './config/schema.ts';
import { leakInspector, responseHeadInspector } from './inspect/leak.ts';
import { compileLeakRules, type LeakRules } from './inspect/leak-rules.ts';
import type { Inspector } from './model/ports.ts';

/** What the stages have against leaks: what finds mean, and who looks at heads. Throws Error with a sentence for people. */
export function leakParts(
  config: Config,
  configKey: (agent: string) => string,
  scan: Scanning,
  shownHost: (host: string) => string,
): { readonly rules: LeakRules; readonly inspectors: readonly Inspector[] } {
  const rules = compileLeakRules({ ...givenRules(config), agentKey: configKey, suppress: config.scan.suppress });
  const wants = scanSwitch(config, configKey);
  const unscanned = (agent: string) => (blocksUnscanned({ config, configKey }, agent) ? 'block' : 'flag');
  const options = { scan, rules, shownHost, unscanned } as const;
  return {
    rules,
    inspectors: [
      leakInspector({ ...options, wanted: (agent) => wants(agent, 'request') }),
      responseHeadInspector({ ...options, wanted: (agent) => wants(agent, 'response') }),
    ],
  };
}
