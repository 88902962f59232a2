import { accessSync, constants, statSync } from 'node:fs';
import { homely } from '../config/load.ts';
import type { Check } from './doctor.ts';
import type { Scene } from './doctor-scene.ts';

/** The policy files the configuration names, and the receiver policies are pulled from. */
export function policyChecks({ config, env }: Scene): Check[] {
  const { files, receiver } = config.policies;
  const from = receiver ?? env['STRATHON_EGRESS_RECEIVER_URL'];
  const checks = files.map(fileCheck);
  if (from) checks.push(receiverCheck(from, env));
  if (checks.length > 0) return checks;
  const message = 'none are configured: the built-in inspectors and what is learned judge alone';
  return [{ name: 'policies', state: 'ok', message, next: 'policies: {files: [FILE]} in the configuration' }];
}

function fileCheck(path: string): Check {
  const name = 'policies';
  try {
    if (!statSync(path).isFile())
      return { name, state: 'fail', message: `${homely(path)} is not a file`, next: 'change policies.files' };
    accessSync(path, constants.R_OK);
    return { name, state: 'ok', message: homely(path) };
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const message = `${homely(path)} ${missing ? 'does not exist' : 'cannot be read by this user'}`;
    return { name, state: 'fail', message, next: missing ? 'change policies.files' : `chmod u+r ${path}` };
  }
}

function receiverCheck(url: string, env: NodeJS.ProcessEnv): Check {
  const name = 'policies';
  const shown = URL.canParse(url) ? new URL(url).origin : 'an address that is no URL';
  if (env['STRATHON_API_KEY']) return { name, state: 'ok', message: `pulled from ${shown}` };
  const message = `pulled from ${shown}, and STRATHON_API_KEY is not set in this shell`;
  return { name, state: 'warn', message, next: 'set STRATHON_API_KEY where the collector starts' };
}
