import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secretVariables } from '../../../src/cli/run-secrets.ts';

const VALUE = ['q7Zp', '2Mw8', 'Xk4T', 'n9Vb', 'c3Hd'].join('');

test('variables that look like secrets, by name and value', () => {
  const yes = [
    'OPENAI_API_KEY',
    'GITHUB_TOKEN',
    'DB_PASSWORD',
    'MY_APIKEY',
    'AWS_SECRET_ACCESS_KEY',
    'client_secret',
    'NPM_TOKEN',
    'KEY',
    'SENTRY_DSN',
  ];
  for (const name of yes) assert.deepEqual(secretVariables({ [name]: VALUE }), { [name]: VALUE }, name);
  const no = [
    'PATH',
    'HOME',
    'SSH_AUTH_SOCK',
    'GPG_KEY',
    'AWS_ACCESS_KEY_ID',
    'PUBLIC_KEY',
    'KEYBOARD',
    'MONKEY',
    'TOKEN_FILE',
    'SECRET_PATH',
    'MAX_TOKENS',
    'WEIR_TOKEN',
    'STRATHON_API_KEY',
    'PWD',
    'AUTHOR',
  ];
  for (const name of no) assert.deepEqual(secretVariables({ [name]: VALUE }), {}, name);
});

test('values nobody keeps secret', () => {
  for (const value of [
    'short',
    '/run/secrets/key',
    '~/key',
    'true',
    'postgres',
    'PRODUCTION',
    '1234567890',
    'my-secret-name',
    'https://a.test/x',
    'aaaaaaaaaaaa',
    `${VALUE}\nmore`,
    'x'.repeat(5000),
  ])
    assert.deepEqual(secretVariables({ DB_PASSWORD: value }), {}, value.slice(0, 40));
  assert.equal(Object.keys(secretVariables({ DB_PASSWORD: 'correct-Horse7battery' })).length, 1);
});

test('not more than a collector looks for', () => {
  const env = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`K${i}_TOKEN`, `${VALUE}${i}`]));
  assert.equal(Object.keys(secretVariables(env)).length, 64);
});
