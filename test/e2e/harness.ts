import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority } from '../support/certs.ts';
import { HOSTS, type LaneParts, resolveMap } from '../support/lanes.ts';
import { rawOrigin } from '../support/origins.ts';
import { startWeir, type Weir } from '../support/weir.ts';

export interface House {
  readonly parts: LaneParts;
  readonly weir: Weir;
  close(): Promise<void>;
}

/** Two raw origins (plain, TLS), an authority and one Weir in monitor that intercepts only `read.test`. */
export async function openHouse(config: Record<string, unknown> = {}): Promise<House> {
  const authority = createAuthority();
  const plain = await rawOrigin();
  const tls = await rawOrigin({ tls: authority.issue([HOSTS.tunnel, HOSTS.intercepted]) });
  const directory = await mkdtemp(join(tmpdir(), 'weir-house-'));
  const caFile = join(directory, 'upstream-ca.pem');
  await writeFile(caFile, authority.cert);
  const weir = await startWeir({
    config: {
      intercept: { only: [HOSTS.intercepted] },
      upstream: { resolve: resolveMap(plain, tls), ca_file: caFile },
      ...config,
    },
  });
  return {
    parts: { plain, tls, authority, proxy: { port: weir.port, ca: await weir.ca() } },
    weir,
    close: async () => {
      await weir.stop();
      await Promise.all([plain.close(), tls.close(), rm(directory, { recursive: true, force: true })]);
    },
  };
}
