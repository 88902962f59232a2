import type { RunRecord } from '../model/record.ts';
import { ATTR } from './semconv.ts';
import type { Put } from './span.ts';

/** Every attribute of the span `weir.run`, in order. Containment is on the resource, as for every span. */
export function putRun(put: Put, record: RunRecord): void {
  put(ATTR.AGENT, record.agent);
  put(ATTR.RUN_ID, record.id);
  put(ATTR.PROCESS_EXECUTABLE_NAME, record.program);
  put(ATTR.PROCESS_EXIT_CODE, record.exitCode);
  put(ATTR.RUN_EXIT_SIGNAL, record.exitSignal);
  put(ATTR.RUN_ABANDONED, record.abandoned);
  put(ATTR.MODE, record.mode);
  put(ATTR.RUN_RESTARTS, record.restarts);
  put(ATTR.RUN_DIRECT_WATCHED, record.directWatched);
}

/** Every attribute of one span event `direct-connection`, in order. */
export function putDirect(put: Put, direct: RunRecord['direct'][number]): void {
  put(ATTR.PROCESS_EXECUTABLE_NAME, direct.program);
  put(ATTR.NETWORK_PEER_ADDRESS, direct.address);
  put(ATTR.NETWORK_PEER_PORT, direct.port);
  put(ATTR.COUNT, direct.count);
}
