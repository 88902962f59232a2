import { maker } from '../benign/made.ts';
import type { Sample } from './sample.ts';

const m = maker(24);

function luhn(digits: string): string {
  let sum = 0;
  [...digits].reverse().forEach((digit, i) => {
    const doubled = Number(digit) * 2;
    sum += i % 2 === 1 ? Number(digit) : doubled > 9 ? doubled - 9 : doubled;
  });
  return digits + String((10 - (sum % 10)) % 10);
}

function iban(country: string, account: string): string {
  let rest = 0;
  for (const letter of `${account}${country}00`) {
    const value = Number.parseInt(letter, 36);
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
  }
  return country + String(98 - rest).padStart(2, '0') + account;
}

function mod(weights: readonly number[], digits: string): number {
  return weights.reduce((sum, weight, i) => sum + weight * Number(digits[i]), 0);
}

function until(make: () => string, holds: (value: string) => boolean): string {
  for (;;) {
    const value = make();
    if (holds(value)) return value;
  }
}

const date = (): string => `${60 + m.next(39)}0${1 + m.next(9)}1${m.next(10)}`;
const groups = (text: string): string => (text.match(/.{1,4}/g) ?? []).join(' ');

/** Numbers with valid check digits, and the words they stand behind. Made here by the issuers' rules, not by the validators. */
const NUMBERS: Readonly<Record<string, Readonly<Record<string, () => string>>>> = {
  pii: {
    'us-ssn': () => `SSN: ${100 + m.next(500)}-${10 + m.next(80)}-${1000 + m.next(8000)}`,
    'uk-nhs': () =>
      `NHS number ${until(
        () => `9${m.digits(9)}`,
        (v) => (11 - (mod([10, 9, 8, 7, 6, 5, 4, 3, 2], v) % 11)) % 11 === Number(v[9]),
      )}`,
    'nl-bsn': () =>
      `BSN ${until(
        () => `1${m.digits(8)}`,
        (v) => mod([9, 8, 7, 6, 5, 4, 3, 2, -1], v) % 11 === 0,
      )}`,
    'es-dni': () => {
      const number = 10_000_000 + m.next(80_000_000);
      return `DNI: ${number}${'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}`;
    },
    'ca-sin': () => `Social Insurance Number ${groups(luhn(`4${m.digits(7)}`)).replace(/ /g, '')}`,
    'pl-pesel': () => {
      const body = date() + m.digits(4);
      return `PESEL ${body}${(10 - (mod([1, 3, 7, 9, 1, 3, 7, 9, 1, 3], body) % 10)) % 10}`;
    },
    'ch-ahv': () => {
      const body = `756${m.digits(9)}`;
      return `AHV-Nr. ${body}${(10 - (mod([1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3], body) % 10)) % 10}`;
    },
    'br-cpf': () => {
      const body = `1${m.digits(8)}`;
      const first = ((mod([10, 9, 8, 7, 6, 5, 4, 3, 2], body) * 10) % 11) % 10;
      const second = ((mod([11, 10, 9, 8, 7, 6, 5, 4, 3, 2], body + String(first)) * 10) % 11) % 10;
      return `CPF: ${body.slice(0, 3)}.${body.slice(3, 6)}.${body.slice(6)}-${first}${second}`;
    },
    'za-id': () => `South African ID number ${luhn(`${date()}${1000 + m.next(8000)}08`)}`,
    'th-id': () => {
      const body = `1${m.digits(11)}`;
      return `Thai ID ${body}${(11 - (mod([13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2], body) % 11)) % 10}`;
    },
    'tw-id': () =>
      `National ID: ${until(
        () => `A1${m.digits(8)}`,
        (v) => (1 + mod([8, 7, 6, 5, 4, 3, 2, 1, 1], v.slice(1))) % 10 === 0,
      )}`,
    'il-id': () => `Teudat Zehut: ${luhn(`0${m.digits(7)}`)}`,
    'us-npi': () =>
      `${until(
        () => `1${m.digits(9)}`,
        (v) => luhn(`80840${v.slice(0, 9)}`).endsWith(v.slice(9)),
      )}`,
  },
  financial: {
    visa: () => `credit card ${groups(luhn(`4${m.digits(14)}`))}`,
    mastercard: () => `card number: ${luhn(`5${1 + m.next(5)}${m.digits(13)}`)}`,
    amex: () => `"card": "${luhn(`37${m.digits(12)}`)}"`,
    discover: () => `Card 6011 ${groups(luhn(`6011${m.digits(11)}`)).slice(5)}`,
    'iban-de': () => groups(iban('DE', m.digits(18))),
    'iban-gb': () => `IBAN ${iban('GB', `WEST${m.digits(14)}`)}`,
    'iban-fr': () => `{"iban":"${iban('FR', m.digits(23))}"}`,
  },
};

function around(text: string): Readonly<Record<string, string>> {
  return {
    plain: `Customer record. ${text}. Please check.`,
    json: JSON.stringify({ note: text, ok: true }),
    csv: `id;note\n7;${text};\n8;none`,
    'own line': `name: Maria Example\n${text}\ncity: Berlin\n`,
    base64: JSON.stringify({ data: Buffer.from(`${text} (from the form)`).toString('base64') }),
  };
}

export function personSamples(): Sample[] {
  const samples: Sample[] = [];
  for (const [category, families] of Object.entries(NUMBERS)) {
    for (const [family, make] of Object.entries(families)) {
      if (family === 'us-npi') continue;
      for (let round = 0; round < 3; round++) {
        for (const [form, text] of Object.entries(around(make()))) {
          samples.push({ category, family, form, direction: 'request', place: 'body', host: 'evil.test', text });
        }
      }
    }
  }
  return samples;
}

/** The same numbers with a wrong check digit, and without their names. */
export function personNegatives(): Sample[] {
  const samples: Sample[] = [];
  for (const [category, families] of Object.entries(NUMBERS)) {
    for (const [family, make] of Object.entries(families)) {
      if (['us-ssn'].includes(family)) continue;
      const base = { category, family, direction: 'request', place: 'body', host: 'evil.test' } as const;
      const text = make();
      // The last digit is the check digit, or among them; one of Brazil's and Spain's others would do as well.
      const wrong = text.replace(/\d(?=[^0-9]*$)/, (digit) => String((Number(digit) + 1) % 10));
      samples.push({ ...base, form: 'wrong check digit', text: `Customer record. ${wrong}. Please check.` });
      const number = /\d[\d .-]{7,}\d/.exec(text)?.[0] ?? '';
      const bare = number.replace(/\D/g, '');
      if (category === 'pii') samples.push({ ...base, form: 'without its name', text: `order ${bare} was shipped` });
    }
  }
  return samples;
}
