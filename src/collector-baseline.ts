import type { House } from './collector-house.ts';
import type { BaselineRequest } from './model/admin.ts';
import { parseAuthority } from './model/host.ts';
import type { BaselineEdit, DestinationStat } from './model/record.ts';
import { ulid } from './model/ulid.ts';

/** A person changes what is normal: in memory at once, in the store through the journal, with an audit event. Throws Error for people. */
export function editBaseline(house: House, request: BaselineRequest): { readonly message: string } {
  const { verb, agent, actor } = request;
  const destinations = verb === 'import' ? (request.document?.destinations ?? []) : named(house, request);
  if (verb === 'import' && destinations.length === 0) throw new Error('the document has no destinations to import');
  house.baseline.edit(verb, agent, destinations);
  const edit: BaselineEdit = { kind: 'baseline-edit', id: ulid(), at: Date.now(), agent, verb, destinations };
  house.recorder.post(edit);
  const what =
    destinations.length === 0
      ? 'the whole baseline'
      : destinations.map(({ host, port }) => `${host}:${port}`).join(', ');
  const message = `${agent}: ${verb} ${what.length > 300 ? `${destinations.length} destinations` : what}`;
  house.audit(actor, `baseline-${verb}`, message, agent);
  return { message };
}

/** `host` means every port the agent knows of it, else 443; `host:port` that one. */
function named(house: House, request: BaselineRequest): DestinationStat[] {
  const known = house.baseline.agents().find((stat) => stat.agent === request.agent)?.destinations ?? [];
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
