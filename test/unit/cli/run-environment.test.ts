import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backgroundEnvironment } from '../../../src/cli/run-background.ts';
import { childEnvironment, inheritedProxy } from '../../../src/cli/run-environment.ts';
import type { TrustFiles } from '../../../src/cli/run-trust.ts';
import type { RunOpened } from '../../../src/model/run.ts';

const OPENED: RunOpened = {
  id: 'x',
  proxy: '127.0.0.1:4444',
  port: 4444,
  mode: 'monitor',
  containment: 'cooperative',
  reads: 'TLS is read',
};
const TRUST: TrustFiles = { bundle: '/s/public/run-x.pem', store: '/s p/run-x.jks', remove: () => undefined };
const OPTIONS = { agent: 'me', watchLocalhost: false, allProxy: false, java: false };

test('Weir’s own settings and key do not reach the command, everything else does', () => {
  const env = childEnvironment(
    { WEIR_CONFIG: '/c', WEIR_X: '1', STRATHON_API_KEY: 'k', PATH: '/bin', EMPTY: '', __proto__x: 'y' },
    OPENED,
    TRUST,
    OPTIONS,
  );
  assert.equal(env['PATH'], '/bin');
  assert.equal(env['EMPTY'], '');
  assert.equal(env['__proto__x'], 'y');
  assert.deepEqual(
    Object.keys(env).filter((name) => /^WEIR_|STRATHON/.test(name)),
    [],
  );
  assert.equal(env['HTTPS_PROXY'], 'http://me:x@127.0.0.1:4444');
  assert.equal(env['NO_PROXY'], 'localhost,127.0.0.1,::1');
});

test('without interception no trust variable is touched', () => {
  const env = childEnvironment({ SSL_CERT_FILE: '/mine', JAVA_TOOL_OPTIONS: '' }, OPENED, undefined, {
    ...OPTIONS,
    java: true,
  });
  assert.equal(env['SSL_CERT_FILE'], '/mine');
  assert.equal(env['PIP_CERT'], undefined);
  assert.ok(!env['JAVA_TOOL_OPTIONS']?.includes('trustStore'));
  assert.match(env['JAVA_TOOL_OPTIONS'] ?? '', /^-Dhttp\.proxyHost=127\.0\.0\.1 -Dhttp\.proxyPort=4444 /);
});

test('JAVA_TOOL_OPTIONS keeps what was there and quotes a path with a blank', () => {
  const env = childEnvironment({ JAVA_TOOL_OPTIONS: '-Xmx1g' }, OPENED, TRUST, { ...OPTIONS, java: true });
  assert.equal(
    env['JAVA_TOOL_OPTIONS'],
    '-Xmx1g -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=4444 -Dhttps.proxyHost=127.0.0.1 -Dhttps.proxyPort=4444 ' +
      '-Dhttp.nonProxyHosts=localhost|127.0.0.1|[::1] "-Djavax.net.ssl.trustStore=/s p/run-x.jks" ' +
      '-Djavax.net.ssl.trustStoreType=JKS -Djavax.net.ssl.trustStorePassword=changeit',
  );
});

test('the proxy variables the command would have had are handed to the collector', () => {
  const env = { HTTP_PROXY: 'http://a', https_proxy: 'http://b', no_proxy: 'c', ALL_PROXY: '', ftp_proxy: 'd' };
  assert.deepEqual(inheritedProxy(env), { HTTP_PROXY: 'http://a', https_proxy: 'http://b', no_proxy: 'c' });
});

test('the background collector gets places, export and ways out, never the command’s secrets nor what is one run’s', () => {
  const env = {
    HOME: '/h',
    PATH: '/bin',
    XDG_STATE_HOME: '/x',
    OTEL_SERVICE_NAME: 's',
    WEIR_CONFIG: '/c',
    WEIR_MODE: 'enforce',
    WEIR_INTERCEPT: 'none',
    WEIR_AGENT: 'a',
    https_proxy: 'http://p',
    NO_PROXY: 'n',
    SSL_CERT_FILE: '/ca',
    NODE_OPTIONS: '--inspect',
    SOME_API_KEY: 'secret',
    PATHS: 'no',
  };
  assert.deepEqual(Object.keys(backgroundEnvironment(env)).sort(), [
    'HOME',
    'NO_PROXY',
    'OTEL_SERVICE_NAME',
    'PATH',
    'SSL_CERT_FILE',
    'WEIR_CONFIG',
    'XDG_STATE_HOME',
    'https_proxy',
  ]);
});
