import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { rootCertificates } from 'node:tls';
import { createAuthority } from '../../../src/connection/authority.ts';
import { constrainedCa } from '../../../src/connection/constrained.ts';
import { tempDir, weir } from './world.ts';

const dir = tempDir();
const proxy = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
after(() => {
  proxy.close();
  rmSync(dir, { recursive: true, force: true });
});

test('doctor: a limited root that vouches for the CA, and one that vouched for the CA before', async () => {
  if (!proxy.listening) await once(proxy, 'listening');
  createAuthority({ dir, ephemeral: false });
  const old = readFileSync(join(dir, 'ca.pem'), 'utf8');
  createAuthority({ dir, ephemeral: false, renew: true });
  const made = constrainedCa(readFileSync(join(dir, 'ca.pem'), 'utf8'), ['example.org']);
  const [bundle, cross, config] = ['limited.pem', 'public/ca-cross.pem', 'weir.yaml'].map((name) => join(dir, name));
  writeFileSync(bundle as string, `${rootCertificates[0]}\n${made.rootPem}`);
  writeFileSync(config as string, 'intercept: all\n', { mode: 0o600 });
  const env = {
    HOME: dir,
    WEIR_STATE_DIR: dir,
    WEIR_CONFIG: config,
    HTTPS_PROXY: `http://a:x@127.0.0.1:${(proxy.address() as { port: number }).port}`,
    SSL_CERT_FILE: bundle,
  };
  const trust = async (): Promise<string[]> => {
    const { checks } = JSON.parse((await weir(['doctor', '--json'], env)).out) as { checks: Record<string, string>[] };
    return checks.filter(({ name }) => name === 'trust').map(({ state, message }) => `${state} ${message}`);
  };
  writeFileSync(cross as string, made.crossPem);
  assert.deepEqual(await trust(), ['warn SSL_CERT_FILE: Weir’s CA for the hosts of weir ca trust --only, no others']);
  writeFileSync(cross as string, constrainedCa(old, ['example.org']).crossPem);
  assert.match((await trust()).join(), /^fail SSL_CERT_FILE: a CA of Weir that is not the one in use/);
  rmSync(cross as string);
  assert.match((await trust()).join(), /^fail SSL_CERT_FILE: a CA of Weir that is not the one in use/);
});
