/**
 * Value of the first field called `name` (lower-case) in a flat [name, value, …] array as sent, or undefined. A length
 * test comes first: most names differ in length, and only then is anything lower-cased.
 */
export function fieldOf(fields: readonly string[], name: string): string | undefined {
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const candidate = fields[i] as string;
    if (candidate.length === name.length && (candidate === name || candidate.toLowerCase() === name))
      return fields[i + 1];
  }
  return undefined;
}
