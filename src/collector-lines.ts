import type { House } from './collector-house.ts';
import { policySentence } from './collector-policy-admin.ts';
import { hostPort } from './model/destination.ts';

/** How long the first lines wait for the recorder to say where spans and rows go. */
const RECORDER_WAIT_MS = 3_000;

/** Addresses and mode: the line that can be said as soon as the listeners are bound. */
export function listeningLine(house: House): string {
  const bound = house.listener.addresses();
  const addresses = bound.map(
    ({ address, port, agent }) => `${hostPort(address, port)}${agent === undefined ? '' : ` (${agent})`}`,
  );
  return `listening on ${addresses.join(', ')} · mode ${house.overrides.global ?? house.config.mode}`;
}

/** The rest of what `weir start` says once (product.md §9 "First lines"). */
export async function firstLines(house: House): Promise<readonly string[]> {
  const { config } = house;
  const ready = await Promise.race([
    house.recorder.ready,
    new Promise<undefined>((resolve) => {
      setTimeout(() => resolve(undefined), RECORDER_WAIT_MS).unref();
    }),
  ]).catch(() => undefined);
  const lines = [
    readsSentence(house),
    listsSentence(house),
    ready?.endpoint ?? 'spans: the recorder is not ready yet (weir status)',
    `rows go to ${config.store.path}, kept ${config.store.retention_days} days`,
    ...(ready?.problems ?? []),
    `containment: ${house.containment}: programs can leave by not using the proxy (weir verify --containment)`,
    'not verified yet: weir verify',
  ];
  const policies = policySentence(house);
  if (policies !== undefined) lines.splice(2, 0, policies);
  return lines;
}

/** `none`, `all`, `only …`, `except …`. */
export function interceptionOf(house: House): string {
  const { intercept } = house.config;
  if (typeof intercept === 'string') return intercept;
  return 'only' in intercept ? `only ${intercept.only.join(', ')}` : `except ${intercept.except.join(', ')}`;
}

/** What is read and what is not, in one sentence. */
export function readsSentence(house: House): string {
  const what = interceptionOf(house);
  if (what === 'none') return 'TLS is not intercepted: hosts, ports, SNI, bytes and times are seen; plain HTTP is read';
  const which = what === 'all' ? 'all TLS is' : `TLS is (${what})`;
  return `${which} intercepted with the CA in ${house.authority.files.bundle ?? house.state.path}; no body is stored`;
}

/** How many rules there are, and which of them a tunnel can never satisfy. */
function listsSentence(house: House): string {
  const { destinations, agents } = house.config;
  const lists = [
    destinations,
    ...[...agents.values()].map((a) => ({ allowed: a.allowed_domains, blocked: a.blocked_domains })),
  ];
  const rules = lists.flatMap((list) => [...list.allowed, ...list.blocked]);
  if (rules.length === 0)
    return 'destinations: everything is allowed (no list); first contacts are reported once a baseline is ready';
  const scoped = rules.filter((rule) => rule.methods.length > 0 || rule.paths.length > 0).length;
  const blind = interceptionOf(house) === 'none' && scoped > 0;
  return `destinations: ${rules.length} rules${blind ? `; ${scoped} of them read a method or path and can never match while TLS is tunnelled` : ''}`;
}
