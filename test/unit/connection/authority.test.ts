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
