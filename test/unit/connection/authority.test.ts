import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { afterEach, describe, test } from 'node:test';
import { createAuthority } from '../../../src/connection/authority.ts';
import { createCa } from '../../../src/connection/certificate.ts';
import { constrainedCa } from '../../../src/connection/constrained.ts';

const made: string[] = [];
const temp = (): string => {
  const dir = mkdtempSync(`${tmpdir()}/weir-authority-`);
  made.push(dir);
  return dir;
};
afterEach(() => {
  for (const dir of made.splice(0)) rmSync(dir, { recursive: true, force: true });
});
const mode = (file: string): number => statSync(file).mode & 0o777;
const certificates = (pem: string): string[] => pem.match(/-----BEGIN CERTIFICATE-----/g) ?? [];

describe('a kept authority', () => {
  test('writes key and certificates with the right modes and finds them again', () => {
    const dir = temp();
    const first = createAuthority({ dir, ephemeral: false });
    assert.equal(mode(`${dir}/private`), 0o700);
    assert.equal(mode(`${dir}/private/ca.key`), 0o600);
    assert.equal(mode(`${dir}/public/ca.pem`), 0o644);
    assert.equal(readFileSync(`${dir}/ca.pem`, 'utf8'), first.certPem);
    const bundle = readFileSync(first.files.bundle as string, 'utf8');
    assert.ok(certificates(bundle).length > 50, 'system roots are in the bundle');
    assert.ok(bundle.includes(first.certPem.trim()));
    const again = createAuthority({ dir, ephemeral: false });
    assert.equal(again.certPem, first.certPem);
    const root = new X509Certificate(again.certPem);
    assert.ok(new X509Certificate(again.leaf('a.test').cert).verify(root.publicKey));
  });

  test('broken files are refused with file, reason and next step', () => {
    const check = (breakIt: (dir: string) => void, reason: RegExp): void => {
      const dir = temp();
      createAuthority({ dir, ephemeral: false });
      breakIt(dir);
      assert.throws(
        () => createAuthority({ dir, ephemeral: false }),
        (error: Error) => {
          assert.match(error.message, reason);
          assert.match(error.message, /weir ca rotate/);
          assert.ok(error.message.includes(dir));
          return true;
        },
      );
      createAuthority({ dir, ephemeral: false, renew: true });
      createAuthority({ dir, ephemeral: false });
    };
    check((dir) => chmodSync(`${dir}/private/ca.key`, 0o644), /can be read by others \(mode 0644\)/);
    check((dir) => rmSync(`${dir}/private/ca.key`), /ca\.key is missing/);
    check((dir) => rmSync(`${dir}/public/ca.pem`), /ca\.pem is missing/);
    check((dir) => writeFileSync(`${dir}/public/ca.pem`, createCa().certPem), /does not belong to the certificate/);
    check((dir) => writeFileSync(`${dir}/public/ca.pem`, '-----BEGIN'), /not PEM/);
  });

  test('an expired CA is named as such', () => {
    const dir = temp();
    createAuthority({ dir, ephemeral: false });
    const now = (): number => Date.now() + 366 * 86_400_000;
    assert.throws(() => createAuthority({ dir, ephemeral: false, now }), /expired on .*weir ca rotate/);
  });

  test('rotate makes a new CA, on disk too, and leaves of it', () => {
    const dir = temp();
    const authority = createAuthority({ dir, ephemeral: false });
    const before = authority.certPem;
    authority.leaf('a.test');
    authority.rotate();
    assert.notEqual(authority.certPem, before);
    assert.equal(authority.generation, 2);
    assert.equal(readFileSync(`${dir}/public/ca.pem`, 'utf8'), authority.certPem);
    assert.ok(!readFileSync(`${dir}/public/bundle.pem`, 'utf8').includes(before.trim()));
    assert.ok(
      new X509Certificate(authority.leaf('a.test').cert).verify(new X509Certificate(authority.certPem).publicKey),
    );
  });
});

