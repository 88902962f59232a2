import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { BIP39_WORDS } from '../../../src/scan/bip39-words.ts';
import { entropyOf } from '../../../src/scan/entropy.ts';
import { keccak256 } from '../../../src/scan/keccak.ts';
import { VALIDATORS } from '../../../src/scan/validators.ts';

function holds(name: string, value: string): boolean {
  const check = VALIDATORS.get(name);
  assert.ok(check, name);
  return check(value);
}

/** Numbers their issuers publish as examples. The last column: a changed digit is always noticed. */
const EXAMPLES: readonly (readonly [name: string, value: string, detects: boolean])[] = [
  ['luhn', '7992739 8713', true],
  ['card', `4${'1'.repeat(15)}`, true],
  ['card', '5555 5555 5555 4444', true],
  ['card', '3782-822463-10005', true],
  ['card', '6011 1111 1111 1117', true],
  ['card', '3530 1113 3330 0000', true],
  ['card', '3056 930902 5904', true],
  ['iban', 'DE89 3704 0044 0532 0130 00', true],
  ['iban', 'GB82 WEST 1234 5698 7654 32', true],
  ['iban', 'FR14 2004 1010 0505 0001 3M02 606', true],
  ['aba-routing', '021000021', true],
  ['isin', 'US0378331005', true],
  ['lei', '529900T8BM49AURSDO55', true],
  ['uk-nhs', '943 476 5919', true],
  ['nl-bsn', '111222333', true],
  ['de-tax-id', '86 095 742 719', true],
  ['es-dni', '12345678Z', true],
  ['es-dni', 'X1234567L', true],
  ['fr-insee', '2 55 08 14 168 025 38', true],
  ['it-codice-fiscale', 'RSSMRA85T10A562S', false],
  ['pl-pesel', '44051401359', true],
  ['se-personnummer', '811228-9874', true],
  ['se-personnummer', '19811228-9874', false],
  ['no-fnr', '13097248022', true],
  ['fi-hetu', '131052-308T', true],
  ['be-rrn', '85.07.30-033 28', true],
  ['ch-ahv', '756.9217.0769.85', true],
  ['pt-nif', '123456789', true],
  ['ro-cnp', '1800101221144', true],
  ['tr-kimlik', '10000000146', true],
  ['in-aadhaar', '2341 2341 2346', true],
  ['br-cpf', '111.444.777-35', true],
  ['br-cnpj', '11.222.333/0001-81', true],
  ['ca-sin', '046 454 286', true],
  ['au-tfn', '123 456 782', true],
  ['cn-ric', '11010519491231002X', true],
  ['za-id', '8001015009087', true],
  ['sg-nric', 'S1234567D', true],
  ['sg-nric', 'F1234567N', true],
  ['at-svnr', '1237 010180', true],
  ['ie-pps', '1234567T', true],
  ['ie-pps', '1234567FA', true],
  ['cz-rodne-cislo', '710319/2745', true],
  ['bg-egn', '7523169263', false],
  ['hr-oib', '33392005961', true],
  ['baltic-code', '37605030299', true],
  ['baltic-code', '33309240064', true],
  ['gr-amka', '01013099997', true],
  ['is-kennitala', '120174-3399', true],
  ['mx-curp', 'HEGG560427MVZRRL04', false],
  ['ar-cuit', '20-05536168-2', true],
  ['cl-rut', '12.531.909-2', true],
  ['jp-my-number', '1234 5678 9018', true],
  ['tw-id', 'A123456789', false],
  ['hk-id', 'A123456(3)', true],
  ['th-id', '3-1006-00445-63-5', true],
  ['il-id', '039337423', true],
  ['au-medicare', '2123 45670 1', false],
  ['nz-ird', '49-091-850', true],
  ['nz-ird', '136-410-132', true],
  ['us-npi', '1234567893', true],
  ['us-dea', 'AB1234563', false],
  ['mrz', 'L898902C36UTO7408122F1204159ZE184226B<<<<<10', true],
  ['mrz', 'I<UTOD231458907<<<<<<<<<<<<<<<\n7408122F1204159UTO<<<<<<<<<<<6', true],
  ['mrz', 'D231458907UTO7408122F1204159<<<<<<<6', true],
  ['bip39', 'legal winner thank year wave sausage worth useful legal winner thank yellow', true],
  ['bip39', `${'abandon '.repeat(11)}about`, true],
  ['bip39', `${'abandon '.repeat(23)}art`, true],
  ['strkey', 'SDJHRQF4GCMIIKAAAQ6IHY42X73FQFLHUULAPSKKD4DFDM7UXWWCRHBE', false],
  ['bech32', 'bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4', true],
  ['bech32', 'bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0', true],
  ['base58check', '1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa', true],
];

for (const [name, value, detects] of EXAMPLES) {
  test(`${name} holds for ${value} and notices a changed digit`, () => {
    assert.ok(holds(name, value));
    for (let i = 0; detects && i < value.length; i++) {
      const digit = value[i] as string;
      if (!/[2-9]/.test(digit)) continue;
      const other = String(((Number(digit) + 1) % 8) + 2);
      assert.equal(holds(name, value.slice(0, i) + other + value.slice(i + 1)), other === digit, `digit ${i}`);
    }
  });
}

test('a mnemonic is found among other words, and a changed or missing word is noticed', () => {
  const words = 'legal winner thank year wave sausage worth useful legal winner thank yellow'.split(' ');
  assert.ok(holds('bip39', `keep this safe ${words.join(', ')} and never share`));
  assert.ok(holds('bip39', words.map((word, i) => `${i + 1}. ${word}`).join('\n')));
  assert.ok(!holds('bip39', words.slice(1).join(' ')));
  let noticed = 0;
  for (let i = 0; i < words.length; i++) {
    if (!holds('bip39', words.with(i, 'zebra').join(' '))) noticed++;
  }
  // Four bits of checksum: one change in sixteen goes unnoticed.
  assert.ok(noticed >= 9, `${noticed} of 12`);
});

