import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { type AdminServer, createAdminServer } from '../../../src/admin/server.ts';
import type { World } from '../../../src/cli/context.ts';
import { run } from '../../../src/cli/main.ts';
import type { AdminHandlers } from '../../../src/model/admin.ts';
import { fakeHandlers } from '../admin/fake.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs one command line in this process, without a terminal. */
export async function weir(args: readonly string[], env: NodeJS.ProcessEnv = {}, input = ''): Promise<Ran> {
  const stdin = new PassThrough();
  stdin.end(input);
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  let [out, err] = ['', ''];
  stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const world = { env, stdin, stdout, stderr, cwd: '/' } as unknown as World;
  const code = await run(args, world);
  await new Promise((resolve) => setImmediate(resolve));
  return { code, out, err };
}

export function tempDir(): string {
  return mkdtempSync(join(tmpdir(), 'weir-cli-'));
}

/** A collector as the command line sees it: the admin server over fake handlers. */
export async function fakeCollector(stateDir: string, overrides: Partial<AdminHandlers> = {}) {
  const fake = fakeHandlers(overrides);
  const server: AdminServer = createAdminServer({ handlers: fake.handlers, stateDir });
  await server.start();
  return { ...fake, stop: () => server.stop() };
}
