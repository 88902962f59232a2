import { createHash } from 'node:crypto';
import { createHook, type Hook } from './calls/webhook.ts';
import { hostPort } from './model/destination.ts';
import type { Exchange } from './model/exchange.ts';
import { refOf } from './model/ulid.ts';
import type { Policy } from './policy/policy.ts';

export interface AlertOptions {
  readonly isSelf: (address: string, port: number) => boolean;
  /** Parent proxy on the way to an address. */
  readonly proxyOf?: ((url: string) => string | undefined) | undefined;
  /** Without secrets, as rows have it. */
  readonly shown: (host: string) => string;
  readonly log: (level: 'warn', event: string, fields: Record<string, unknown>) => void;
}

/** Addresses of webhooks come from policies; beyond it nobody else is told. */
const MAX_HOOKS = 50;
const MAX_QUEUE = 100;
const LAST_MS = 5_000;

/** Strathon's `webhook_url` of `alert` and `require_approval`: told when the policy matches, beside `notify`. */
export class PolicyAlerts {
  readonly #options: AlertOptions;
  readonly #hooks: Map<string, Hook> = new Map();

  constructor(options: AlertOptions) {
    this.#options = options;
  }

  /** Puts it into a queue: nothing waits for it. */
  tell(policy: Policy, exchange: Exchange): void {
    const { webhookUrl } = policy.config;
    const hook = webhookUrl === undefined ? undefined : this.#hook(webhookUrl);
    if (hook === undefined) return;
    const { host, port } = exchange.destination;
    const type = policy.action === 'alert' ? 'policy_alert' : 'policy_approval_requested';
    const data = {
      policy: policy.name,
      policy_id: policy.id,
      agent: exchange.identity.agent,
      method: exchange.kind === 'exchange' ? exchange.request.method : 'CONNECT',
      destination: hostPort(this.#options.shown(host), port),
      ref: refOf(exchange.id),
    };
    const timestamp = new Date(exchange.startedAt).toISOString();
    hook.push({ id: `msg_${exchange.id}_${headerOf(policy.id)}`, body: JSON.stringify({ type, timestamp, data }) });
  }

  /** Addresses no policy names any more are let go: what waits for them gets one more try. */
  keep(policies: readonly Policy[]): void {
    const named = new Set(policies.map(({ config }) => config.webhookUrl));
    for (const [url, hook] of this.#hooks) {
      if (named.has(url)) continue;
      this.#hooks.delete(url);
      void hook.close(LAST_MS);
    }
  }

  async close(deadlineMs: number): Promise<void> {
    await Promise.all([...this.#hooks.values()].map((hook) => hook.close(deadlineMs)));
  }

  #hook(url: string): Hook | undefined {
    const known = this.#hooks.get(url);
    if (known !== undefined || this.#hooks.size >= MAX_HOOKS) return known;
    const { isSelf, proxyOf, log } = this.#options;
    const hook = createHook({ url, isSelf, via: () => proxyOf?.(url), log, maxQueue: MAX_QUEUE });
    this.#hooks.set(url, hook);
    return hook;
  }
}

/** The id of a policy may be any text, of any length; that of a message is part of a header and of what is signed. */
function headerOf(id: string): string {
  return createHash('sha256').update(id).digest('hex').slice(0, 16);
}
