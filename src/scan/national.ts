import { digitsOf, isDate, luhnHolds, plain, weighted } from './digits.ts';
import type { Check } from './pattern.ts';

/** Check digits of national numbers, second part; separators inside the numbers are ignored. */

/** Austria: serial (3), check digit, date of birth; weights 3 7 9 – 5 8 4 2 1 6, mod 11. */
function atSvnr(value: string): boolean {
  const digits = digitsOf(value, 10);
  return digits !== undefined && digits[0] !== 0 && weighted(digits, [3, 7, 9, 0, 5, 8, 4, 2, 1, 6]) % 11 === digits[3];
}

/** Ireland: seven digits with weights 8 to 2, a second letter with weight 9, mod 23 as a letter (W = 0). */
function iePps(value: string): boolean {
  const text = plain(value);
  if (!/^\d{7}[A-W][A-IW]?$/.test(text)) return false;
  const second = text[8] === undefined || text[8] === 'W' ? 0 : text.charCodeAt(8) - 64;
  const sum = weighted([...text.slice(0, 7)].map(Number), [8, 7, 6, 5, 4, 3, 2]) + 9 * second;
  return 'WABCDEFGHIJKLMNOPQRSTUV'[sum % 23] === text[7];
}

/** Czechia and Slovakia since 1954: ten digits divisible by 11; months of women +50, of later series +20. */
function czRodneCislo(value: string): boolean {
  const text = plain(value);
  if (!/^\d{10}$/.test(text) || Number(text) % 11 !== 0) return false;
  return isDate((Number(text.slice(2, 4)) % 50) % 20, Number(text.slice(4, 6)));
}

