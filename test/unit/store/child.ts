// A process of its own for tests: `node child.ts <write|hold> <state dir> [<first sequence>]`.
import { openStore } from '../../../src/store/database.ts';
import { exchange, NOON, options } from './help.ts';

const [verb, dir, first] = process.argv.slice(2) as [string, string, string | undefined];
const store = await openStore(options(dir, { flushMs: 0 }));
if (verb === 'hold') {
  await store.consume([exchange()], 1);
  process.stdout.write('holding\n');
  setInterval(() => undefined, 1000);
} else {
  // Record n of the journal has the path /n, so that the parent can tell what is there.
  let sequence = Number(first);
  for (;;) {
    const size = 1 + (sequence % 97);
    const batch = Array.from({ length: size }, (_, i) =>
      exchange({ target: `/${sequence + i}`, host: `h${(sequence + i) % 7}`, startedAt: NOON + sequence + i }),
    );
    await store.consume(batch, sequence + size - 1);
    process.stdout.write(`${sequence + size - 1}\n`);
    sequence += size;
  }
}
