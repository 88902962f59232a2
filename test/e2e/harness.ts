import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assemble } from '../support/assemble.ts';
import { type Authority, createAuthority } from '../support/certs.ts';
import { type Http2Origin, http2Origin } from '../support/http2.ts';
import { HOSTS, type LaneParts, resolveMap } from '../support/lanes.ts';
import { rawOrigin } from '../support/origins.ts';
import type { Http2Lane } from '../support/play-http2.ts';
import { startWeir, type Weir } from '../support/weir.ts';

export interface House {
  readonly parts: LaneParts;
  readonly weir: Weir;
  close(): Promise<void>;
}

interface Upstream {
  readonly authority: Authority;
  readonly caFile: string;
  close(): Promise<void>;
}

/** An authority and its certificate on disk, for `upstream.ca_file`. */
export async function openUpstream(): Promise<Upstream> {
  const authority = createAuthority();
  const directory = await mkdtemp(join(tmpdir(), 'weir-house-'));
  const caFile = join(directory, 'upstream-ca.pem');
  await writeFile(caFile, authority.cert);
  return { authority, caFile, close: () => rm(directory, { recursive: true, force: true }) };
}

/** Two raw origins (plain, TLS), an authority and one Weir in monitor that intercepts only `read.test`. */
export function openHouse(config: Record<string, unknown> = {}): Promise<House> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const plain = await rawOrigin();
    later(plain.close);
    const tls = await rawOrigin({ tls: upstream.authority.issue([HOSTS.tunnel, HOSTS.intercepted]) });
    later(tls.close);
    const weir = await startWeir({
      config: {
        intercept: { only: [HOSTS.intercepted] },
        upstream: { resolve: resolveMap(plain, tls), ca_file: upstream.caFile },
        ...config,
      },
    });
    later(weir.stop);
    return {
      parts: { plain, tls, authority: upstream.authority, proxy: { port: weir.port, ca: await weir.ca() } },
      weir,
    };
  });
}

export interface Http2House {
  readonly weir: Weir;
  readonly origin: Http2Origin;
  /** The pair of lanes to compare. */
  lanes(name: 'connect' | 'tunnel' | 'intercepted'): { readonly direct: Http2Lane; readonly proxied: Http2Lane };
  close(): Promise<void>;
}

/** One HTTP/2 origin and one Weir in monitor that intercepts only `read.test`. */
export function openHttp2House(config: Record<string, unknown> = {}): Promise<Http2House> {
  return assemble(async (later) => {
    const upstream = await openUpstream();
    later(upstream.close);
    const origin = await http2Origin(upstream.authority.issue([HOSTS.tunnel, HOSTS.intercepted]));
    later(origin.close);
    const clear = await http2Origin();
    later(clear.close);
    const address = `127.0.0.1:${origin.port}`;
    const weir = await startWeir({
      config: {
        intercept: { only: [HOSTS.intercepted] },
        upstream: {
          resolve: { [HOSTS.plain]: `127.0.0.1:${clear.port}`, [HOSTS.tunnel]: address, [HOSTS.intercepted]: address },
          ca_file: upstream.caFile,
        },
        ...config,
      },
    });
    later(weir.stop);
    const ca = await weir.ca();
    const lanes: Http2House['lanes'] = (name) => {
      if (name === 'connect') {
        const direct = { host: HOSTS.plain, origin: clear };
        return { direct, proxied: { ...direct, proxyPort: weir.port } };
      }
      const trusted = name === 'intercepted' ? ca : upstream.authority.cert;
      return {
        direct: { host: HOSTS[name], origin, ca: upstream.authority.cert },
        proxied: { host: HOSTS[name], origin, ca: trusted, proxyPort: weir.port },
      };
    };
    return { weir, origin, lanes };
  });
}
