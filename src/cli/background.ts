import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SOCKET_NAME } from '../admin/protocol.ts';
import { livePid } from '../admin/socket.ts';
import type { Config } from '../config/schema.ts';
import { CliError } from './context.ts';

type Ca = { readonly certPem: string; readonly keyPem: string };

/** The supervisor (`weir keep`) speaks at once; one that does not has nothing to say. */
const HEAR_MS = 2_000;
const LEAVE_MS = 10_000;

/** The configuration of a collector behind `weir run`: it has no address but the ports of its runs. */
export function onlyRuns(config: Config): Config {
  return { ...config, listen: [], admin: { listen: undefined }, health: { listen: undefined } };
}

/** The CA the supervisor kept in memory from the process before, else a new one, which it is told. */
export async function sharedAuthority(make: () => Ca): Promise<Ca> {
  if (process.send === undefined) return make();
  const kept = await new Promise<Ca | undefined>((resolve) => {
    const timer = setTimeout(() => resolve(undefined), HEAR_MS);
    process.once('message', (message: { readonly ca?: Ca }) => {
      clearTimeout(timer);
      resolve(message.ca);
    });
  });
  const ca = kept ?? make();
  if (kept === undefined) process.send({ ca });
  // An open channel must not keep a collector alive that has ended.
  process.channel?.unref();
  // A supervisor that is gone is no reason to end: runs have their ports here.
  process.on('disconnect', () => undefined);
  return ca;
}

/** `weir start` takes over from a background collector that serves nobody; one with runs is named. Rejects with CliError. */
export async function takeOver(config: Config): Promise<void> {
  const socket = join(config.state_dir, SOCKET_NAME);
  if ((await livePid(socket)) === undefined) return;
  const { createAdminClient } = await import('../admin/client.ts');
  const client = createAdminClient({ stateDir: config.state_dir, actor: 'cli weir start' });
  try {
    const { background, runs, pid } = await client.status();
    if (background !== true) return;
    if (runs > 0) {
      const going = runs === 1 ? 'a weir run goes' : `${runs} weir runs go`;
      throw new CliError(
        `${going} on with this state directory (collector pid ${pid}). Wait for the end, or take another: weir start --state-dir <dir>`,
      );
    }
    await client.leave();
  } catch (error) {
    if (error instanceof CliError) throw error;
    // It may have ended meanwhile; a collector that stays is said by the start itself.
  } finally {
    await client.close();
  }
  const end = performance.now() + LEAVE_MS;
  while ((await livePid(socket)) !== undefined && performance.now() < end) await sleep(50);
}