describe('a cross certificate (weir ca trust --only)', () => {
  const chain = (pem: string): number => certificates(pem).length;

  test('is sent along from the moment it is there until it goes or the key does', () => {
    const dir = temp();
    let now = Date.now();
    const authority = createAuthority({ dir, ephemeral: false, now: () => now });
    assert.equal(chain(authority.leaf('a.test').cert), 1);
    const { crossPem, rootPem } = constrainedCa(authority.certPem, ['a.test']);
    writeFileSync(`${dir}/public/ca-cross.pem`, crossPem);
    now += 1000;
    assert.equal(authority.generation, 2, 'clients that did not trust us may do so now');
    const [, cross = ''] = authority.leaf('a.test').cert.split(/(?<=-----END CERTIFICATE-----\n)/);
    assert.ok(new X509Certificate(cross).verify(new X509Certificate(rootPem).publicKey));
    assert.equal(chain(createAuthority({ dir, ephemeral: false }).leaf('x.a.test').cert), 2, 'at once after a start');
    rmSync(`${dir}/public/ca-cross.pem`);
    now += 1000;
    assert.equal(chain(authority.leaf('a.test').cert), 1);
    writeFileSync(`${dir}/public/ca-cross.pem`, crossPem);
    now += 1000;
    assert.equal(chain(authority.leaf('a.test').cert), 2);
    authority.rotate();
    assert.equal(chain(authority.leaf('a.test').cert), 1, 'it vouches for a key that is gone');
  });

  test('goes along with the names and addresses it vouches for, and with no others', () => {
    const dir = temp();
    const { certPem } = createAuthority({ dir, ephemeral: false });
    const hosts = ['a.test', '192.0.2.7', '2001:db8::7', 'b.example'];
    writeFileSync(`${dir}/public/ca-cross.pem`, constrainedCa(certPem, hosts).crossPem);
    const authority = createAuthority({ dir, ephemeral: false });
    for (const host of [...hosts, 'x.a.test', 'y.x.a.test']) assert.equal(chain(authority.leaf(host).cert), 2, host);
    for (const host of ['b.test', 'xa.test', 'test', '192.0.2.8', '2001:db8::8', 'a.test.evil.com'])
      assert.equal(chain(authority.leaf(host).cert), 1, host);
  });

  test('nonsense, other keys and other CAs are not sent along', () => {
    const dir = temp();
    const other = createCa().certPem;
    const made = createAuthority({ dir, ephemeral: false });
    for (const text of ['', 'nonsense', constrainedCa(other, ['a.test']).crossPem, other]) {
      writeFileSync(`${dir}/public/ca-cross.pem`, text);
      assert.equal(chain(createAuthority({ dir, ephemeral: false }).leaf('a.test').cert), 1, text.slice(0, 20));
    }
    writeFileSync(`${dir}/public/ca-cross.pem`, constrainedCa(made.certPem, ['a.test']).crossPem);
    assert.equal(chain(createAuthority({ dir, ephemeral: true }).leaf('a.test').cert), 1, 'the kept CA’s, not ours');
  });
});

describe('an ephemeral authority', () => {
  test('leaves nothing on disk but the public bundle', () => {
    const dir = temp();
    const authority = createAuthority({ dir, ephemeral: true });
    assert.deepEqual(readdirSync(dir, { recursive: true }).sort(), ['public', 'public/bundle.pem']);
    assert.ok(!readFileSync(`${dir}/public/bundle.pem`, 'utf8').includes('PRIVATE KEY'));
    assert.notEqual(createAuthority({ dir, ephemeral: true }).certPem, authority.certPem);
  });

  test('does not disturb a kept CA in the same directory', () => {
    const dir = temp();
    const kept = createAuthority({ dir, ephemeral: false }).certPem;
    createAuthority({ dir, ephemeral: true });
    assert.equal(createAuthority({ dir, ephemeral: false }).certPem, kept);
    assert.ok(readFileSync(`${dir}/public/bundle.pem`, 'utf8').includes(kept.trim()));
  });

  test('works without a directory', () => {
    assert.deepEqual(createAuthority({ ephemeral: true }).files, {});
  });
});

test('an operator’s CA is used as given, written nowhere private, and not rotated', () => {
  const dir = temp();
  const operator = createCa();
  const authority = createAuthority({ dir, ephemeral: false, operator });
  assert.equal(authority.certPem, operator.certPem);
  assert.equal(existsSync(`${dir}/private`), false);
  assert.equal(readFileSync(`${dir}/public/ca.pem`, 'utf8'), operator.certPem);
  assert.throws(() => authority.rotate(), /operator/);
});

test('extra roots are in the bundle once', () => {
  const extra = createCa().certPem;
  const bundle = createAuthority({ ephemeral: true, extraRoots: [extra, `# note\n${extra}`] }).bundle();
  assert.equal(bundle.split(extra.trim()).length, 2);
});

test('leaves are cached, renewed before they end, and bounded', () => {
  let now = Date.now();
  const authority = createAuthority({ ephemeral: true, now: () => now });
  const leaf = authority.leaf('a.test');
  assert.equal(authority.leaf('a.test'), leaf);
  assert.equal(authority.leaf('b.test').key, leaf.key, 'one key per process');
  now += 6 * 86_400_000 + 1;
  assert.notEqual(authority.leaf('a.test'), leaf);
  const kept = authority.leaf('keep.test');
  for (let i = 0; i < 999; i++) {
    authority.leaf(`${i}.test`);
    if (i % 100 === 0) authority.leaf('keep.test');
  }
  assert.equal(authority.leaf('keep.test'), kept, 'recently used leaves stay');
  const first = authority.leaf('0.test');
  for (let i = 0; i < 1000; i++) authority.leaf(`more-${i}.test`);
  assert.notEqual(authority.leaf('0.test'), first, 'the oldest is dropped');
});