/** Bulgaria: weights 2 4 8 5 10 9 7 3 6, mod 11 mod 10; months +20 before 1900, +40 from 2000 on. */
function bgEgn(value: string): boolean {
  const digits = digitsOf(value, 10);
  if (!digits) return false;
  const text = plain(value);
  const check = (weighted(digits, [2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11) % 10;
  return check === digits[9] && isDate(Number(text.slice(2, 4)) % 20, Number(text.slice(4, 6)));
}

/** Croatia: ISO 7064 mod 11,10. */
function hrOib(value: string): boolean {
  const digits = digitsOf(value, 11);
  if (!digits) return false;
  let product = 10;
  for (const digit of digits.slice(0, 10)) product = (((digit + product) % 10 || 10) * 2) % 11;
  return (11 - product) % 10 === digits[10];
}

/** Estonia and Lithuania: century and sex, date, serial; two rounds of weights, mod 11. */
function baltic(value: string): boolean {
  const digits = digitsOf(value, 11);
  const text = plain(value);
  if (!digits || !/^[1-8]/.test(text) || !isDate(Number(text.slice(3, 5)), Number(text.slice(5, 7)))) return false;
  let check = weighted(digits, [1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
  if (check === 10) check = (weighted(digits, [3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11) % 10;
  return check === digits[10];
}

/** Greece: date of birth, serial, Luhn. */
function grAmka(value: string): boolean {
  const digits = digitsOf(value, 11);
  const text = plain(value);
  return digits !== undefined && isDate(Number(text.slice(2, 4)), Number(text.slice(0, 2))) && luhnHolds(digits);
}

/** Iceland: date of birth, serial, check digit with weights 3 2 7 6 5 4 3 2, century. */
function isKennitala(value: string): boolean {
  const digits = digitsOf(value, 10);
  const text = plain(value);
  if (!digits || !/[089]$/.test(text) || !isDate(Number(text.slice(2, 4)), Number(text.slice(0, 2)))) return false;
  return (11 - (weighted(digits, [3, 2, 7, 6, 5, 4, 3, 2]) % 11)) % 11 === digits[8];
}

const CURP = '0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ';

/** Mexico: values of 17 characters (Ñ among the letters) with weights 18 to 2, mod 10. */
function mxCurp(value: string): boolean {
  const text = plain(value);
  if (!/^[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z0-9]\d$/.test(text)) return false;
  if (!isDate(Number(text.slice(6, 8)), Number(text.slice(8, 10)))) return false;
  const sum = weighted(
    [...text.slice(0, 17)].map((letter) => CURP.indexOf(letter)),
    [18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2],
  );
  return (10 - (sum % 10)) % 10 === Number(text[17]);
}

/** Argentina: type, number, mod 11. */
function arCuit(value: string): boolean {
  const digits = digitsOf(value, 11);
  if (!digits || !/^(?:2[03467]|3[034])/.test(plain(value))) return false;
  return (11 - (weighted(digits, [5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11)) % 11 === digits[10];
}

/** Chile: weights 2 to 7 from the right, mod 11, K = 10. */
function clRut(value: string): boolean {
  const text = plain(value);
  if (!/^\d{7,8}[\dK]$/.test(text)) return false;
  const sum = [...text.slice(0, -1)].reverse().reduce((total, digit, i) => total + Number(digit) * (2 + (i % 6)), 0);
  return '0123456789K'[(11 - (sum % 11)) % 11] === text.at(-1);
}

/** Japan (individual number): weights 6 5 4 3 2 7 6 5 4 3 2, mod 11. */
function jpMyNumber(value: string): boolean {
  const digits = digitsOf(value, 12);
  if (!digits) return false;
  const rest = weighted(digits, [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
  return (rest <= 1 ? 0 : 11 - rest) === digits[11];
}

/** South Korea: weights 2 to 9 and 2 to 5, mod 11. Numbers given since October 2020 carry no check digit and are not known. */
function krRrn(value: string): boolean {
  const digits = digitsOf(value, 13);
  const text = plain(value);
  if (!digits || !/^\d{6}[1-8]/.test(text) || !isDate(Number(text.slice(2, 4)), Number(text.slice(4, 6)))) return false;
  return (11 - (weighted(digits, [2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5]) % 11)) % 10 === digits[12];
}

/** Taiwan: the letter as two digits, weights 1 9 8 7 6 5 4 3 2 1 1, mod 10. */
function twId(value: string): boolean {
  const text = plain(value);
  if (!/^[A-Z][1289]\d{8}$/.test(text)) return false;
  const letter = 'ABCDEFGHJKLMNPQRSTUVXYWZIO'.indexOf(text[0] as string) + 10;
  const digits = [Math.floor(letter / 10), letter % 10, ...[...text.slice(1)].map(Number)];
  return weighted(digits, [1, 9, 8, 7, 6, 5, 4, 3, 2, 1, 1]) % 10 === 0;
}

/** Hong Kong: one or two letters (a blank counts 36), weights 9 to 1, mod 11, A = 10. */
function hkId(value: string): boolean {
  const text = plain(value).replace(/[()]/g, '');
  if (!/^[A-Z]{1,2}\d{6}[\dA]$/.test(text)) return false;
  const values = [...text.padStart(9, ' ')].map((letter) => (letter === ' ' ? 36 : Number.parseInt(letter, 36)));
  return weighted(values, [9, 8, 7, 6, 5, 4, 3, 2, 1]) % 11 === 0;
}

/** Thailand: weights 13 to 2, mod 11. */
function thId(value: string): boolean {
  const digits = digitsOf(value, 13);
  if (!digits || digits[0] === 0) return false;
  return (11 - (weighted(digits, [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11)) % 10 === digits[12];
}

function ilId(value: string): boolean {
  const digits = digitsOf(value, 9);
  return digits !== undefined && luhnHolds(digits);
}

/** Australia (Medicare): weights 1 3 7 9 1 3 7 9, mod 10, issue number behind. */
function auMedicare(value: string): boolean {
  const digits = digitsOf(value, 10, 11);
  if (!digits || !/^[2-6]/.test(plain(value))) return false;
  return weighted(digits, [1, 3, 7, 9, 1, 3, 7, 9]) % 10 === digits[8];
}

/** New Zealand: two rounds of weights, mod 11; between 10,000,000 and 150,000,000. */
function nzIrd(value: string): boolean {
  const text = plain(value).padStart(9, '0');
  const digits = digitsOf(text, 9);
  if (!digits || Number(text) < 10_000_000 || Number(text) > 150_000_000) return false;
  for (const weights of [
    [3, 2, 7, 6, 5, 4, 3, 2],
    [7, 4, 3, 2, 5, 2, 7, 6],
  ]) {
    const check = (11 - (weighted(digits, weights) % 11)) % 11;
    if (check !== 10) return check === digits[8];
  }
  return false;
}

/** United States (health providers): Luhn with 80840 before. */
function usNpi(value: string): boolean {
  const digits = digitsOf(value, 10);
  return digits !== undefined && /^[12]/.test(plain(value)) && luhnHolds([8, 0, 8, 4, 0, ...digits]);
}

/** United States (DEA registration): (1st+3rd+5th) + 2 × (2nd+4th+6th) ends in the 7th. */
function usDea(value: string): boolean {
  const text = plain(value);
  if (!/^[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}$/.test(text)) return false;
  const digits = [...text.slice(2)].map(Number);
  return weighted(digits, [1, 2, 1, 2, 1, 2]) % 10 === digits[6];
}

/** ICAO 9303 part 3: weights 7 3 1, `<` = 0, A = 10, mod 10. */
function mrzDigit(field: string, digit: string): boolean {
  let sum = 0;
  for (let i = 0; i < field.length; i++) {
    const value = field[i] === '<' ? 0 : Number.parseInt(field[i] as string, 36);
    sum += value * ([7, 3, 1][i % 3] as number);
  }
  return String(sum % 10) === (digit === '<' ? '0' : digit);
}

/** The second line of a passport (TD3, 44) or of a card (TD2, 36), or the first two of a card (TD1, 2 × 30): every check digit. */
function mrz(value: string): boolean {
  const text = value.replace(/\\r|\\n|\s/g, '');
  const at = (from: number, to: number): boolean => mrzDigit(text.slice(from, to), text[to] as string);
  if (text.length === 60) {
    const all = text.slice(5, 30) + text.slice(30, 37) + text.slice(38, 45) + text.slice(48, 59);
    return at(5, 14) && at(30, 36) && at(38, 44) && mrzDigit(all, text[59] as string);
  }
  if (text.length !== 44 && text.length !== 36) return false;
  const last = text.length - 1;
  const all = text.slice(0, 10) + text.slice(13, 20) + text.slice(21, last);
  const personal = text.length === 36 || at(28, 42);
  return at(0, 9) && at(13, 19) && at(21, 27) && personal && mrzDigit(all, text[last] as string);
}

export const NATIONAL: readonly (readonly [string, Check])[] = [
  ['at-svnr', atSvnr],
  ['ie-pps', iePps],
  ['cz-rodne-cislo', czRodneCislo],
  ['bg-egn', bgEgn],
  ['hr-oib', hrOib],
  ['baltic-code', baltic],
  ['gr-amka', grAmka],
  ['is-kennitala', isKennitala],
  ['mx-curp', mxCurp],
  ['ar-cuit', arCuit],
  ['cl-rut', clRut],
  ['jp-my-number', jpMyNumber],
  ['kr-rrn', krRrn],
  ['tw-id', twId],
  ['hk-id', hkId],
  ['th-id', thId],
  ['il-id', ilId],
  ['au-medicare', auMedicare],
  ['nz-ird', nzIrd],
  ['us-npi', usNpi],
  ['us-dea', usDea],
  ['mrz', mrz],
];
