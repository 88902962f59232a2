import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AdminError, TOKEN_NAME } from './protocol.ts';

const BYTES = 32;

/** The token of the TCP admin API: read from `state_dir/private/admin.token`, made there (0600) the first time. */
export function loadToken(stateDir: string): string {
  const directory = join(stateDir, 'private');
  const path = join(directory, TOKEN_NAME);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const fresh = randomBytes(BYTES).toString('base64url');
  try {
    writeFileSync(path, `${fresh}\n`, { mode: 0o600, flag: 'wx' });
    return fresh;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new AdminError('failed', `${path} cannot be written: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0)
    throw new AdminError('no-permission', `${path} can be read by other users; make it yours: chmod 600 ${path}`);
  const token = readFileSync(path, 'utf8').trim();
  if (token.length < BYTES) throw new AdminError('failed', `${path} holds no usable token; remove it to get a new one`);
  return token;
}
