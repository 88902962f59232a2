import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { openUpstream } from '../e2e/harness.ts';
import { type Answer, type Ask, connectTo, https, plain } from './agent.ts';
import { assemble } from './assemble.ts';
import { type EchoOrigin, echoOrigin } from './echo-origin.ts';
import { startWeir, type Weir } from './weir.ts';

/** One agent per mode; its name says the mode. */
export const MODES = ['monitor', 'enforce'] as const;
export const agentOf = (mode: (typeof MODES)[number]): string => `${mode}-agent`;

export interface PolicyWorld {
  readonly weir: Weir;
  readonly origin: EchoOrigin;
  readonly tls: EchoOrigin;
  /** Weir's CA, and the authority of the upstream. */
  readonly ca: string;
  readonly upstreamCa: string;
  /** The policy file; `write` replaces it at once. */
  readonly file: string;
  write(policies: unknown): Promise<void>;
  /** `http://…` plain, `https://…read.example` read, any other `https://` as a CONNECT that stays closed. */
  ask(url: string, ask: Ask): Promise<Answer>;
  close(): Promise<void>;
}

export interface PolicyWorldOptions {
  /** Content of the policy file; absent = none is configured. */
  readonly policies?: unknown;
  readonly config?: Record<string, unknown>;
  readonly env?: Readonly<Record<string, string>>;
  /** Of `policies:`. */
  readonly settings?: Record<string, unknown>;
  readonly stateDir?: string;
  /** false: Weir cannot verify the TLS origin. */
  readonly trustUpstream?: false;
}

/** `*.test` is plain, `*.tunnel.example` TLS that stays a tunnel, `*.read.example` TLS that is intercepted. */
export function openPolicyWorld(options: PolicyWorldOptions): Promise<PolicyWorld> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const leaf = upstream.authority.issue(['*.tunnel.example', '*.read.example']);
    const [origin, tls] = await Promise.all([echoOrigin(), echoOrigin({ tls: leaf })]);
    later(origin.close);
    later(tls.close);
    const directory = await mkdtemp(join(tmpdir(), 'weir-policies-'));
    later(() => rm(directory, { recursive: true, force: true }));
    const file = join(directory, 'policies.yaml');
    const write = (policies: unknown): Promise<void> => writeFile(file, stringify(policies), { mode: 0o600 });
    if (options.policies !== undefined) await write(options.policies);
    const weir = await startWeir({
      config: {
        intercept: { only: ['*.read.example'] },
        upstream: {
          resolve: { '*.test': `127.0.0.1:${origin.port}`, '*.example': `127.0.0.1:${tls.port}` },
          ...(options.trustUpstream === undefined ? { ca_file: upstream.caFile } : {}),
        },
        agents: Object.fromEntries(MODES.map((mode) => [agentOf(mode), { mode }])),
        policies: { ...(options.policies === undefined ? {} : { files: [file] }), ...options.settings },
        ...options.config,
      },
      ...(options.stateDir === undefined ? {} : { stateDir: options.stateDir }),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    later(weir.stop);
    const ca = await weir.ca();
    const ask = async (url: string, how: Ask): Promise<Answer> => {
      const { protocol, hostname } = new URL(url);
      if (protocol === 'http:') return plain(weir, url, how);
      if (hostname.endsWith('.read.example')) return https(weir, url, { ...how, ca });
      const { socket, answer } = await connectTo(weir, `${hostname}:443`, how);
      socket.destroy();
      return answer;
    };
    return { weir, origin, tls, ca, upstreamCa: upstream.authority.cert, file, write, ask };
  });
}
