import { type Cidr, cidrContains, parseAddress, parseCidr } from '../model/cidr.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Finding } from '../model/finding.ts';
import { compileHostPattern, matchPattern } from '../model/glob.ts';
import type { Inspector } from '../model/ports.ts';
import { type AddressClass, classOf } from './address-class.ts';
import type { DestinationRule } from './destination-rules.ts';

export interface AddressOptions {
  /** `destinations.internal`: what may be reached although it is not public. Methods and paths do not apply to addresses. */
  readonly internal: readonly DestinationRule[];
}

const NONE: readonly Finding[] = [];

const WORDS: Readonly<Record<Exclude<AddressClass, 'public'>, string>> = {
  loopback: 'a loopback address',
  private: 'a private address',
  'link-local': 'a link-local address',
  shared: 'a carrier-grade NAT address',
  metadata: 'a cloud metadata service',
  multicast: 'a multicast address',
  reserved: 'a reserved address',
  unspecified: 'the unspecified address',
};

/**
 * The address guard (product.md §7.3, against SSRF and rebinding): every resolved address is judged, embedded IPv4 unwrapped,
 * and only then is exactly one of them dialled. The operator's own `upstream.resolve` is exempt. Throws Error at compile time
 * for a rule that means nothing.
 */
export function addressInspector(options: AddressOptions): Inspector {
  const excused = compileInternal(options.internal);
  return {
    id: 'address',
    phase: 'address',
    inspect(exchange, { resolved }) {
      if (resolved === undefined || resolved.byOperator) return NONE;
      let worst: { readonly address: string; readonly kind: Exclude<AddressClass, 'public'> } | undefined;
      let open = false;
      for (const address of resolved.addresses) {
        const kind = classOf(address);
        if (kind === 'public') open = true;
        else if (!excused(exchange, address, kind) && (worst === undefined || kind === 'metadata')) {
          worst = { address, kind };
        }
      }
      if (worst === undefined) return NONE;
      return [open ? rebinding(exchange, worst.address) : internalTarget(exchange, worst.address, worst.kind)];
    },
  };
}

type Excused = (exchange: Exchange, address: string, kind: AddressClass) => boolean;

function compileInternal(rules: readonly DestinationRule[]): Excused {
  const compiled = rules.map((rule) => ({ ports: rule.ports, excuses: compileRule(rule.host) }));
  return (exchange, address, kind) => {
    const { host, port } = exchange.destination;
    return compiled.some(
      ({ ports, excuses }) => (ports.length === 0 || ports.includes(port)) && excuses(host, address, kind),
    );
  };
}

/** A range never opens a metadata service; only its own address, or the very name the operator listed, does. */
function compileRule(text: string): (host: string, address: string, kind: AddressClass) => boolean {
  if (text.startsWith('@')) throw new Error(`"${text}": internal destinations are names, addresses and ranges`);
  if (text.includes('/')) {
    const range = parseCidr(text);
    if (range === undefined) throw new Error(`"${text}" is not a CIDR like 10.0.0.0/8`);
    return (_host, address, kind) => kind !== 'metadata' && contains(range, address);
  }
  const exact = parseAddress(text);
  if (exact !== undefined) return (_host, address) => contains(exact, address);
  const pattern = compileHostPattern(text);
  return (host, _address, kind) => matchPattern(pattern, host) && (kind !== 'metadata' || pattern.form === 'exact');
}

function contains(range: Cidr, text: string): boolean {
  const address = parseAddress(text);
  return address !== undefined && cidrContains(range, address);
}

function internalTarget(exchange: Exchange, address: string, kind: Exclude<AddressClass, 'public'>): Finding {
  const { host } = exchange.destination;
  const where = host === address ? address : `${host} (${address})`;
  return {
    inspector: 'address',
    rule: kind === 'metadata' ? 'metadata-address' : 'internal-address',
    severity: kind === 'metadata' ? 'high' : 'medium',
    disposition: 'block',
    message: `${where} is ${WORDS[kind]}`,
    blockReason: 'address',
  };
}

function rebinding(exchange: Exchange, address: string): Finding {
  return {
    inspector: 'address',
    rule: 'dns-rebinding',
    severity: 'high',
    disposition: 'block',
    message: `${exchange.destination.host} resolves to public addresses and to ${address}, which is not`,
    blockReason: 'address',
  };
}
