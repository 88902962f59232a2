import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { after, describe, test } from 'node:test';
import tls from 'node:tls';
import { createCa, createLeaf, newKey, readSigner } from '../../../src/connection/certificate.ts';
import { ipBytes } from '../../../src/connection/der.ts';

const dir = mkdtempSync(`${tmpdir()}/weir-certificate-`);
after(() => rmSync(dir, { recursive: true, force: true }));

const openssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
const noOpenssl = openssl ? false : 'openssl is not installed';

const key = newKey();
const keyPem = key.export({ type: 'pkcs8', format: 'pem' }).toString();
const ca = createCa();
const signer = readSigner(ca.certPem, ca.keyPem, 'test');

let files = 0;
const file = (content: string): string => {
  const name = `${dir}/${++files}.pem`;
  writeFileSync(name, content);
  return name;
};
/** Output of `openssl verify -x509_strict`, also when it fails. */
const verify = (caPem: string, leafPem: string, ...more: string[]): string => {
  const args = ['verify', '-x509_strict', '-purpose', 'sslserver', '-CAfile', file(caPem), ...more, file(leafPem)];
  try {
    return execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    return `failed: ${String((error as { stderr: unknown }).stderr)}`;
  }
};
const foreignCa = (type: string[]): { certPem: string; keyPem: string } => {
  const [out, keyOut] = [file(''), file('')];
  const args = ['req', '-x509', '-newkey', ...type, '-nodes', '-days', '30', '-subj', '/O=Example Ltd/CN=Own CA'];
  args.push('-addext', 'keyUsage=critical,keyCertSign');
  execFileSync('openssl', [...args, '-keyout', keyOut, '-out', out], { stdio: 'ignore' });
  const read = (name: string): string => execFileSync('cat', [name], { encoding: 'utf8' });
  return { certPem: read(out), keyPem: read(keyOut) };
};

