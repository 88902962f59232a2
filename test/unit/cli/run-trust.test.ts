import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { inheritedRoots, writeTrust } from '../../../src/cli/run-trust.ts';
import { createAuthority } from '../../support/certs.ts';
import { has } from '../../support/runs.ts';
import { tempDir } from './world.ts';

const dir = tempDir();
const [ours, corporate] = [createAuthority().cert, createAuthority().cert];
const ID = '01M7WDM54VW7MRP5NJHY92CNRG';

after(() => rmSync(dir, { recursive: true, force: true }));

test('inherited roots are the certificates of files that are there, once, without text between them', () => {
  const [one, two, broken] = ['one.pem', 'two.pem', 'broken.pem'].map((name) => join(dir, name));
  writeFileSync(one as string, `# corporate\n${corporate}`);
  writeFileSync(two as string, `${corporate}\n${ours}`);
  writeFileSync(broken as string, '-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n');
  const env = {
    SSL_CERT_FILE: one,
    PIP_CERT: two,
    CURL_CA_BUNDLE: broken,
    DENO_CERT: '/nonexistent',
    AWS_CA_BUNDLE: dir,
  };
  assert.deepEqual(inheritedRoots(env), [corporate.trim(), ours.trim()]);
  assert.deepEqual(inheritedRoots({}), []);
});

test('the files of a run are readable by everybody and go with it', () => {
  const state = join(dir, 'state');
  const before = process.umask(0o077);
  try {
    const trust = writeTrust(state, ID, { ca: ours, roots: [corporate, corporate] }, false);
    assert.equal(trust.store, undefined);
    assert.equal(statSync(trust.bundle).mode & 0o777, 0o644);
    const text = readFileSync(trust.bundle, 'utf8');
    assert.equal(text.split(corporate.trim()).length, 2);
    assert.ok(text.trimEnd().endsWith(ours.trim()));
    trust.remove();
    trust.remove();
    assert.deepEqual(readdirSync(join(state, 'public')), []);
  } finally {
    process.umask(before);
  }
});

test('what killed runs left is removed after a week, nothing else', () => {
  const directory = join(dir, 'old', 'public');
  mkdirSync(directory, { recursive: true });
  const old = new Date(Date.now() - 8 * 86_400_000);
  const left = `run-${'0'.repeat(26)}.pem`;
  for (const name of [left, 'bundle.pem', 'run-notes.pem']) {
    writeFileSync(join(directory, name), '');
    utimesSync(join(directory, name), old, old);
  }
  writeFileSync(join(directory, `run-${'1'.repeat(26)}.pem`), '');
  writeTrust(join(dir, 'old'), ID, { ca: ours, roots: [] }, false).remove();
  assert.deepEqual(readdirSync(directory).sort(), [`run-${'1'.repeat(26)}.pem`, 'bundle.pem', 'run-notes.pem'].sort());
});

const KEYTOOL = 'keytool';

test('keytool reads the Java trust store, digest included', { skip: !has(KEYTOOL, '-help') && 'no keytool' }, () => {
  const trust = writeTrust(join(dir, 'java'), ID, { ca: ours, roots: [corporate] }, true);
  const store = trust.store ?? '';
  const args = ['-list', '-keystore', store, '-storetype', 'JKS', '-storepass', 'changeit'];
  const listed = execFileSync(KEYTOOL, args, { encoding: 'utf8' });
  const entries = readFileSync(trust.bundle, 'utf8').match(/BEGIN CERTIFICATE/g)?.length ?? 0;
  assert.equal(listed.match(/trustedCertEntry/g)?.length, entries);
  trust.remove();
  assert.ok(!existsSync(store));
});
