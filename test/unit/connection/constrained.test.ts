import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createCa, createLeaf, newKey, readSigner } from '../../../src/connection/certificate.ts';
import { constrainedCa } from '../../../src/connection/constrained.ts';

const dir = mkdtempSync(join(tmpdir(), 'weir-constrained-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const key = newKey();
const ca = createCa();
const signer = readSigner(ca.certPem, ca.keyPem, 'test');

const noOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return false;
  } catch {
    return 'openssl is not installed';
  }
})();

let files = 0;
const file = (content: string): string => {
  const name = join(dir, `${++files}.pem`);
  writeFileSync(name, content);
  return name;
};
/** Output of `openssl verify -x509_strict`, also when it fails. */
function verify(trusted: string, leaf: string, sentAlong?: string): string {
  const more = sentAlong === undefined ? [] : ['-untrusted', file(sentAlong)];
  const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', file(trusted), ...more, file(leaf)];
  try {
    return execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    return `failed: ${String((error as { stderr: unknown }).stderr)}`;
  }
}

describe('a limited root', { skip: noOpenssl }, () => {
  const only = (...hosts: string[]) => constrainedCa(ca.certPem, hosts);
  const leaf = (host: string): string => createLeaf(signer, host, key);

  test('vouches for its hosts, through the cross certificate, and for nothing else', () => {
    const { rootPem, crossPem } = only('github.com', 'example.org', '192.0.2.7', '2001:db8::7');
    for (const good of ['github.com', 'api.github.com', 'x.example.org', '192.0.2.7', '2001:db8::7'])
      assert.match(verify(rootPem, leaf(good), crossPem), /: OK/, good);
    for (const bad of ['evil.com', 'github.com.evil.com', 'notgithub.com', '192.0.2.8', '2001:db8::1'])
      assert.match(verify(rootPem, leaf(bad), crossPem), /permitted subtree/, bad);
    assert.match(verify(rootPem, leaf('github.com')), /^failed/, 'without the cross certificate there is no way');
  });

  test('excludes every kind of name it was not made for', () => {
    const names = only('github.com');
    for (const bad of ['10.0.0.1', '2001:db8::7']) {
      assert.match(verify(names.rootPem, leaf(bad), names.crossPem), /excluded subtree/, bad);
    }
    const address = only('10.0.0.1');
    assert.match(verify(address.rootPem, leaf('10.0.0.1'), address.crossPem), /: OK/);
    assert.match(verify(address.rootPem, leaf('a.test'), address.crossPem), /excluded subtree/);
  });

  test('the limit stands in the certificate below the root too, where nobody may overlook it', () => {
    const { crossPem, rootPem } = only('github.com');
    for (const pem of [rootPem, crossPem]) {
      const text = execFileSync('openssl', ['x509', '-noout', '-text', '-in', file(pem)], { encoding: 'utf8' });
      assert.match(text, /Name Constraints: critical\s+Permitted:\s+DNS:github\.com\s+Excluded:\s+IP:0\.0\.0\.0\/0/);
    }
  });

  test('beside the unlimited CA it takes nothing away: programs that know both read every host', () => {
    const { rootPem, crossPem } = only('github.com');
    for (const trusted of [rootPem + ca.certPem, ca.certPem + rootPem]) {
      assert.match(verify(trusted, leaf('evil.com'), crossPem), /: OK/);
      assert.match(verify(trusted, leaf('github.com'), crossPem), /: OK/);
    }
  });

  test('an operator’s own root of another kind, with a key id of its own, is limited alike', () => {
    const [certFile, keyFile] = [file(''), file('')];
    const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '30', '-subj', '/O=Example Ltd/CN=Own CA'];
    const settings = file(`[req]
distinguished_name = name
x509_extensions = own
[name]
[own]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = 00:11:22:33
`);
    const extra = ['-config', settings];
    const read = (name: string): string => execFileSync('cat', [name], { encoding: 'utf8' });
    execFileSync('openssl', [...args, ...extra, '-keyout', keyFile, '-out', certFile], { stdio: 'ignore' });
    const own = readSigner(read(certFile), read(keyFile), 'test');
    const { rootPem, crossPem } = constrainedCa(own.certPem, ['a.test']);
    assert.match(verify(rootPem, createLeaf(own, 'a.test', key), crossPem), /: OK/);
    assert.match(verify(rootPem, createLeaf(own, 'b.test', key), crossPem), /permitted subtree/);
  });
});

test('root and cross certificate end with the CA they vouch for; the root’s key is nowhere', () => {
  const made = constrainedCa(ca.certPem, ['a.test']);
  const [root, cross, own] = [made.rootPem, made.crossPem, ca.certPem].map((pem) => new X509Certificate(pem));
  assert.equal(root?.validTo, own?.validTo);
  assert.equal(cross?.validTo, own?.validTo);
  assert.equal(cross?.subject, own?.subject);
  assert.notEqual(root?.subject, own?.subject);
  assert.deepEqual(Object.keys(made), ['rootPem', 'crossPem']);
});

test('a CA that has an issuer is refused', () => {
  const under = constrainedCa(ca.certPem, ['a.test']).crossPem;
  assert.throws(() => constrainedCa(under, ['a.test']), /issued by another one/);
});
