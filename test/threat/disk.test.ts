import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { HOSTS } from '../support/lanes.ts';
import { dial, type RawOrigin, rawOrigin, readHead } from '../support/origins.ts';
import { startWeir, type Weir } from '../support/weir.ts';

/** A small file system of its own, or why there is none. */
function smallDisk(): { readonly path: string; readonly skip: string | false } {
  const path = mkdtempSync(join(tmpdir(), 'weir-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=0700', 'tmpfs', path], { stdio: 'pipe' });
    return { path, skip: false };
  } catch {
    return { path, skip: 'cannot mount a tmpfs here (needs root)' };
  }
}

const disk = smallDisk();

describe('threat W12: a full disk stops no traffic', { skip: disk.skip, timeout: 60_000 }, () => {
  let weir: Weir;
  let origin: RawOrigin;
  before(async () => {
    origin = await rawOrigin();
    weir = await startWeir({
      stateDir: disk.path,
      config: { upstream: { resolve: { [HOSTS.plain]: `127.0.0.1:${origin.port}` } }, store: { min_free_bytes: 0 } },
    });
  });
  after(async () => {
    await weir?.stop();
    await origin?.close();
    execFileSync('umount', ['-l', disk.path]);
  });

  const exchange = async (): Promise<string> => {
    origin.forget();
    const socket = await dial(weir.port);
    socket.write(`GET http://${HOSTS.plain}/x HTTP/1.1\r\nHost: ${HOSTS.plain}\r\n\r\n`);
    const server = await origin.next();
    await server.until('\r\n\r\n');
    await server.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    const head = await readHead(socket);
    socket.destroy();
    server.destroy();
    return head;
  };

  it('exchanges go on while nothing can be written, and status says so', async () => {
    assert.match(await exchange(), /^HTTP\/1\.1 200 /);
    const ballast = join(disk.path, 'ballast');
    const block = Buffer.alloc(64 * 1024, 1);
    try {
      for (let i = 0; i < 1000; i++) writeFileSync(ballast, block, { flag: 'a' });
      assert.fail('the disk is not full');
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
    }
    for (let i = 0; i < 200; i++) assert.match(await exchange(), /^HTTP\/1\.1 200 /);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.match(await exchange(), /^HTTP\/1\.1 200 /);
    const { problems } = await weir.status();
    assert.ok(
      problems.some((problem) => problem.severity !== 'info'),
      JSON.stringify(problems),
    );
    assert.doesNotMatch(weir.logs(), /uncaught|unhandled/i);
  });

  it('recording resumes when there is room again', async () => {
    rmSync(join(disk.path, 'ballast'));
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.match(await exchange(), /^HTTP\/1\.1 200 /);
    await weir.records(
      'an exchange after the disk had room',
      (line) => line.destination?.includes(HOSTS.plain) === true,
    );
  });
});
