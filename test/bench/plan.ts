/** Where a generator's connections go and what they say. */
export interface Road {
  /** TCP port of 127.0.0.1 to connect to. */
  readonly port: number;
  /** CONNECT authority sent first. */
  readonly connect?: string;
  /** TLS towards this name afterwards. */
  readonly tls?: { readonly servername: string; readonly caFile: string; readonly alpn: string };
  /** Target prefix of requests: '' or `http://host`. */
  readonly prefix: string;
  /** Value of Host. */
  readonly host: string;
}

export type Task =
  | { readonly kind: 'load'; readonly protocol: 'h1' | 'h2'; readonly connections: number; readonly seconds: number }
  | { readonly kind: 'rate'; readonly perSecond: number; readonly seconds: number }
  | { readonly kind: 'bulk'; readonly streams: number; readonly bytes: number }
  | { readonly kind: 'fresh'; readonly count: number }
  | { readonly kind: 'hold'; readonly count: number };

export interface LoadResult {
  /** Within `seconds`. */
  readonly requests: number;
  readonly seconds: number;
  readonly errors: number;
  /** With warm-up and what was still under way. */
  readonly total: number;
}
export interface Latencies {
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly count: number;
}
export interface BulkResult {
  readonly megabytesPerSecond: number;
}

/** Ports of `origin.ts`. */
export interface OriginPorts {
  readonly plain: number;
  readonly tls: number;
  readonly h2: number;
  readonly otlp: number;
}

/** What `relay.ts` should be. */
export interface RelayTask {
  /** splice: TCP to TCP. pipe: TLS to TLS. http1, http1-tls, http2: our own relay with nothing on. */
  readonly kind: 'splice' | 'pipe' | 'http1' | 'http1-tls' | 'http2';
  readonly upstreamPort: number;
  readonly host: string;
  readonly keyFile: string;
  readonly certFile: string;
  readonly caFile: string;
}

export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
