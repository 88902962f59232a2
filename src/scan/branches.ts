import type { Step } from './matcher.ts';

function inTurn(steps: readonly Step[]): Step {
  return (run, at) => {
    for (let i = 0; i < steps.length; i++) {
      const end = (steps[i] as Step)(run, at);
      if (end >= 0) return end;
      if (++run.steps > run.limit) return -1;
    }
    return -1;
  };
}

/** Only those are tried that can begin with the byte that stands here. */
function byFirstByte(steps: readonly Step[], begins: readonly Uint8Array[]): Step {
  const all = inTurn(steps);
  const kinds = new Map<string, number>();
  const some: Step[] = [];
  const kindOf = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte++) {
    const these = steps.filter((_step, i) => begins[i]?.[byte] !== 0);
    const key = begins.map((begin) => begin[byte]).join('');
    const kind = kinds.get(key) ?? some.push(these.length === 1 ? (these[0] as Step) : inTurn(these)) - 1;
    kinds.set(key, kind);
    kindOf[byte] = kind;
  }
  return (run, at) => {
    run.steps++;
    return at < run.end ? (some[kindOf[run.bytes[at] as number] as number] as Step)(run, at) : all(run, at);
  };
}

/** @param begins - bytes each of them can begin with; undefined when they are read backwards. */
export function branches(steps: readonly Step[], begins: readonly Uint8Array[] | undefined): Step {
  return begins === undefined ? inTurn(steps) : byFirstByte(steps, begins);
}