describe('leaf', () => {
  const leaf = new X509Certificate(createLeaf(signer, 'api.example.com', key));
  const root = new X509Certificate(ca.certPem);

  test('is issued by the CA for exactly the name', () => {
    assert.ok(leaf.verify(root.publicKey));
    assert.ok(leaf.checkIssued(root));
    assert.ok(leaf.checkPrivateKey(key));
    assert.equal(leaf.subjectAltName, 'DNS:api.example.com');
    assert.equal(leaf.checkHost('api.example.com'), 'api.example.com');
    assert.equal(leaf.checkHost('example.com'), undefined);
    assert.equal(leaf.checkHost('x.api.example.com'), undefined);
    assert.equal(leaf.ca, false);
    assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  });

  test('lives seven days, back-dated one hour, never longer than its CA', () => {
    const now = Date.parse('2030-06-01T12:00:00Z');
    const old = createCa({ now });
    const issuer = readSigner(old.certPem, old.keyPem, 'test', now);
    const fresh = new X509Certificate(createLeaf(issuer, 'a.test', key, now));
    assert.equal(Date.parse(fresh.validFrom), now - 3_600_000);
    assert.equal(Date.parse(fresh.validTo), now + 7 * 86_400_000);
    assert.equal(Date.parse(new X509Certificate(old.certPem).validTo), now + 365 * 86_400_000);
    const late = new X509Certificate(createLeaf(issuer, 'a.test', key, now + 363 * 86_400_000));
    assert.equal(late.validTo, new X509Certificate(old.certPem).validTo);
  });

  test('serials are positive, at most 20 octets, and differ', () => {
    const serials = Array.from(
      { length: 50 },
      () => new X509Certificate(createLeaf(signer, 'a.test', key)).serialNumber,
    );
    assert.equal(new Set(serials).size, 50);
    for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/);
  });

  test('dates after 2049 are GeneralizedTime', () => {
    const now = Date.parse('2049-12-30T00:00:00Z');
    const far = createCa({ now });
    const issuer = readSigner(far.certPem, far.keyPem, 'test', now);
    assert.match(new X509Certificate(createLeaf(issuer, 'a.test', key, now)).validTo, /Jan {2}6 00:00:00 2050/);
  });

  test('passes openssl verify -x509_strict: names, addresses, long names', { skip: noOpenssl }, () => {
    const long = `${'a'.repeat(60)}.${'b'.repeat(60)}.example.com`;
    for (const host of ['api.example.com', '192.0.2.7', '2001:db8::7', 'xn--bcher-kva.example', 'a_b.example', long]) {
      const kind = /^[\d.]+$|:/.test(host) ? '-verify_ip' : '-verify_hostname';
      assert.match(verify(ca.certPem, createLeaf(signer, host, key), kind, host), /: OK/, host);
    }
    assert.match(verify(ca.certPem, createLeaf(signer, 'a.test', key), '-verify_hostname', 'b.test'), /^failed/);
    const text = execFileSync('openssl', ['x509', '-noout', '-text', '-in', file(createLeaf(signer, long, key))], {
      encoding: 'utf8',
    });
    assert.match(text, /Subject Alternative Name: critical/, 'SAN is critical when the subject is empty');
    for (const name of [
      'Basic Constraints: critical',
      'Key Usage: critical',
      'Subject Key Identifier',
      'Authority Key',
    ])
      assert.ok(text.includes(name), name);
  });

  for (const [name, type] of [
    ['EC P-256', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
    ['EC P-384', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['RSA', ['rsa:2048']],
  ] as const) {
    test(`an operator’s CA can sign: ${name}`, { skip: noOpenssl }, () => {
      const own = foreignCa([...type]);
      const issuer = readSigner(own.certPem, own.keyPem, 'test');
      assert.ok(issuer.selfSigned);
      assert.match(verify(own.certPem, createLeaf(issuer, 'a.test', key)), /: OK/);
    });
  }
});

describe('an unusable CA is refused with its reason', () => {
  const refused = (certPem: string, pem: string, reason: RegExp, now?: number): void =>
    assert.throws(() => readSigner(certPem, pem, 'ca.pem', now), reason);

  test('all of them', () => {
    refused('nonsense', ca.keyPem, /ca\.pem: the certificate is not PEM/);
    refused(ca.certPem, 'nonsense', /the key is not PEM/);
    refused(ca.certPem, keyPem, /the key does not belong to the certificate/);
    refused(createLeaf(signer, 'a.test', key), keyPem, /not a CA certificate/);
    refused(ca.certPem, ca.keyPem, /expired on/, Date.now() + 366 * 86_400_000);
    refused(ca.certPem, ca.keyPem, /not valid before/, Date.now() - 10 * 86_400_000);
  });

  test('an Ed25519 key', { skip: noOpenssl }, () => {
    const own = foreignCa(['ed25519']);
    refused(own.certPem, own.keyPem, /the key is ed25519; an EC or RSA key is needed/);
  });
});

describe('real handshakes', () => {
  const serve = async (host: string): Promise<{ port: number; server: tls.Server }> => {
    const server = tls.createServer({ key: keyPem, cert: createLeaf(signer, host, key) }, (socket) => {
      socket.on('error', () => {});
      socket.end('ok');
    });
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { port: (server.address() as AddressInfo).port, server };
  };

  test('node:tls verifies name and address leaves', async () => {
    for (const host of ['leaf.test', '127.0.0.1']) {
      const { port, server } = await serve(host);
      const socket = tls.connect({
        port,
        host: '127.0.0.1',
        ca: ca.certPem,
        ...(host === 'leaf.test' ? { servername: host } : {}),
      });
      await once(socket, 'secureConnect');
      assert.equal(socket.authorized, true);
      socket.destroy();
      server.close();
    }
  });

  test('python3 ssl with VERIFY_X509_STRICT', async (t) => {
    const { port, server } = await serve('leaf.test');
    const script = [
      'import socket, ssl, sys',
      'context = ssl.create_default_context(cafile=sys.argv[1])',
      'context.verify_flags |= ssl.VERIFY_X509_STRICT',
      's = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), server_hostname="leaf.test")',
      'print(s.recv(10).decode())',
    ].join('\n');
    const { execFile } = await import('node:child_process');
    const result = await new Promise<{ code: unknown; text: string }>((resolve) => {
      execFile('python3', ['-c', script, file(ca.certPem), String(port)], (error, stdout, stderr) =>
        resolve({ code: error?.code, text: stdout + stderr }),
      );
    });
    server.close();
    if (result.code === 'ENOENT') return t.skip('python3 is not installed');
    assert.equal(result.text.trim(), 'ok');
  });
});

test('addresses as bytes', () => {
  const hex = (address: string): string => ipBytes(address).toString('hex');
  assert.equal(hex('192.0.2.7'), 'c0000207');
  assert.equal(hex('::'), '0'.repeat(32));
  assert.equal(hex('::1'), `${'0'.repeat(31)}1`);
  assert.equal(hex('2001:db8::7'), `20010db8${'0'.repeat(23)}7`);
  assert.equal(hex('1:2:3:4:5:6:7:8'), '00010002000300040005000600070008');
  assert.equal(hex('fe80::'), `fe80${'0'.repeat(28)}`);
  assert.equal(hex('::ffff:192.0.2.7'), `${'0'.repeat(20)}ffffc0000207`);
});
