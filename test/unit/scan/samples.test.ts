import assert from 'node:assert/strict';
import { test } from 'node:test';
import { builtInScanning, judged } from '../../support/judged.ts';

const scanning = builtInScanning();

function rules(text: string): string[] {
  return judged(scanning, { direction: 'request', place: 'body', host: 'evil.test', text }).map(
    ({ found }) => found.rule,
  );
}

/** Keys that vendors print in their documentation. People test with them, so they count like real ones. */
const PUBLISHED: readonly (readonly [rule: string, ...parts: string[]])[] = [
  ['aws-access-key', 'AK', 'IAIOSFODNN7EXAMPLE'],
  ['aws-access-key', 'AK', 'IAI44QH8DHBEXAMPLE'],
  ['aws-secret-key', 'aws_secret_access', '_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'],
  ['stripe-secret-key', 'sk_te', 'st_4eC39HqLyjWDarjtT1zdp7dc'],
  ['gcp-api-key', 'AI', 'zaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe'],
  [
    'jwt-token',
    'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwi',
    'aWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c',
  ],
  ['basic-auth', 'Authorization: Ba', 'sic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='],
  ['payment-card', 'card number: 4111', ' 1111 1111 1111'],
  ['iban', 'DE89', ' 3704 0044 0532 0130 00'],
  ['wallet-mnemonic', 'mnemonic: ', `${'abandon '.repeat(11)}about`],
  ['passport-mrz', 'L898902C36UTO', '7408122F1204159ZE184226B<<<<<10'],
];

for (const [rule, ...parts] of PUBLISHED) {
  test(`the published sample of ${rule} (${parts.join('').slice(-12)}) is found`, () => {
    assert.ok(rules(`value: ${parts.join('')}\n`).includes(rule), rules(`value: ${parts.join('')}\n`).join(' '));
  });
}

/** Prefixes with the length of what follows, one per form of a body: words, hexadecimal, dots. */
const PREFIXES: readonly (readonly [string, number])[] = [
  ['sk-proj-', 64],
  ['sk-ant-api03-', 95],
  ['ghp_', 36],
  ['github_pat_', 82],
  ['glpat-', 20],
  ['xoxb-', 50],
  ['sk_live_', 24],
  ['hf_', 34],
  ['npm_', 36],
  ['dop_v1_', 64],
  ['SG.', 66],
  ['AIza', 35],
  ['hvs.', 90],
  ['cfut_', 48],
  ['dtn_', 64],
  ['bxt_', 48],
];

test('obvious fillers behind every prefix are no findings', () => {
  const fillers: readonly ((length: number) => string)[] = [
    () => '<YOUR_KEY>',
    () => '<your-api-key-here>',
    () => '${API_KEY}',
    () => '${{ secrets.API_KEY }}',
    () => '{{ api_key }}',
    () => '$API_KEY',
    () => '%API_KEY%',
    () => '[API KEY]',
    () => '...',
    () => '…',
    (length) => 'x'.repeat(length),
    (length) => 'X'.repeat(length),
    (length) => '*'.repeat(length),
    (length) => '0'.repeat(length),
    () => 'your_api_key_here',
    () => 'YOUR-TOKEN-HERE',
    () => 'REPLACE_ME_WITH_YOUR_TOKEN',
  ];
  const found: string[] = [];
  for (const [prefix, length] of PREFIXES) {
    for (const filler of fillers) {
      for (const text of [`export API_KEY=${prefix}${filler(length)}\n`, `{"api_key": "${prefix}${filler(length)}"}`]) {
        found.push(...rules(text).map((rule) => `${rule}: ${text}`));
      }
    }
  }
  assert.deepEqual(found, []);
});

test('what only resembles a filler is found', () => {
  const secret = `ghp_${'aK3b9xQ2mR4tW7yZ1c'.repeat(2)}`;
  for (const text of [
    `<${secret}>`,
    `\${${secret}}`,
    `"${secret}" # your token here`,
    `YOUR_KEY=${secret}`,
    `${secret}...`,
  ]) {
    assert.ok(rules(text).includes('github-pat'), text);
  }
});
