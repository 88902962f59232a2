/** Longest shape that is kept; what goes on behind it is `/**`. */
const MOST = 80;
const MORE = '/**';

/** `/v1/users/*`: a path without query and without identifiers, at most 80 characters. '' when it is none. */
export function pathShape(target: string): string {
  const end = target.search(/[?#]/);
  const path = end < 0 ? target : target.slice(0, end);
  if (!path.startsWith('/')) return '';
  let shape = '';
  for (const segment of path.slice(1).split('/')) {
    const part = isIdentifier(segment) ? '*' : segment;
    if (shape.length + 1 + part.length > MOST - MORE.length) return shape + MORE;
    shape += `/${part}`;
  }
  return shape;
}

/** Numbers, hashes, random tokens, what was taken out of a record, and names nobody would choose for a part of an API. */
export function isIdentifier(segment: string): boolean {
  if (segment.includes('[') || segment.includes('…') || segment.length > 24) return true;
  return /^\d+$|^[0-9a-f-]{8,}$/i.test(segment) ? /\d/.test(segment) : /\d.*\d.*\d/.test(segment);
}
