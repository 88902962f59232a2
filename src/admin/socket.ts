import { chmodSync, lstatSync, renameSync, rmSync } from 'node:fs';
import { request, type Server } from 'node:http';
import { AdminError } from './protocol.ts';

/** `sun_path` holds 108 bytes on Linux, 104 on macOS and the BSDs, one of them the terminating zero. */
const MAX_PATH = process.platform === 'linux' ? 107 : 103;
const PROBE_MS = 2000;

/**
 * Listens on the unix socket, readable and writable by the owner only. A socket nobody answers on is replaced; one that
 * answers means another collector owns the state directory. Rejects with AdminError.
 */
export async function listenUnix(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH)
    throw new AdminError(
      'path-too-long',
      `${path} is too long for a socket (${MAX_PATH} bytes at most). Use a shorter one: --state-dir`,
    );
  for (let attempt = 0; ; attempt++) {
    const before = inode(path);
    if (before !== undefined) {
      const pid = await livePid(path);
      if (pid !== undefined) throw otherCollector(path, pid);
      removeStale(path, before);
    }
    try {
      await bind(server, path);
      break;
    } catch (error) {
      // Somebody bound between our look and our bind: look again, once.
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt > 0) throw asAdminError(error, path);
    }
  }
  chmodSync(path, 0o600);
}

function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    // The socket file is made inside listen(): without the mask there would be a moment at which others could connect.
    const before = process.umask(0o177);
    try {
      server.listen(path, () => {
        server.removeListener('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
}

function inode(path: string): number | undefined {
  return lstatSync(path, { throwIfNoEntry: false })?.ino;
}

/** Moves the stale file away and checks that it is the one we looked at: another start may have replaced it meanwhile. */
function removeStale(path: string, expected: number): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (inode(aside) === expected) rmSync(aside, { force: true });
  else {
    renameSync(aside, path);
    throw otherCollector(path, undefined);
  }
}

function otherCollector(path: string, pid: number | undefined): AdminError {
  const who = pid === undefined || pid === 0 ? '' : ` (pid ${pid})`;
  return new AdminError(
    'other-collector',
    `another collector${who} is running with this state directory: ${path} answers. See it: weir status   or take another: weir start --state-dir <dir>`,
  );
}

function asAdminError(error: unknown, path: string): AdminError {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'EACCES') return new AdminError('no-permission', `${path} cannot be made: permission denied`);
  return new AdminError('failed', `${path} cannot be made: ${code ?? message}`, { cause: error });
}

/** The pid of whoever answers on the socket (0 when it does not say), or undefined when nobody does. */
export function livePid(path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const probe = request({ socketPath: path, path: '/healthz', timeout: PROBE_MS }, (response) => {
      response.resume();
      resolve(Number(response.headers['x-weir-pid'] ?? 0) || 0);
    });
    probe.on('timeout', () => {
      // Accepted but silent: a busy or stopped process still owns it.
      resolve(0);
      probe.destroy();
    });
    probe.on('error', (error: NodeJS.ErrnoException) => {
      const dead = error.code === 'ECONNREFUSED' || error.code === 'ENOENT' || error.code === 'ENOTSOCK';
      resolve(dead ? undefined : 0);
    });
    probe.end();
  });
}