test("BIP-39's word list is the published one", () => {
  assert.equal(BIP39_WORDS.length, 2048);
  assert.equal(
    createHash('sha256')
      .update(`${BIP39_WORDS.join('\n')}\n`)
      .digest('hex'),
    '2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda',
  );
});

test('numbers whose rules are about form', () => {
  for (const ssn of ['456-78-9012', '219 09 9998', '899991234']) assert.ok(holds('us-ssn', ssn), ssn);
  for (const ssn of ['000-12-3456', '666-12-3456', '900-12-3456', '456-00-9012', '456-78-0000', '111111111']) {
    assert.ok(!holds('us-ssn', ssn), ssn);
  }
  assert.ok(holds('us-itin', '912-70-1234'));
  assert.ok(!holds('us-itin', '912-49-1234'));
  assert.ok(!holds('us-itin', '912-93-1234'));
  assert.ok(holds('uk-nino', 'AB 12 34 56 C'));
  for (const nino of ['QQ123456C', 'BG123456A', 'AO123456A', 'AB123456E']) assert.ok(!holds('uk-nino', nino), nino);
});

test('one digit all the way is nobody', () => {
  for (const [name, length] of [
    ['card', 16],
    ['br-cpf', 11],
    ['nl-bsn', 9],
    ['ca-sin', 9],
    ['luhn', 16],
  ] as const) {
    assert.ok(!holds(name, '0'.repeat(length)), name);
  }
});

test('a card needs an issuer, a length and Luhn', () => {
  const luhn = (start: string): string =>
    [...'0123456789'].map((digit) => start + digit).find((number) => holds('luhn', number)) as string;
  assert.ok(holds('card', luhn('222100123456789')));
  assert.ok(!holds('card', luhn('222000123456789')), 'no issuer');
  assert.ok(!holds('card', luhn('176360012345')), 'a time in milliseconds');
  assert.ok(!holds('card', luhn('37828224631000')) === false, 'American Express has 15');
  assert.ok(!holds('card', luhn('378282246310001')), 'and not 16');
});

function githubLike(prefix: string, random: string): string {
  const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  let rest = crc32(random);
  let check = '';
  while (check.length < 6) {
    check = letters[rest % 62] + check;
    rest = Math.floor(rest / 62);
  }
  return prefix + random + check;
}

test('CRC32 in base 62', () => {
  assert.ok(holds('github-crc', githubLike('gh' + 'p_', 'aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0')));
  assert.ok(holds('github-crc', githubLike('np' + 'm_', 'zzzzzzzzzzzzzzzzzzzzzzzzzzzzz1')));
  assert.ok(!holds('github-crc', `${githubLike('gh' + 'p_', 'aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0').slice(0, -1)}!`));
  assert.ok(!holds('github-crc', `${'gh'}p_${'a'.repeat(36)}`));
});

test('JSON Web Tokens are read', () => {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  assert.ok(holds('jwt', `${part({ alg: 'HS256' })}.${part({ sub: 'x' })}.c2ln`));
  assert.ok(holds('jwt', `${part({ alg: 'dir', enc: 'A256GCM' })}..aaaa.bbbb.cccc`));
  assert.ok(!holds('jwt', `${part({ typ: 'JWT' })}.${part({ sub: 'x' })}.c2ln`));
  assert.ok(!holds('jwt', `${part({ alg: 'HS256' })}.eyJub3QganNvbg.c2ln`));
});

test('AWS ids are base 32 behind the prefix', () => {
  assert.ok(holds('aws-key-id', 'AK' + 'IAIOSFODNN7EXAMPLE'));
  assert.ok(!holds('aws-key-id', 'AK' + 'IA0189FODNN7EXAMPLE'));
});

test('base58check is a double SHA-256', () => {
  const letters = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';
  const sha = (data: Buffer): Buffer => createHash('sha256').update(data).digest();
  const payload = Buffer.concat([Buffer.from([0x80]), Buffer.alloc(32, 7), Buffer.from([1])]);
  let number = BigInt(`0x${Buffer.concat([payload, sha(sha(payload)).subarray(0, 4)]).toString('hex')}`);
  let text = '';
  for (; number > 0n; number /= 58n) text = letters[Number(number % 58n)] + text;
  assert.ok(holds('base58check', text));
  assert.ok(
    !holds(
      'base58check',
      text.replace(/.$/, (last) => (last === '2' ? '3' : '2')),
    ),
  );
  assert.ok(!holds('base58check', '1'.repeat(34)));
});

test('Keccak-256 and the case of addresses (ERC-55)', () => {
  const hex = (text: string): string => Buffer.from(keccak256(Buffer.from(text))).toString('hex');
  assert.equal(hex(''), 'c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470');
  assert.equal(hex('abc'), '4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45');
  const address = '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed';
  assert.ok(holds('eip55', address));
  assert.ok(holds('eip55', address.toLowerCase()));
  assert.ok(!holds('eip55', address.replace('aAeb', 'aaeb')));
  assert.ok(!holds('eip55', `0x${'0'.repeat(40)}`));
});

test('entropy in bits per character', () => {
  assert.equal(entropyOf(''), 0);
  assert.equal(entropyOf('aaaa'), 0);
  assert.equal(entropyOf('abab'), 1);
  assert.ok(Math.abs(entropyOf('0123456789abcdef') - 4) < 1e-12);
});
