import { isIdentifier } from '../model/path-shape.ts';

/** Shapes of paths that are named; more of them are no shape. */
const NAMED = 3;

/** `/v1/users/*`: what the paths of a destination have in common, identifiers left out. Empty = too many to say anything. */
export function pathShapes(heads: readonly string[]): readonly string[] {
  const shapes = new Set(heads.map(shapeOf));
  if (shapes.size <= NAMED) return [...shapes].sort();
  // One segment says at least which part of an API it is.
  const first = new Set(
    [...shapes].map((shape) => (shape.split('/').length > 2 ? `/${shape.split('/')[1]}/*` : shape)),
  );
  return first.size <= NAMED ? [...first].sort() : [];
}

function shapeOf(head: string): string {
  return head
    .split('/')
    .map((segment) => (isIdentifier(segment) ? '*' : segment))
    .join('/');
}

const HOURS = 24;

/** `08–18 UTC`: the shortest part of the day in which all of it happened; '' when that is most of the day. */
export function hoursText(hours: number): string {
  const used = Array.from({ length: HOURS }, (_, hour) => (hours & (1 << hour)) !== 0);
  if (hours === 0) return '';
  // The longest rest ends where the day begins.
  let begin = 0;
  let rest = 0;
  for (let start = 0; start < HOURS; start++) {
    let length = 0;
    while (length < HOURS && !used[(start + length) % HOURS]) length++;
    if (length > rest) [rest, begin] = [length, (start + length) % HOURS];
  }
  if (rest < 6) return '';
  const end = (begin + HOURS - rest) % HOURS;
  return `${String(begin).padStart(2, '0')}–${String(end).padStart(2, '0')} UTC`;
}
