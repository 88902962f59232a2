import { isIP } from 'node:net';
import type { TlsFacts } from '../model/connection.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Authority } from './authority.ts';
import type { Exceptions } from './exceptions.ts';
import { createTerminator, incompatible, rejectsCertificate, type Terminator } from './tls.ts';
import { createTrustedClients } from './trusted.ts';

/** Values and judgements interception is given; none of them names a mode. */
export interface InterceptionOptions {
  /** TLS of this host is to be read. */
  readonly wants: (connect: Exchange) => boolean;
  readonly authority: Authority;
  readonly exceptions: Exceptions;
  /** The upstream's certificate or handshake failed: tunnel and let the client judge, or refuse. */
  readonly onUnverifiable: (connect: Exchange) => 'splice' | 'block';
  /** Whether what cannot be read may pass unread (monitor), or is refused (enforce). */
  readonly exceptionsApply: (connect: Exchange) => boolean;
}

/** What to do with a TLS connection whose names were accepted. */
export type Decision =
  | { readonly do: 'tunnel' }
  | { readonly do: 'intercept' }
  /** Interception is configured and cannot be done; `pass` says whether it may go by unread. */
  | { readonly do: 'skip'; readonly reason: string; readonly pass: boolean };

export interface Interception {
  readonly terminator: Terminator;
  decide(connect: Exchange, facts: TlsFacts): Decision;
  onUnverifiable(connect: Exchange): 'splice' | 'block';
  /** A refusal of this CONNECT can be given inside TLS: the host is read anyway, or this kind of client trusts us. */
  answersInside(connect: Exchange): boolean;
  /** The agent's handshake with us failed; true when this client kind is now left alone. */
  failed(connect: Exchange, facts: TlsFacts, code: string): boolean;
  /** First application byte over our certificate. */
  accepted(connect: Exchange, facts: TlsFacts): void;
  /** The upstream asks for a client certificate we do not have. */
  wantsClientCertificate(connect: Exchange): void;
}

export function createInterception(options: InterceptionOptions, handshakeMs: number): Interception {
  const { authority, exceptions } = options;
  const trusted = createTrustedClients();
  return {
    terminator: createTerminator(authority, { handshakeMs }),
    onUnverifiable: options.onUnverifiable,
    decide(connect, facts) {
      const { agent } = connect.identity;
      const { host } = connect.destination;
      if (!options.wants(connect)) return { do: 'tunnel' };
      const pass = options.exceptionsApply(connect);
      const unreadable = cannotRead(facts);
      if (unreadable !== undefined) return { do: 'skip', reason: unreadable, pass };
      const exception = exceptions.find(agent, facts.ja4, host);
      // Where exceptions do not count the handshake is tried again: a client that was given our CA meanwhile gets through.
      if (exception === undefined || !pass) return { do: 'intercept' };
      const reason = exception.kind === 'host' ? 'client-certificate-required' : 'client-rejected-ca';
      return { do: 'skip', reason, pass };
    },
    answersInside(connect) {
      return options.wants(connect) || trusted.knows(connect, authority.generation);
    },
    failed(connect, facts, code) {
      const { agent } = connect.identity;
      if (rejectsCertificate(code)) {
        exceptions.addClient(agent, facts.ja4, code);
        return true;
      }
      if (incompatible(code)) {
        exceptions.addClient(agent, facts.ja4, 'client-incompatible');
        return true;
      }
      return exceptions.strike(agent, facts.ja4);
    },
    accepted(connect, facts) {
      exceptions.accepted(connect.identity.agent, facts.ja4);
      trusted.remember(connect, authority.generation);
    },
    wantsClientCertificate(connect) {
      exceptions.addHost(connect.identity.agent, connect.destination.host, 'client-certificate-required');
    },
  };
}

/** Why this client cannot be spoken to, or undefined. */
function cannotRead(facts: TlsFacts): string | undefined {
  if (facts.version !== '1.3' && facts.version !== '1.2') return 'client-tls-version';
  if (facts.alpn.length > 0 && readableAlpn(facts).length === 0) return 'alpn-not-http';
  return undefined;
}

/** The client's offer as far as Weir can relay it, in the client's order. */
export function readableAlpn(facts: TlsFacts): string[] {
  return facts.alpn.filter((name) => name === 'h2' || name === 'http/1.1');
}

/** The name the client will look for in our certificate: its SNI when that is a name, else what it asked CONNECT for. */
export function leafName(facts: TlsFacts, host: string): string {
  const sni = facts.sni?.toLowerCase() ?? '';
  const name = sni.endsWith('.') ? sni.slice(0, -1) : sni;
  if (name.length === 0 || name.length > 253 || isIP(name) !== 0) return host;
  for (const label of name.split('.')) if (!isLabel(label)) return host;
  return name;
}

/** Letters, digits, hyphen and the underscore seen in practice, 1–63 of them: never `*`, never a byte DER text could hide. */
function isLabel(label: string): boolean {
  return label.length <= 63 && /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/.test(label);
}
