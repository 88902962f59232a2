import { createRecorderClient } from '../../../src/record/client.ts';

/** A process that ends its recorder `delay` ms after its birth, wherever DuckDB is by then. */
const [directory = '', delay = '0'] = process.argv.slice(2);
const client = createRecorderClient({
  stateDir: directory,
  key: Buffer.alloc(32, 1),
  version: '0.1.0',
  patterns: new URL('../../../patterns/redaction.json', import.meta.url).pathname,
  telemetry: {
    endpoint: 'none',
    url: 'keys',
    sampleUnremarkable: 1,
    journalMaxBytes: 1 << 30,
    proxy: 'none',
    genai: 'auto',
    dialects: ['otel'],
  },
  store: { path: 'weir.duckdb', retentionDays: 30, flushMs: 20, maxBytes: 0, minFreeBytes: 0 },
  env: {},
  log: (level, event, fields) => console.error(level, event, fields),
});
await new Promise((resolve) => setTimeout(resolve, Number(delay)));
await client.shutdown(100);
console.log('ended');
