import { readFileSync } from 'node:fs';
import type { Agent } from 'node:http';
import type { Environment } from './endpoint.ts';

type Signal = 'traces' | 'logs' | 'metrics';

/**
 * The agent of an exporter whose backend is reached through a proxy (`telemetry.proxy`): `inherit` takes HTTP_PROXY, HTTPS_PROXY and
 * NO_PROXY of Weir's own environment, a URL is the proxy itself. Undefined = the exporter's own, which goes directly.
 * Certificates are those the exporter would read itself (`OTEL_EXPORTER_OTLP[_SIGNAL]_CERTIFICATE`, `_CLIENT_CERTIFICATE`, `_CLIENT_KEY`).
 */
export function exportAgent(
  proxy: string,
  signal: Signal,
  env: Environment,
): ((protocol: string) => Promise<Agent>) | undefined {
  if (proxy === 'none') return undefined;
  const proxyEnv = proxy === 'inherit' ? inherited(env) : { HTTP_PROXY: proxy, HTTPS_PROXY: proxy };
  return async (protocol) => {
    if (protocol === 'http:') {
      const http = await import('node:http');
      return new http.Agent({ keepAlive: true, proxyEnv });
    }
    const https = await import('node:https');
    const file = (name: string): { readonly [key: string]: Buffer } | undefined => {
      const path = env[`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${name}`] ?? env[`OTEL_EXPORTER_OTLP_${name}`];
      return path === undefined || path === '' ? undefined : { [FIELDS[name] as string]: readFileSync(path) };
    };
    return new https.Agent({
      keepAlive: true,
      proxyEnv,
      ...file('CERTIFICATE'),
      ...file('CLIENT_CERTIFICATE'),
      ...file('CLIENT_KEY'),
    });
  };
}

const FIELDS: Readonly<Record<string, string>> = { CERTIFICATE: 'ca', CLIENT_CERTIFICATE: 'cert', CLIENT_KEY: 'key' };

const NAMES = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'] as const;

function inherited(env: Environment): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of NAMES) {
    const value = env[name];
    if (value !== undefined && value !== '') found[name] = value;
  }
  return found;
}
