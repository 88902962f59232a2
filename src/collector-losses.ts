import type { EventRecord } from './model/record.ts';
import { ulid } from './model/ulid.ts';

/** A loss is told at most this often; what comes in between is in the next sentence. */
const SAY_MS = 60_000;

/** Turns counters of what was given up into events: the first look is where it begins, since older losses have been told. */
export function createLosses(post: (loss: Omit<EventRecord, 'agent'>) => void, clock: () => number = Date.now) {
  let told: Readonly<Record<string, number>> | undefined;
  let saidAt = Number.NEGATIVE_INFINITY;
  return (lost: Readonly<Record<string, number>> | undefined): void => {
    told ??= lost;
    if (lost === undefined || told === undefined || clock() - saidAt < SAY_MS) return;
    const before = told;
    const grown = Object.entries(lost)
      .map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const)
      .filter(([, count]) => count > 0);
    if (grown.length === 0) return;
    told = lost;
    saidAt = clock();
    const words = grown.map(([reason, count]) => `${count} (${reason})`).join(', ');
    post({
      kind: 'finding',
      id: ulid(),
      at: clock(),
      finding: {
        inspector: 'recorder',
        rule: 'telemetry-dropped',
        severity: 'critical',
        disposition: 'flag',
        message: `telemetry was given up for good: ${words}; weir status tells the whole account`,
      },
    });
  };
}
