// A process of its own for tests: `node child.ts <write|hold|limited|compete> <state dir> [<first sequence>]`.
import type { ExchangeRecord } from '../../../src/model/record.ts';
import { openStore, type Store } from '../../../src/store/database.ts';
import { exchange, NOON, options } from './help.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

const [verb, dir, first] = process.argv.slice(2) as [string, string, string | undefined];
const store = await openStore(options(dir, { flushMs: 0 }));
switch (verb) {
  case 'hold':
    await store.consume([exchange()], 1);
    process.stdout.write('holding\n');
    setInterval(() => undefined, 1000);
    break;
  case 'write':
    await write(store, Number(first));
    break;
  case 'limited':
    await meetLimit(store);
    break;
  case 'compete':
    await compete(store);
    break;
}

/** Record n of the journal has the path /n, so that the parent can tell what is there. */
function record(n: number): ExchangeRecord {
  // Methods that change make rows of `destinations` change as a whole.
  return exchange({
    target: `/${n}`,
    host: `h${n % 7}`,
    startedAt: NOON + n,
    method: METHODS[n % METHODS.length] as string,
  });
}

function batch(sequence: number, size: number): ExchangeRecord[] {
  return Array.from({ length: size }, (_, i) => record(sequence + i));
}

async function write(to: Store, from: number): Promise<void> {
  let sequence = from;
  for (;;) {
    const size = 1 + (sequence % 97);
    await to.consume(batch(sequence, size), sequence + size - 1);
    process.stdout.write(`${sequence + size - 1}\n`);
    sequence += size;
  }
}

/** The smallest commits there are, until a limit of the file size is met, and again and again after that. */
async function meetLimit(to: Store): Promise<void> {
  let sequence = 1501;
  await to.consume(batch(1, 1500), 1500);
  let refused = '';
  for (let failed = 0; failed < 40; ) {
    try {
      await to.consume([record(sequence)], sequence);
      sequence++;
    } catch (error) {
      refused = (error as Error).message;
      failed++;
    }
  }
  process.stdout.write(`${JSON.stringify({ held: sequence - 1, cursor: await to.cursor(), refused })}\n`);
  process.exit(0);
}

/** Writes as the journal's pump does (again from the cursor after a failure) until stdin ends. */
async function compete(to: Store): Promise<void> {
  let ended = false;
  process.stdin.on('end', () => {
    ended = true;
  });
  process.stdin.resume();
  let [sequence, kept, failed] = [1, 0, 0];
  for (let n = 0; !ended; n++) {
    const size = n % 3 === 0 ? 1 + (n % 97) : 1;
    try {
      await to.consume(batch(sequence, size), sequence + size - 1);
      sequence += size;
      kept++;
    } catch {
      failed++;
      sequence = ((await to.cursor().catch(() => undefined)) ?? sequence - 1) + 1;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    process.stdout.write(`${JSON.stringify({ kept, failed, held: sequence - 1 })}\n`);
  }
  await to.close(5000);
  process.exit(0);
}
