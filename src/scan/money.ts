import { createHash } from 'node:crypto';
import { digitsOf, luhnHolds, plain } from './digits.ts';
import { keccak256 } from './keccak.ts';
import type { Check } from './pattern.ts';

/** Issuer ranges (first digits, from and to) and lengths, from the networks' published BIN rules. */
const ISSUERS: readonly (readonly [from: number, to: number, lengths: readonly number[]])[] = [
  [4, 4, [13, 16, 19]],
  [51, 55, [16]],
  [2221, 2720, [16]],
  [34, 34, [15]],
  [37, 37, [15]],
  [6011, 6011, [16, 17, 18, 19]],
  [644, 649, [16, 17, 18, 19]],
  [65, 65, [16, 17, 18, 19]],
  [300, 305, [14, 16, 17, 18, 19]],
  [3095, 3095, [14, 16, 17, 18, 19]],
  [36, 36, [14, 15, 16, 17, 18, 19]],
  [38, 39, [14, 16, 17, 18, 19]],
  [3528, 3589, [16, 17, 18, 19]],
  [62, 62, [16, 17, 18, 19]],
  [2200, 2204, [16, 17, 18, 19]],
  [5018, 5018, [12, 13, 14, 15, 16, 17, 18, 19]],
  [5020, 5020, [12, 13, 14, 15, 16, 17, 18, 19]],
  [5038, 5038, [12, 13, 14, 15, 16, 17, 18, 19]],
  [6759, 6763, [12, 13, 14, 15, 16, 17, 18, 19]],
  [60, 60, [16]],
  [81, 82, [16]],
  [508, 508, [16]],
];

function card(value: string): boolean {
  const digits = digitsOf(value, 12, 13, 14, 15, 16, 17, 18, 19);
  if (!digits || !luhnHolds(digits)) return false;
  const text = digits.join('');
  return ISSUERS.some(([from, to, lengths]) => {
    const start = Number(text.slice(0, String(from).length));
    return start >= from && start <= to && lengths.includes(text.length);
  });
}

function luhn(value: string): boolean {
  const text = plain(value);
  return /^\d{2,40}$/.test(text) && !/^0+$/.test(text) && luhnHolds([...text].map(Number));
}

/** SWIFT's IBAN registry: length by country. */
const IBAN_LENGTHS = new Map(
  'AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SD18SE24SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20'
    .match(/.{4}/g)
    ?.map((entry) => [entry.slice(0, 2), Number(entry.slice(2))] as const) ?? [],
);

/** ISO 7064 mod 97-10 over letters as two digits each (A = 10). */
function mod97(text: string): number {
  let rest = 0;
  for (const letter of text) {
    const value = Number.parseInt(letter, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return rest;
}

function iban(value: string): boolean {
  const text = plain(value);
  if (!/^[A-Z]{2}\d{2}[A-Z0-9]+$/.test(text) || IBAN_LENGTHS.get(text.slice(0, 2)) !== text.length) return false;
  return mod97(text.slice(4) + text.slice(0, 4)) === 1;
}

/** ISO 17442. */
function lei(value: string): boolean {
  return /^[A-Z0-9]{18}\d{2}$/.test(value) && mod97(value) === 1;
}

/** ISO 6166: Luhn over letters as two digits each. */
function isin(value: string): boolean {
  if (!/^[A-Z]{2}[A-Z0-9]{9}\d$/.test(value)) return false;
  return luhnHolds([...[...value].map((letter) => Number.parseInt(letter, 36)).join('')].map(Number));
}

/** ABA: weights 3, 7, 1; first two digits 00-12, 21-32, 61-72, 80. */
function abaRouting(value: string): boolean {
  const digits = digitsOf(value, 9);
  if (!digits) return false;
  const sum = digits.reduce((total, digit, i) => total + digit * ([3, 7, 1][i % 3] as number), 0);
  return sum % 10 === 0 && /^(?:0\d|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)/.test(plain(value));
}

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

function base58(text: string): Buffer | undefined {
  let number = 0n;
  for (const letter of text) {
    const value = BASE58.indexOf(letter);
    if (value < 0) return undefined;
    number = number * 58n + BigInt(value);
  }
  const hex = number === 0n ? '' : number.toString(16);
  const zeros = /^1*/.exec(text)?.[0].length ?? 0;
  return Buffer.concat([Buffer.alloc(zeros), Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex')]);
}

/** Bitcoin's base58check: four bytes of a double SHA-256 at the end. Addresses, WIF keys, extended keys. */
function base58check(value: string): boolean {
  if (value.length > 120) return false;
  const bytes = base58(value);
  if (!bytes || bytes.length < 21) return false;
  const once = createHash('sha256').update(bytes.subarray(0, -4)).digest();
  return createHash('sha256').update(once).digest().subarray(0, 4).equals(bytes.subarray(-4));
}

const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATORS = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

function polymod(values: readonly number[]): number {
  let check = 1;
  for (const value of values) {
    const top = check >>> 25;
    check = ((check & 0x1ffffff) << 5) ^ value;
    GENERATORS.forEach((generator, i) => {
      if ((top >>> i) & 1) check ^= generator;
    });
  }
  return check;
}

/** BIP 173 (bech32) and BIP 350 (bech32m). */
function bech32(value: string): boolean {
  if (value !== value.toLowerCase() && value !== value.toUpperCase()) return false;
  const text = value.toLowerCase();
  const separator = text.lastIndexOf('1');
  if (separator < 1 || text.length - separator < 7) return false;
  const prefix = [...text.slice(0, separator)].map((letter) => letter.charCodeAt(0));
  const data = [...text.slice(separator + 1)].map((letter) => BECH32.indexOf(letter));
  if (data.includes(-1)) return false;
  const check = polymod([...prefix.map((code) => code >>> 5), 0, ...prefix.map((code) => code & 31), ...data]);
  return check === 1 || check === 0x2bc830a3;
}

/** ERC-55: the case of a letter is a bit of the address's Keccak-256; an address in one case carries no checksum. */
function eip55(value: string): boolean {
  const hex = value.replace(/^0x/i, '');
  if (!/^[0-9a-fA-F]{40}$/.test(hex) || /^(.)\1*$/.test(hex)) return false;
  if (hex === hex.toLowerCase() || hex === hex.toUpperCase()) return true;
  const hash = keccak256(Buffer.from(hex.toLowerCase(), 'latin1'));
  return [...hex].every((letter, i) => {
    if (letter >= '0' && letter <= '9') return true;
    const nibble = ((hash[i >> 1] as number) >> (i % 2 === 0 ? 4 : 0)) & 15;
    return letter === (nibble >= 8 ? letter.toUpperCase() : letter.toLowerCase());
  });
}

export const MONEY: readonly (readonly [string, Check])[] = [
  ['luhn', luhn],
  ['card', card],
  ['iban', iban],
  ['aba-routing', abaRouting],
  ['isin', isin],
  ['lei', lei],
  ['base58check', base58check],
  ['bech32', bech32],
  ['eip55', eip55],
];
