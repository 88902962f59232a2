import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { homely } from './load.ts';

/** Version of the state directory's layout: files, their places and what their own `version` cannot tell. */
const KNOWN = 1;
const NAME = 'version';

/** Why a state directory cannot be used, worded for people; `code` for scripts. */
export class StateError extends Error {
  readonly code: 'state-unwritable' | 'state-foreign' | 'state-broken' | 'state-newer';
  constructor(code: StateError['code'], message: string) {
    super(message);
    this.name = 'StateError';
    this.code = code;
  }
}

/**
 * To be asked before anything in a state directory is read or written: an older program would misread what a newer one wrote,
 * and write over it. Throws StateError `state-newer`. A directory without the file is new, or of a Weir from before it.
 */
export function refuseNewerState(dir: string): 'known' | 'absent' | 'damaged' {
  let text: string;
  try {
    text = readFileSync(join(dir, NAME), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'absent' : 'damaged';
  }
  if (!/^[1-9]\d{0,8}\s*$/.test(text)) return 'damaged';
  const version = Number(text);
  if (version <= KNOWN) return 'known';
  throw new StateError(
    'state-newer',
    `${homely(dir)} was used by a newer Weir (state version ${version}, this one knows ${KNOWN}): use the newer weir, or another directory with --state-dir`,
  );
}

/** Writes the version where it is missing; a damaged one counts as ours and is said. Throws StateError `state-newer`. */
export function markState(dir: string, warn: (message: string) => void): void {
  const found = refuseNewerState(dir);
  if (found === 'known') return;
  const file = join(dir, NAME);
  if (found === 'damaged') warn(`${homely(file)} is damaged: taken as state version ${KNOWN}`);
  try {
    rmSync(file, { force: true });
    writeFileSync(file, `${KNOWN}\n`, { mode: 0o600, flag: 'wx' });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another start may have written it meanwhile; and nobody needs it before there is a newer Weir.
    if (code !== 'EEXIST') warn(`${homely(file)} cannot be written (${code})`);
  }
}
