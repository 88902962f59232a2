import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createAuthority } from '../../support/certs.ts';
import { type H2Proxy, h2Proxy } from '../../support/h2-proxy.ts';
import { type Http2Origin, http2Origin } from '../../support/http2.ts';
import { assertPassiveHttp2 } from '../../support/play-http2.ts';
import { duplex2, MATRIX2 } from '../../support/scenarios-http2.ts';

const HOST = 'read.test';
const authority = createAuthority();
let origin: Http2Origin;
let proxy: H2Proxy;

before(async () => {
  origin = await http2Origin(authority.issue([HOST]));
  proxy = await h2Proxy({ authority, host: HOST, originPort: origin.port });
});
after(async () => {
  proxy.close();
  await origin.close();
});

for (const scenario of [...MATRIX2, duplex2(1000)]) {
  test(`as direct: ${scenario.name}`, async () => {
    const before = proxy.corridor.opened.length;
    const direct = { host: HOST, origin, ca: authority.cert };
    await assertPassiveHttp2(scenario, direct, { ...direct, proxyPort: proxy.port });
    assert.ok(proxy.corridor.opened.length > before, 'it went through the relay');
    assert.equal(proxy.corridor.unclosed.size, 0, 'every exchange is closed');
  });
}
