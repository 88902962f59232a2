import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assemble } from './assemble.ts';
import { type Authority, createAuthority } from './certs.ts';
import { type Http2Origin, http2Origin } from './http2.ts';
import { type OtlpReceiver, type ReceivedLog, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts';
import { blackHole, closedPort, type ObedientOrigin, obedientOrigin } from './watched.ts';
import { eventually, startWeir, type Weir, type WeirOptions } from './weir.ts';

export interface Recorded {
  readonly weir: Weir;
  readonly otlp: OtlpReceiver;
  readonly origin: ObedientOrigin;
  readonly h2: Http2Origin;
  readonly authority: Authority;
  readonly ca: string;
  /** Spans of one agent. */
  spansOf(agent: string): ReceivedSpan[];
  logsOf(agent: string): ReceivedLog[];
  close(): Promise<void>;
}

/** A collector that intercepts `read.test` and `h2.test` and exports to a fake receiver, an obedient origin, an HTTP/2 origin, a dead and a silent port. */
export function openRecorded(
  config: Record<string, unknown> = {},
  options: Pick<WeirOptions, 'args' | 'env' | 'stateDir'> & { readonly telemetry?: Record<string, unknown> } = {},
): Promise<Recorded> {
  return assemble(async (later) => {
    const authority = createAuthority();
    const directory = await mkdtemp(join(tmpdir(), 'weir-recorded-'));
    later(() => rm(directory, { recursive: true, force: true }));
    const caFile = join(directory, 'upstream-ca.pem');
    await writeFile(caFile, authority.cert);
    const origin = await obedientOrigin(authority.issue(['tunnel.test', 'read.test', '*.tunnel.test', '*.read.test']));
    later(origin.close);
    const h2 = await http2Origin(authority.issue(['h2.test']));
    later(h2.close);
    const hole = await blackHole();
    later(hole.close);
    const otlp = await startOtlpReceiver();
    later(otlp.close);
    const ports = {
      'plain.test': origin.plainPort,
      'tunnel.test': origin.tlsPort,
      'read.test': origin.tlsPort,
      'h2.test': h2.port,
      'refused.test': await closedPort(),
      'silent.test': hole.port,
    };
    const resolve = Object.fromEntries(
      Object.entries(ports).flatMap(([name, port]) => [
        [name, `127.0.0.1:${port}`],
        [`*.${name}`, `127.0.0.1:${port}`],
      ]),
    );
    const { telemetry, env, ...rest } = options;
    const weir = await startWeir({
      ...rest,
      env: { OTEL_METRIC_EXPORT_INTERVAL: '500', ...env },
      config: {
        intercept: { only: ['read.test', '*.read.test', 'h2.test'] },
        upstream: { resolve, ca_file: caFile },
        telemetry: { endpoint: otlp.url, ...telemetry },
        health: { listen: '127.0.0.1:0' },
        ...config,
      },
    });
    later(weir.stop);
    return {
      weir,
      otlp,
      origin,
      h2,
      authority,
      ca: await weir.ca(),
      spansOf: (agent) => otlp.spans.filter((span) => span.attributes['weir.agent'] === agent),
      logsOf: (agent) => otlp.logs.filter((log) => log.attributes['weir.agent'] === agent),
    };
  });
}

/** Waits until nothing is open and every span that was begun has left the journal for the receiver and the store. */
export async function settled(weir: Weir, ms = 8000): Promise<void> {
  await eventually(
    async () => {
      const status = await weir.status();
      return status.open === 0 && status.consumers.every((consumer) => consumer.journalled === 0);
    },
    'everything begun is recorded and exported',
    ms,
  );
}

/** Expected attributes: `undefined` = must be absent, a RegExp = must match the string. */
export type Expected = Readonly<Record<string, unknown>>;

/** Compares only what is named. */
export function assertHas(actual: Readonly<Record<string, unknown>>, expected: Expected, what: string): void {
  for (const [name, value] of Object.entries(expected)) {
    if (value instanceof RegExp) assert.match(String(actual[name]), value, `${what}: ${name}`);
    else assert.deepEqual(actual[name], value, `${what}: ${name}`);
  }
}
