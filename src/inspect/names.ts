import type { TlsFacts } from '../model/connection.ts';
import { hostPort } from '../model/destination.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Disposition, Finding, Severity } from '../model/finding.ts';
import { kindOf, normaliseHost, parseAuthority } from '../model/host.ts';
import type { Inspector } from '../model/ports.ts';

export interface NamesOptions {
  /** What an Encrypted Client Hello towards an explicitly allowed authority is (`tunnel.on_ech`). */
  readonly onEch: 'allow' | 'flag' | 'block';
  /** The authority stands on a list of allowed destinations. */
  readonly authorityAllowed: (exchange: Exchange) => boolean;
  /** A list or the baseline names this host and port, so an opaque protocol there is expected. */
  readonly expected: (exchange: Exchange, protocol: string) => boolean;
}

const NONE: readonly Finding[] = [];

/**
 * What a name proves (product.md §4): rules match the authority; every other name on the wire may only agree with it. Two
 * inspectors, because Host is known with the request and SNI, ECH and the tunnel's protocol only after the 200.
 */
export function namesInspectors(options: NamesOptions): readonly Inspector[] {
  return [
    { id: 'names', phase: 'request', inspect: (exchange) => requestNames(options, exchange) },
    {
      id: 'names',
      phase: 'tls',
      inspect: (exchange, { tls, protocol = '' }) => {
        if (tls !== undefined) return tlsNames(options, exchange, tls);
        return exchange.kind === 'exchange'
          ? switched(options, exchange, protocol)
          : opaque(options, exchange, protocol);
      },
    },
  ];
}

function requestNames(options: NamesOptions, exchange: Exchange): readonly Finding[] {
  const names = disagreements(exchange);
  const becomes = becomesOf(exchange);
  return becomes === undefined ? names : [...names, ...switched(options, exchange, becomes)];
}

/**
 * A CONNECT that is a request (to a proxy behind the tunnel, or a stream of HTTP/2 with its `:protocol`) opens what is as opaque
 * as any upgrade. `Upgrade` is an offer most servers ignore (RFC 9110 §7.8; `curl --http2` makes it every time): what it asks for
 * counts once the 101 is there, also when lists are read again then.
 */
function becomesOf({ kind, request, status }: Exchange): string | undefined {
  if (kind !== 'exchange') return undefined;
  const { method, upgrade, protocol } = request;
  if (method === 'CONNECT') return (protocol === '2' ? upgrade : undefined) ?? 'connect';
  return status === 101 ? upgrade : undefined;
}

function disagreements(exchange: Exchange): readonly Finding[] {
  const { host } = exchange.destination;
  const outer = exchange.connection.authority;
  if (outer !== undefined && outer.host !== host) {
    return [mismatch(`the request inside the tunnel is for ${host}, the tunnel was opened to ${outer.host}`)];
  }
  const field = exchange.request.hostField;
  if (field === undefined || agrees(field, host)) return NONE;
  return [mismatch(`the Host field names ${field}, the request goes to ${host}`)];
}

/** Equal as written, with or without a port, or equal once normalised. The port of Host proves nothing and is not compared. */
function agrees(field: string, host: string): boolean {
  if (field === host) return true;
  if (field.startsWith(host) && field.charCodeAt(host.length) === 0x3a /* : */) {
    return !('error' in parseAuthority(field, 1));
  }
  const normal = parseAuthority(field, 1);
  return !('error' in normal) && normal.host === host;
}

function tlsNames(options: NamesOptions, exchange: Exchange, tls: TlsFacts): readonly Finding[] {
  const { host } = exchange.destination;
  const literal = kindOf(host) !== 'name';
  if (tls.ech) return ech(options, exchange);
  if (tls.sni === undefined || tls.sni === '') {
    // RFC 6066 §3: an address is never sent as SNI, so its absence is normal there.
    if (literal || options.expected(exchange, 'tls')) return NONE;
    return [mismatch(`the TLS handshake to ${host} names no server (no SNI)`, 'medium')];
  }
  if (tls.sni === host) return NONE;
  const sni = normaliseHost(tls.sni);
  if (!('error' in sni) && sni.host === host) return NONE;
  const message = literal
    ? `the TLS handshake names ${tls.sni}, the tunnel was opened to the address ${host}`
    : `the TLS handshake names ${tls.sni}, the tunnel was opened to ${host}`;
  return [mismatch(message)];
}

/** GREASE looks the same as the real thing, so its presence alone is no proof of anything on an allowed authority. */
function ech({ onEch, authorityAllowed }: NamesOptions, exchange: Exchange): readonly Finding[] {
  const allowed = authorityAllowed(exchange);
  if (allowed && onEch === 'allow') return NONE;
  const message = `the TLS handshake to ${exchange.destination.host} hides its server name (Encrypted Client Hello)`;
  return [allowed && onEch === 'flag' ? mismatch(message, 'low', 'flag') : mismatch(message)];
}

/** What follows a switch to anything but WebSocket is bytes nobody reads (threat E11: `h2c` among them). */
function switched(options: NamesOptions, exchange: Exchange, to: string): readonly Finding[] {
  const { host, port } = exchange.destination;
  if (to.split(',').every((token) => token.trim() === 'websocket')) return NONE;
  if (options.expected(exchange, to)) return NONE;
  return [unreadable(`the request to ${hostPort(host, port)} switches to ${to}, which Weir cannot read`)];
}

function opaque(options: NamesOptions, exchange: Exchange, protocol: string): readonly Finding[] {
  const { host, port } = exchange.destination;
  if (isQuiet(protocol, port) || options.expected(exchange, protocol)) return NONE;
  return [unreadable(opaqueMessage(host, port, protocol))];
}

function unreadable(message: string): Finding {
  return {
    inspector: 'names',
    rule: 'opaque-protocol',
    severity: 'medium',
    disposition: 'block',
    message,
    blockReason: 'opaque-protocol',
  };
}

/** Nothing was said, or it becomes exchanges that are judged themselves; on 443 even those should have been TLS. */
function isQuiet(protocol: string, port: number): boolean {
  if (protocol === '' || protocol === 'silence') return true;
  return port !== 443 && (protocol === 'websocket' || protocol === 'h2' || protocol.startsWith('http'));
}

function opaqueMessage(host: string, port: number, protocol: string): string {
  if (protocol === 'tls') return `the TLS handshake to ${hostPort(host, port)} cannot be read`;
  if (port === 443) return `the tunnel to ${hostPort(host, port)} carries ${protocol}, not TLS`;
  return `the tunnel to ${hostPort(host, port)} carries ${protocol}, which Weir cannot read`;
}

function mismatch(message: string, severity: Severity = 'high', disposition: Disposition = 'block'): Finding {
  return { inspector: 'names', rule: 'name-mismatch', severity, disposition, message, blockReason: 'name-mismatch' };
}
