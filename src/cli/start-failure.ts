import { userInfo } from 'node:os';
import { homely } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { hostPort } from '../model/destination.ts';
import { CliError, EXIT } from './context.ts';
import { freePortAfter, portOwner } from './port-owner.ts';

/** Words a failed start as the threat model's "Error lines" want it; anything unknown comes back as it is. */
export async function startFailure(error: unknown, config: Config): Promise<unknown> {
  const { code, port, address, path, syscall } = error as NodeJS.ErrnoException & { port?: number; address?: string };
  if (code === 'EADDRINUSE' && port !== undefined) return inUse(address ?? '127.0.0.1', port, error);
  if (code === 'EADDRNOTAVAIL' && address !== undefined)
    return failure(`this machine has no address ${address}; change listen (ip addr shows what there is)`, error);
  if (code === 'EACCES' && syscall === 'listen')
    return failure(
      `port ${port} may not be used by ${userName()}: take one above 1023: weir start --listen 127.0.0.1:8080`,
      error,
    );
  if ((code === 'EACCES' || code === 'EPERM' || code === 'EROFS') && path?.startsWith(config.state_dir)) {
    const dir = homely(config.state_dir);
    return failure(
      `state directory ${dir} cannot be written. Use --state-dir, or: sudo chown -R ${userName()} ${dir}`,
      error,
    );
  }
  return error;
}

async function inUse(address: string, port: number, cause: unknown): Promise<CliError> {
  const owner = portOwner(port);
  const by = owner ? ` by ${owner.program} (pid ${owner.pid})` : '';
  const free = hostPort(address, await freePortAfter(address, port));
  return failure(`port ${port} is in use${by}. Take another: weir start --listen ${free}`, cause);
}

function failure(message: string, cause: unknown): CliError {
  return new CliError(message, EXIT.failure, { cause });
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return 'this user';
  }
}
