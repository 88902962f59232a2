import type { Fields } from './parse-fields.ts';
import type { Action, ActionConfig } from './policy.ts';

/** Which keys of `action_config` an action reads (strathon-compat §1.4). */
const READS: Readonly<Record<Action, readonly string[]>> = {
  log: [],
  alert: ['webhook_url'],
  redact: [],
  block: ['message'],
  throttle: ['message', 'max_calls', 'window_seconds', 'scope'],
  steer: ['replacement'],
  require_approval: ['message', 'webhook_url', 'timeout_seconds', 'approvers_required'],
  allow: [],
};
const ALL = [...new Set(Object.values(READS).flat())];

/** Strathon's defaults. */
const TIMEOUT_SECONDS = 300;

/**
 * `action_config`. A file (`strict`) must say what its action needs and nothing nobody knows; keys of other actions are allowed,
 * since people change an action and leave the rest.
 */
export function readConfig(policy: Fields, action: Action, strict: boolean): ActionConfig {
  const fields = policy.inner('action_config');
  if (strict) fields.known(ALL, READS[action].length === 0 ? ALL : READS[action]);
  const message = fields.text('message');
  const replacement = fields.text('replacement');
  const webhookUrl = readUrl(fields);
  const maxCalls = fields.whole('max_calls', 1, Number.MAX_SAFE_INTEGER);
  const windowSeconds = readWindow(fields);
  if (strict && action === 'throttle') {
    if (!fields.has('max_calls')) fields.wrong('max_calls', 'is missing; a throttle needs it, like 10');
    if (!fields.has('window_seconds')) fields.wrong('window_seconds', 'is missing; a throttle needs it, like 60');
  }
  return {
    ...(message === undefined ? {} : { message }),
    ...(replacement === undefined ? {} : { replacement }),
    ...(webhookUrl === undefined ? {} : { webhookUrl }),
    ...(maxCalls === undefined ? {} : { maxCalls }),
    ...(windowSeconds === undefined ? {} : { windowSeconds }),
    scope: readScope(fields),
    timeoutSeconds: fields.whole('timeout_seconds', 1, 86_400) ?? TIMEOUT_SECONDS,
    approversRequired: fields.whole('approvers_required', 1, 100) ?? 1,
  };
}

function readScope(fields: Fields): 'agent' | 'global' {
  const scope = fields.text('scope');
  if (scope !== undefined && scope !== 'agent' && scope !== 'global') fields.wrong('scope', 'must be agent or global');
  return scope === 'global' ? 'global' : 'agent';
}

function readWindow(fields: Fields): number | undefined {
  const seconds = fields.number('window_seconds');
  if (seconds === undefined || seconds > 0) return seconds;
  fields.wrong('window_seconds', 'must be more than 0');
  return undefined;
}

/** Its value is not repeated in a message: webhook addresses carry secrets. */
function readUrl(fields: Fields): string | undefined {
  const url = fields.text('webhook_url');
  if (url === undefined) return undefined;
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url;
  fields.wrong('webhook_url', 'must be an http or https address');
  return undefined;
}
