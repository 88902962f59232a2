/** An address range. IPv4 is kept as the low 32 bits with `four` set, so an IPv4-mapped IPv6 address meets IPv4 ranges. */
export interface Cidr {
  readonly four: boolean;
  /** Four 32-bit words, most significant first; IPv4 uses the last one. */
  readonly words: readonly [number, number, number, number];
  /** Prefix length in bits of its own family. */
  readonly bits: number;
}

/** What `local-networks` means in `allow_from`: loopback, private, unique-local and link-local (RFC 1918, 4193, 3927, 4291). */
export const LOCAL_NETWORKS: readonly string[] = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '169.254.0.0/16',
  '::1/128',
  'fc00::/7',
  'fe80::/10',
];

/** Reads a canonical IP address (zone id ignored, IPv4-mapped IPv6 unwrapped), or undefined. */
export function parseAddress(text: string): Cidr | undefined {
  if (!text.includes(':')) {
    const word = ipv4Word(text);
    return word === undefined ? undefined : { four: true, words: [0, 0, 0, word], bits: 32 };
  }
  const zone = text.indexOf('%');
  const words = ipv6Words(zone < 0 ? text : text.slice(0, zone));
  if (words === undefined) return undefined;
  if (words[0] === 0 && words[1] === 0 && words[2] === 0xffff) {
    return { four: true, words: [0, 0, 0, words[3]], bits: 32 };
  }
  return { four: false, words, bits: 128 };
}

/** Reads `10.0.0.0/8`, `fd00::/8` or a bare address (that one address); undefined when it is neither. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return parseAddress(text);
  const base = parseAddress(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (base === undefined || !/^\d{1,3}$/.test(length)) return undefined;
  const mapped = base.four && text.slice(0, slash).includes(':');
  const bits = Number(length) - (mapped ? 96 : 0);
  return bits < 0 || bits > base.bits ? undefined : { four: base.four, words: base.words, bits };
}

/** True when the address lies in the range. */
export function cidrContains(range: Cidr, address: Cidr): boolean {
  if (range.four !== address.four) return false;
  let left = range.bits;
  for (let i = range.four ? 3 : 0; i < 4 && left > 0; i++) {
    const mask = left >= 32 ? -1 : ~(-1 >>> left);
    if ((((range.words[i] as number) ^ (address.words[i] as number)) & mask) !== 0) return false;
    left -= 32;
  }
  return true;
}

/**
 * Compiles ranges to a test on address text. Throws Error naming the entry that is no CIDR. `local-networks` stands for
 * {@link LOCAL_NETWORKS}.
 */
export function compileCidrs(entries: readonly string[]): (address: string) => boolean {
  const ranges: Cidr[] = [];
  for (const entry of entries) {
    for (const text of entry === 'local-networks' ? LOCAL_NETWORKS : [entry]) {
      const range = parseCidr(text);
      if (range === undefined) throw new Error(`"${text}" is not a CIDR like 10.0.0.0/8 or fd00::/8`);
      ranges.push(range);
    }
  }
  if (ranges.length === 0) return () => false;
  return (text) => {
    const address = parseAddress(text);
    if (address === undefined) return false;
    for (const range of ranges) if (cidrContains(range, address)) return true;
    return false;
  };
}

function ipv4Word(text: string): number | undefined {
  let word = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x2e) {
      if (octet < 0 || ++dots > 3) return undefined;
      word = (word << 8) | octet;
      octet = -1;
    } else if (c >= 0x30 && c <= 0x39) {
      // A leading zero means octal to some readers: only the form with one reading is accepted.
      if (octet === 0) return undefined;
      octet = (octet < 0 ? 0 : octet * 10) + c - 0x30;
      if (octet > 255) return undefined;
    } else return undefined;
  }
  return dots === 3 && octet >= 0 ? ((word << 8) | octet) >>> 0 : undefined;
}

function ipv6Words(text: string): [number, number, number, number] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = groups(halves[0] as string, halves.length === 1);
  const tail = halves.length === 2 ? groups(halves[1] as string, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const word = (i: number) => (((all[i] as number) << 16) | (all[i + 1] as number)) >>> 0;
  return [word(0), word(2), word(4), word(6)];
}

function groups(text: string, last: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const out: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (part.includes('.')) {
      const word = last && i === parts.length - 1 ? ipv4Word(part) : undefined;
      if (word === undefined) return undefined;
      out.push(word >>> 16, word & 0xffff);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      out.push(Number.parseInt(part, 16));
    }
  }
  return out;
}
