import { parseArgs } from 'node:util';
import { watch } from './watch.ts';

/**
 * `npm run fuzz [-- --seconds 60 --seed 1 --target name]`: every target in turn, with inputs made from a seed. A failure comes with
 * what runs it again: `--target name --case seed --input hex`.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    target: { type: 'string', multiple: true, default: [] },
    case: { type: 'string' },
    input: { type: 'string' },
  },
});
const seed = Number(values.seed);
const only =
  values.input === undefined ? undefined : { seed: Number(values.case ?? 0), input: Buffer.from(values.input, 'hex') };
const say = (line: string): void => void process.stdout.write(`${line}\n`);
say(`seed ${seed}`);
const failures = await watch({ targets: values.target, seconds: Number(values.seconds), seed, only }, say);
process.exitCode = failures === 0 ? 0 : 1;
