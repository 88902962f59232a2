import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { homely } from '../config/load.ts';
import type { Check } from './doctor.ts';

/** Before this the clock cannot be right: it is when this version was written. */
const EARLIEST = Date.UTC(2026, 0, 1);
/** Clocks of a file server may be this far apart (ms). */
const SLACK_MS = 5 * 60_000;
const NEXT = 'set the clock: timedatectl set-ntp true';

/** The clock against the age of this program and the files of the state directory. */
export function clockCheck(now: number, stateDir: string | undefined): Check {
  const shown = new Date(now).toISOString();
  if (now < EARLIEST) {
    const message = `says ${shown}: certificates will not be valid`;
    return { name: 'clock', state: 'fail', message, next: NEXT };
  }
  const newest = stateDir === undefined ? undefined : newestFile(stateDir);
  if (newest !== undefined && newest.at > now + SLACK_MS) {
    const message = `says ${shown}, ${homely(newest.path)} was written at ${new Date(newest.at).toISOString()}: it went back`;
    return { name: 'clock', state: 'warn', message, next: NEXT };
  }
  return { name: 'clock', state: 'ok', message: shown };
}

function newestFile(directory: string): { readonly path: string; readonly at: number } | undefined {
  try {
    const files = readdirSync(directory).flatMap((name) => {
      const path = join(directory, name);
      const stats = statSync(path, { throwIfNoEntry: false });
      return stats === undefined ? [] : [{ path, at: stats.mtimeMs }];
    });
    return files.reduce<(typeof files)[number] | undefined>(
      (newest, file) => (newest === undefined || file.at > newest.at ? file : newest),
      undefined,
    );
  } catch {
    return undefined;
  }
}
