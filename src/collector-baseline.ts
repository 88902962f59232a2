import type { House } from './collector-house.ts';
import { readExport } from './inspect/baseline-edits.ts';
import type { AccountStat } from './model/account.ts';
import type { BaselineRequest } from './model/admin.ts';
import { parseAuthority } from './model/host.ts';
import type { AgentStat, BaselineEdit, DestinationStat } from './model/record.ts';
import { ulid } from './model/ulid.ts';

/** A person changes what is normal: in memory at once, in the store through the journal, with an audit event. Throws Error for people. */
export function editBaseline(house: House, request: BaselineRequest): { readonly message: string } {
  const { verb, actor } = request;
  const agent = house.baseline.keyOf(request.agent);
  const document = verb === 'import' ? imported(request) : undefined;
  const destinations = document?.destinations ?? named(house, agent, request);
  if (verb === 'import' && destinations.length === 0) throw new Error('the document has no destinations to import');
  if ((verb === 'accept' || verb === 'ignore') && destinations.length === 0)
    throw new Error(`say which destination to ${verb}: weir baseline ${verb} ${agent} HOST`);
  house.baseline.edit(verb, agent, destinations);
  const accounts =
    document === undefined
      ? editAccounts(house, verb, agent, destinations)
      : importAccounts(house, agent, document.accounts ?? [], document.accountsKey);
  const edit: BaselineEdit = { kind: 'baseline-edit', id: ulid(), at: Date.now(), agent, verb, destinations };
  house.recorder.post(accounts.length === 0 ? edit : { ...edit, accounts });
  const what =
    destinations.length === 0
      ? 'the whole baseline'
      : destinations.map(({ host, port }) => `${host}:${port}`).join(', ');
  const left = (document?.accounts ?? []).length - (document === undefined ? 0 : accounts.length);
  const foreign = left > 0 ? '; the credentials in it were learned elsewhere, where they have other fingerprints' : '';
  const message = `${agent}: ${verb} ${what.length > 300 ? `${destinations.length} destinations` : what}${foreign}`;
  house.audit(actor, `baseline-${verb}`, message, agent);
  return { message };
}

/** What memory does not hold of destinations: how their paths look and when they are used. Of a store that cannot be read, nothing. */
export async function withShapes({ recorder }: House, stats: readonly AgentStat[]): Promise<readonly AgentStat[]> {
  const { agents } = await recorder.baseline().catch(() => ({ agents: [] as readonly AgentStat[] }));
  const stored = new Map(
    agents.flatMap(({ agent, destinations }) => destinations.map((one) => [`${agent} ${one.host}:${one.port}`, one])),
  );
  return stats.map((stat) => ({
    ...stat,
    destinations: stat.destinations.map((one) => {
      const { pathShapes, hours } = stored.get(`${stat.agent} ${one.host}:${one.port}`) ?? {};
      return { ...one, ...(pathShapes === undefined ? {} : { pathShapes }), ...(hours === undefined ? {} : { hours }) };
    }),
  }));
}

/** An agent with whose account it uses, for `show` and `export`. */
export function withAccounts(house: House, stat: AgentStat): AgentStat {
  const accounts = house.accounts.export(stat.agent);
  return accounts.length === 0 ? stat : { ...stat, accounts, accountsKey: accountsKey(house) };
}

/** Says which key credentials were hashed with, and nothing else about it. */
function accountsKey({ state }: Pick<House, 'state'>): string {
  return state.hash('the key of these credentials');
}

/** Credentials hashed with another key could only make our own look foreign. What was taken. */
export function importAccounts(
  house: Pick<House, 'accounts' | 'state'>,
  agent: string,
  stats: readonly AccountStat[],
  key: string | undefined,
): readonly AccountStat[] {
  const ours = key === accountsKey(house);
  const taken = stats.filter((stat) => ours || stat.kind !== 'credential').map((stat) => ({ ...stat, agent }));
  house.accounts.load(taken);
  return taken;
}

/** What is right with a host is right with whose key was used there; what is forgotten of it is forgotten whole. What became known. */
function editAccounts(
  { accounts }: House,
  verb: BaselineRequest['verb'],
  agent: string,
  destinations: readonly DestinationStat[],
): readonly AccountStat[] {
  if (verb === 'forget' && destinations.length === 0) accounts.forget(agent);
  const accepted: AccountStat[] = [];
  // A host of two ports is one place: an acceptance of nothing announces a rotation.
  for (const host of new Set(destinations.map((stat) => stat.host))) {
    if (verb === 'accept') accepted.push(...accounts.accept(agent, host));
    else if (verb === 'forget') accounts.forget(agent, host);
  }
  return accepted;
}

/** What an export holds, validated and normalised: memory and store must read the same names. */
function imported({ agent, document }: BaselineRequest): ReturnType<typeof readExport> {
  return readExport({ weirBaseline: 1, ...document, agent }, Date.now());
}

/** `host` means every port the agent knows of it, else 443; `host:port` that one. */
function named(house: House, agent: string, request: BaselineRequest): DestinationStat[] {
  const known = house.baseline.agents().find((stat) => stat.agent === agent)?.destinations ?? [];
  return request.destinations.flatMap((text) => {
    const parsed = parseAuthority(text, 0);
    if ('error' in parsed) throw new Error(`"${text}" is not a host or host:port: ${parsed.error}`);
    const { host, port } = parsed;
    const matches = known.filter((stat) => stat.host === host && (port === 0 || stat.port === port));
    return matches.length > 0 ? matches : [fresh(host, port === 0 ? 443 : port, request.verb)];
  });
}

function fresh(host: string, port: number, verb: BaselineRequest['verb']): DestinationStat {
  const now = Date.now();
  const status = verb === 'ignore' ? 'ignored' : 'accepted';
  return {
    host,
    port,
    firstSeen: now,
    lastSeen: now,
    count: 0,
    requestBytes: 0,
    responseBytes: 0,
    methods: [],
    status,
  };
}
