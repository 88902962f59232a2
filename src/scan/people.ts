import { digitsOf, isDate, luhnHolds, plain, weighted } from './digits.ts';
import type { Check } from './pattern.ts';

/** Check digits of national numbers, each as its issuer documents it. Separators inside the numbers are ignored. */

/** SSA: no area 000, 666 or 900-999, no group 00, no serial 0000. */
function usSsn(value: string): boolean {
  const text = plain(value);
  return /^(?!000|666|9)\d{3}(?!00)\d{2}(?!0000)\d{4}$/.test(text) && !/^(\d)\1*$/.test(text);
}

/** IRS: 9xx, fourth and fifth digit 50-65, 70-88, 90-92, 94-99. */
function usItin(value: string): boolean {
  return /^9\d{2}(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])\d{4}$/.test(plain(value));
}

function caSin(value: string): boolean {
  const digits = digitsOf(value, 9);
  return digits !== undefined && digits[0] !== 8 && luhnHolds(digits);
}

/** HMRC, National Insurance Manual NIM39110: letters that are never used. */
function ukNino(value: string): boolean {
  return /^(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]\d{6}[A-D]$/.test(plain(value));
}

function ukNhs(value: string): boolean {
  const digits = digitsOf(value, 10);
  if (!digits) return false;
  const check = 11 - (weighted(digits, [10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11);
  return check !== 10 && check % 11 === digits[9];
}

/** "Elfproef" with the last weight negative. */
function nlBsn(value: string): boolean {
  const digits = digitsOf(value, 9);
  return digits !== undefined && weighted(digits, [9, 8, 7, 6, 5, 4, 3, 2, -1]) % 11 === 0;
}

/** BZSt: ISO 7064 mod 11,10; of the first ten digits exactly one occurs twice or three times. */
function deTaxId(value: string): boolean {
  const digits = digitsOf(value, 11);
  if (!digits || digits[0] === 0) return false;
  const counts = new Array<number>(10).fill(0);
  for (const digit of digits.slice(0, 10)) counts[digit] = (counts[digit] as number) + 1;
  const repeated = counts.filter((count) => count > 1);
  if (repeated.length !== 1 || (repeated[0] as number) > 3) return false;
  let product = 10;
  for (const digit of digits.slice(0, 10)) product = (((digit + product) % 10 || 10) * 2) % 11;
  return (11 - product) % 10 === digits[10];
}

function esDni(value: string): boolean {
  const text = plain(value);
  if (!/^[XYZ\d]\d{7}[A-Z]$/.test(text)) return false;
  const number = Number(text.slice(0, 8).replace(/^[XYZ]/, (letter) => String('XYZ'.indexOf(letter))));
  return 'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23] === text[8];
}

/** NIR: 13 digits and 97 - (number mod 97); Corsica's 2A and 2B count as 19 and 18. */
function frInsee(value: string): boolean {
  const text = plain(value);
  if (!/^[123478]\d{2}(?:0[1-9]|1[0-2]|20|3\d|4[0-2]|[5-9]\d)(?:\d{2}|2[AB])\d{6}\d{2}$/.test(text)) return false;
  const number = Number(text.slice(0, 13).replace('2A', '19').replace('2B', '18'));
  return 97 - (number % 97) === Number(text.slice(13));
}

const ODD = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 22, 25, 24, 23];
const ODD_LETTERS = 'ABCDEFGHIJKLMNOPQRSTU';

/** DM 23/12/1976: odd places by table, even places by value, sum mod 26. */
function itCodiceFiscale(value: string): boolean {
  const text = plain(value);
  if (!/^[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}[A-Z][0-9LMNP-V]{3}[A-Z]$/.test(text)) return false;
  let sum = 0;
  for (let i = 0; i < 15; i++) sum += i % 2 === 0 ? oddValue(text[i] as string) : evenValue(text[i] as string);
  return String.fromCharCode(65 + (sum % 26)) === text[15];
}

function evenValue(letter: string): number {
  return letter <= '9' ? Number(letter) : letter.charCodeAt(0) - 65;
}

function oddValue(letter: string): number {
  if (letter === 'V') return 10;
  if (letter > 'V') return ODD['WXYZ'.indexOf(letter) + 21] as number;
  return ODD[letter <= '9' ? Number(letter) : ODD_LETTERS.indexOf(letter)] as number;
}

function plPesel(value: string): boolean {
  const digits = digitsOf(value, 11);
  if (!digits) return false;
  const [, , m1, m2, d1, d2] = digits as [number, number, number, number, number, number];
  if (!isDate((m1 * 10 + m2) % 20, d1 * 10 + d2)) return false;
  return (10 - (weighted(digits, [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]) % 10)) % 10 === digits[10];
}

/** Skatteverket: Luhn over the last ten digits; coordination numbers add 60 to the day. */
function sePersonnummer(value: string): boolean {
  const digits = digitsOf(value.replace('+', ''), 10, 12)?.slice(-10);
  if (!digits) return false;
  const [, , m1, m2, d1, d2] = digits as [number, number, number, number, number, number];
  return isDate(m1 * 10 + m2, (d1 * 10 + d2) % 60) && luhnHolds(digits);
}

function noFnr(value: string): boolean {
  const digits = digitsOf(value, 11);
  if (!digits) return false;
  const first = 11 - (weighted(digits, [3, 7, 6, 1, 8, 9, 4, 5, 2]) % 11);
  const second = 11 - (weighted(digits, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11);
  return first !== 10 && second !== 10 && first % 11 === digits[9] && second % 11 === digits[10];
}

/** DDMMYY, a sign for the century, three digits, and the number mod 31 as a letter. */
function fiHetu(value: string): boolean {
  const found = /^(\d{2})(\d{2})(\d{2})[-+A-FU-Y](\d{3})([0-9A-FHJ-NPR-Y])$/.exec(value.toUpperCase());
  if (!found) return false;
  const [, day, month, year, number, check] = found;
  if (!isDate(Number(month), Number(day))) return false;
  return '0123456789ABCDEFHJKLMNPRSTUVWXY'[Number(`${day}${month}${year}${number}`) % 31] === check;
}

/** 97 - (nine digits mod 97), with a 2 in front for births from 2000 on. */
function beRrn(value: string): boolean {
  const text = plain(value);
  if (digitsOf(value, 11) === undefined) return false;
  const check = Number(text.slice(9));
  return [text.slice(0, 9), `2${text.slice(0, 9)}`].some((number) => 97 - (Number(number) % 97) === check);
}

function chAhv(value: string): boolean {
  const digits = digitsOf(value, 13);
  if (!digits || !plain(value).startsWith('756')) return false;
  return weighted(digits, [1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1]) % 10 === 0;
}

function ptNif(value: string): boolean {
  const digits = digitsOf(value, 9);
  if (!digits || digits[0] === 0 || digits[0] === 7) return false;
  const check = 11 - (weighted(digits, [9, 8, 7, 6, 5, 4, 3, 2]) % 11);
  return (check > 9 ? 0 : check) === digits[8];
}

function roCnp(value: string): boolean {
  const digits = digitsOf(value, 13);
  if (!digits || digits[0] === 0) return false;
  const [, , , m1, m2, d1, d2] = digits as [number, number, number, number, number, number, number];
  const rest = weighted(digits, [2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
  return isDate(m1 * 10 + m2, d1 * 10 + d2) && (rest === 10 ? 1 : rest) === digits[12];
}

function trKimlik(value: string): boolean {
  const digits = digitsOf(value, 11);
  if (!digits || digits[0] === 0) return false;
  const tenth = weighted(digits, [7, -1, 7, -1, 7, -1, 7, -1, 7]) % 10;
  const sum = digits.slice(0, 10).reduce((a, b) => a + b, 0);
  return (tenth + 10) % 10 === digits[9] && sum % 10 === digits[10];
}

/** Verhoeff's scheme: multiplication in the dihedral group of order ten, as tables. */
const DIHEDRAL = [
  '0123456789',
  '1234067895',
  '2340178956',
  '3401289567',
  '4012395678',
  '5987604321',
  '6598710432',
  '7659821043',
  '8765932104',
  '9876543210',
].map((row) => [...row].map(Number));
const PERMUTATIONS = [
  '0123456789',
  '1576283094',
  '5803796142',
  '8916043527',
  '9453126870',
  '4286573901',
  '2793806415',
  '7046913258',
].map((row) => [...row].map(Number));

function inAadhaar(value: string): boolean {
  const digits = digitsOf(value, 12);
  if (!digits || (digits[0] as number) < 2) return false;
  let check = 0;
  digits.toReversed().forEach((digit, i) => {
    check = DIHEDRAL[check]?.[PERMUTATIONS[i % 8]?.[digit] as number] as number;
  });
  return check === 0;
}

function mod11(digits: readonly number[], weights: readonly number[]): number {
  const rest = weighted(digits, weights) % 11;
  return rest < 2 ? 0 : 11 - rest;
}

function brCpf(value: string): boolean {
  const digits = digitsOf(value, 11);
  if (!digits) return false;
  return (
    mod11(digits, [10, 9, 8, 7, 6, 5, 4, 3, 2]) === digits[9] &&
    mod11(digits, [11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) === digits[10]
  );
}

function brCnpj(value: string): boolean {
  const digits = digitsOf(value, 14);
  if (!digits) return false;
  const weights = [5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
  return mod11(digits, weights) === digits[12] && mod11(digits, [6, ...weights]) === digits[13];
}

function auTfn(value: string): boolean {
  const digits = digitsOf(value, 9);
  return digits !== undefined && weighted(digits, [1, 4, 3, 7, 5, 8, 6, 9, 10]) % 11 === 0;
}

/** GB 11643-1999: ISO 7064 mod 11-2. */
function cnRic(value: string): boolean {
  const text = plain(value);
  if (!/^[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dX]$/.test(text)) return false;
  const sum = weighted([...text.slice(0, 17)].map(Number), [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
  return '10X98765432'[sum % 11] === text[17];
}

function zaId(value: string): boolean {
  const digits = digitsOf(value, 13);
  if (!digits) return false;
  const [, , m1, m2, d1, d2] = digits as [number, number, number, number, number, number];
  return isDate(m1 * 10 + m2, d1 * 10 + d2) && (digits[10] as number) <= 2 && luhnHolds(digits);
}

function sgNric(value: string): boolean {
  const text = plain(value);
  if (!/^[STFG]\d{7}[A-Z]$/.test(text)) return false;
  const first = text[0] as string;
  const sum = weighted([...text.slice(1, 8)].map(Number), [2, 7, 6, 5, 4, 3, 2]) + ('TG'.includes(first) ? 4 : 0);
  return ('ST'.includes(first) ? 'JZIHGFEDCBA' : 'XWUTRQPNMLK')[sum % 11] === text[8];
}

export const PEOPLE: readonly (readonly [string, Check])[] = [
  ['us-ssn', usSsn],
  ['us-itin', usItin],
  ['ca-sin', caSin],
  ['uk-nino', ukNino],
  ['uk-nhs', ukNhs],
  ['nl-bsn', nlBsn],
  ['de-tax-id', deTaxId],
  ['es-dni', esDni],
  ['fr-insee', frInsee],
  ['it-codice-fiscale', itCodiceFiscale],
  ['pl-pesel', plPesel],
  ['se-personnummer', sePersonnummer],
  ['no-fnr', noFnr],
  ['fi-hetu', fiHetu],
  ['be-rrn', beRrn],
  ['ch-ahv', chAhv],
  ['pt-nif', ptNif],
  ['ro-cnp', roCnp],
  ['tr-kimlik', trKimlik],
  ['in-aadhaar', inAadhaar],
  ['br-cpf', brCpf],
  ['br-cnpj', brCnpj],
  ['au-tfn', auTfn],
  ['cn-ric', cnRic],
  ['za-id', zaId],
  ['sg-nric', sgNric],
];
