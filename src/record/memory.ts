/** What is shown of a string. */
export type Field = (value: string) => string;

/** Distinct strings remembered per kind of field; most fields have few. */
const ENTRIES = 4096;
const LENGTH = 256;

/** The same function, asked once per value. */
export function remembered(compute: Field): Field {
  const known = new Map<string, string>();
  return (value) => {
    if (value.length > LENGTH) return compute(value);
    const before = known.get(value);
    if (before !== undefined) return before;
    const shown = compute(value);
    if (known.size >= ENTRIES) known.clear();
    known.set(value, shown);
    return shown;
  };
}
