import { type Cidr, cidrContains, parseAddress, parseCidr } from '../model/cidr.ts';

export type AddressClass =
  | 'public'
  | 'loopback'
  | 'private'
  | 'link-local'
  | 'shared'
  | 'metadata'
  | 'multicast'
  | 'reserved'
  | 'unspecified';

/** First match wins. IANA special-purpose registries (RFC 6890) and the metadata addresses cloud providers document. */
const RANGES: readonly (readonly [AddressClass, string])[] = [
  // AWS, Azure, GCP, OpenStack; ECS and EKS credentials; Alibaba; Oracle; Azure platform channel; AWS and GCP over IPv6.
  ['metadata', '169.254.169.254'],
  ['metadata', '169.254.170.2'],
  ['metadata', '169.254.170.23'],
  ['metadata', '100.100.100.200'],
  ['metadata', '192.0.0.192'],
  ['metadata', '168.63.129.16'],
  ['metadata', 'fd00:ec2::254'],
  ['metadata', 'fd00:ec2::23'],
  ['metadata', 'fd20:ce::254'],
  ['unspecified', '0.0.0.0/8'],
  ['unspecified', '::/128'],
  ['loopback', '127.0.0.0/8'],
  ['loopback', '::1/128'],
  ['private', '10.0.0.0/8'],
  ['private', '172.16.0.0/12'],
  ['private', '192.168.0.0/16'],
  ['private', 'fc00::/7'],
  ['private', 'fec0::/10'],
  ['link-local', '169.254.0.0/16'],
  ['link-local', 'fe80::/10'],
  ['shared', '100.64.0.0/10'],
  ['multicast', '224.0.0.0/4'],
  ['multicast', 'ff00::/8'],
  ['reserved', '240.0.0.0/4'],
  ['reserved', '192.0.0.0/24'],
  ['reserved', '192.0.2.0/24'],
  ['reserved', '198.18.0.0/15'],
  ['reserved', '198.51.100.0/24'],
  ['reserved', '203.0.113.0/24'],
  ['reserved', '2001:db8::/32'],
  ['reserved', '3fff::/20'],
  ['reserved', '100::/64'],
];

interface Compiled {
  readonly kind: AddressClass;
  readonly range: Cidr;
}
const COMPILED: readonly Compiled[] = RANGES.map(([kind, text]) => ({ kind, range: parseCidr(text) as Cidr }));

/** The class of an address; an IPv6 address that carries an IPv4 one is what that one is. `reserved` for what is no address. */
export function classOf(text: string): AddressClass {
  const address = parseAddress(text);
  if (address === undefined) return 'reserved';
  const own = lookup(address);
  if (own !== 'public') return own;
  const inner = embedded(address);
  return inner === undefined ? own : lookup({ four: true, words: [0, 0, 0, inner], bits: 32 });
}

function lookup(address: Cidr): AddressClass {
  for (const { kind, range } of COMPILED) if (cidrContains(range, address)) return kind;
  return 'public';
}

/**
 * IPv4 inside IPv6: NAT64 (RFC 6052, 8215), 6to4 (RFC 3056), Teredo (RFC 4380, inverted), IPv4-compatible (RFC 4291
 * §2.5.5.1), ISATAP (RFC 5214). IPv4-mapped is unwrapped where addresses are read.
 */
function embedded({ four, words }: Cidr): number | undefined {
  if (four) return undefined;
  const [a, b, c, d] = words;
  if (a === 0x0064ff9b && (b === 0 || b >>> 16 === 1)) return d;
  if (a >>> 16 === 0x2002) return ((a << 16) | (b >>> 16)) >>> 0;
  if (a === 0x20010000) return ~d >>> 0;
  if (a === 0 && b === 0 && c === 0) return d;
  if (c === 0x00005efe || c === 0x02005efe) return d;
  return undefined;
}
