/** Digits and letters without separators, upper case. */
export function plain(value: string): string {
  return value.replace(/[\s./-]/g, '').toUpperCase();
}

/** The digits of a number of one of these lengths, or undefined when it is something else or one digit all the way. */
export function digitsOf(value: string, ...lengths: readonly number[]): number[] | undefined {
  const text = plain(value);
  if (!lengths.includes(text.length) || !/^\d+$/.test(text) || /^(\d)\1*$/.test(text)) return undefined;
  return [...text].map(Number);
}

/** ISO/IEC 7812-1 Annex B. */
export function luhnHolds(digits: readonly number[]): boolean {
  let sum = 0;
  digits.toReversed().forEach((digit, i) => {
    const doubled = digit * 2;
    if (i % 2 === 0) sum += digit;
    else sum += doubled > 9 ? doubled - 9 : doubled;
  });
  return sum % 10 === 0;
}

export function weighted(digits: readonly number[], weights: readonly number[]): number {
  return weights.reduce((sum, weight, i) => sum + weight * (digits[i] as number), 0);
}

export function isDate(month: number, day: number): boolean {
  return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}
