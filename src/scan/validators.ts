import { MONEY } from './money.ts';
import { NATIONAL } from './national.ts';
import type { Check } from './pattern.ts';
import { PEOPLE } from './people.ts';
import { WALLETS } from './wallets.ts';

const CRC = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** IEEE 802.3, as in zlib. */
function crc32(text: string): number {
  let value = 0xffffffff;
  for (let i = 0; i < text.length; i++) value = (value >>> 8) ^ (CRC[(value ^ text.charCodeAt(i)) & 0xff] as number);
  return ~value >>> 0;
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/**
 * Tokens whose last six characters are the CRC32 of the ones before, in base 62 with zeros in front.
 * https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
 */
function githubCrc(value: string): boolean {
  const body = value.slice(value.lastIndexOf('_') + 1);
  if (!/^[A-Za-z0-9]{30,}$/.test(body)) return false;
  let rest = crc32(body.slice(0, -6));
  let text = '';
  for (let i = 0; i < 6; i++) {
    text = BASE62[rest % 62] + text;
    rest = Math.floor(rest / 62);
  }
  return text === body.slice(-6);
}

function isObject(part: string, key?: string): boolean {
  if (part.length > 20_000) return false;
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'));
    return (
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      (key === undefined || Object.hasOwn(value, key))
    );
  } catch {
    return false;
  }
}

/** RFC 7519 §7.2: a JOSE header with `alg`, and claims that are an object; of an encrypted one (five parts) only the header is readable. */
function jwt(value: string): boolean {
  const parts = value.split('.');
  if (!isObject(parts[0] ?? '', 'alg')) return false;
  return parts.length === 5 || isObject(parts[1] ?? '');
}

/** AWS: unique ids are a prefix and base 32 (RFC 4648), the account number among it. */
function awsKeyId(value: string): boolean {
  return /^(?:A3T[A-Z0-9]|[A-Z]{4})[A-Z2-7]{12,16}$/.test(value);
}

/** Every check a pattern may name. */
export const VALIDATORS: ReadonlyMap<string, Check> = new Map<string, Check>([
  ...MONEY,
  ...PEOPLE,
  ...NATIONAL,
  ...WALLETS,
  ['github-crc', githubCrc],
  ['jwt', jwt],
  ['aws-key-id', awsKeyId],
]);
