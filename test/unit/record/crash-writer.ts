// Child of crash.test.ts and shed.test.ts: writes to a journal as fast as it can and says what is safely in it, until it is killed.
import { writeSync } from 'node:fs';
import { openJournal } from '../../../src/record/journal.ts';
import { exchangeSample } from './samples.ts';

const journal = openJournal({
  directory: process.argv[2] as string,
  maxBytes: Number(process.argv[4] ?? 1 << 30),
  segmentBytes: 64 * 1024,
  boot: process.argv[3] as string,
  log: () => {},
});
let started = 0;
let batch = 0;
const open: ReturnType<typeof exchangeSample>[] = [];
function turn(): void {
  const records = [];
  for (let i = 0; i < 8; i++) {
    const exchange = exchangeSample();
    started++;
    if (i < 2) {
      open.push(exchange);
      records.push({ ...exchange, state: 'open' as const });
    } else records.push(exchange);
  }
  if (open.length > 20) records.push(...open.splice(0, 10).map((row) => ({ ...row, wasOpen: true as const })));
  journal.append(records, { started, open: open.length, dropped: {} }, ++batch);
  writeSync(1, `${journal.status().spans} ${started} ${open.length}\n`);
  setImmediate(turn);
}
turn();
