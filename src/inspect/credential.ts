/** Keyed hash (key per state directory) of a text, short and hexadecimal. */
export type Hmac = (text: string) => string;

/** Fingerprint of the static credential a request carries, or undefined when it has none or one that cannot be judged. */
export type FingerprintOf = (fields: readonly string[], target: string) => string | undefined;

/** Distinct credentials remembered; the oldest goes first. */
const CACHE = 1024;
/** Longer values are no keys. */
const MAX_VALUE = 16_384;

/** Prefixes of credentials that change by themselves (hours, sessions): recognised and not judged (product.md §6). */
const ROTATING: readonly string[] = [
  'ya29.', // Google OAuth access token
  'ghs_', // GitHub App installation
  'ghu_', // GitHub App user-to-server
  'ASIA', // AWS temporary access key
  'sk-ant-oat', // Anthropic OAuth access token
  'xoxe.', // Slack rotating token
  'EwB', // Microsoft account
  'sl.', // Dropbox short-lived
  'ory_at_',
  'v1.local.',
];

/**
 * Finds and hashes the credential of a request: API key headers, `Authorization` (Bearer, Basic, token, AWS4), then key
 * parameters of the URL. A JWT counts by issuer and subject. Values are hashed once and remembered, so keep-alive traffic pays
 * one map look-up.
 */
export function createFingerprints(hmac: Hmac): FingerprintOf {
  const ofHeader = remembered(hmac, authorization);
  const ofKey = remembered(hmac, (key) => secret(key, true));
  return (fields, target) => {
    for (let i = 0; i + 1 < fields.length; i += 2) {
      const kind = kindOf(fields[i] as string);
      if (kind === '') continue;
      const value = fields[i + 1] as string;
      const found = kind === 'authorization' ? ofHeader(awsScope(value) ?? value) : ofKey(value);
      if (found !== undefined) return found;
    }
    const parameter = queryKey(target);
    return parameter === undefined ? undefined : ofKey(parameter);
  };
}

/** Hashes what `read` makes of a value once, bounded; '' in the map means there is nothing to judge. */
function remembered(hmac: Hmac, read: (value: string) => string | undefined): (value: string) => string | undefined {
  const cache = new Map<string, string>();
  return (value) => {
    const known = cache.get(value);
    if (known !== undefined) return known === '' ? undefined : known;
    if (value === '' || value.length > MAX_VALUE) return undefined;
    const text = read(value);
    const fingerprint = text === undefined ? '' : hmac(text);
    if (cache.size >= CACHE) cache.delete(cache.keys().next().value as string);
    cache.set(value, fingerprint);
    return fingerprint === '' ? undefined : fingerprint;
  };
}

/** Length first: most field names are settled by it. */
function kindOf(name: string): '' | 'authorization' | 'key' {
  switch (name.length) {
    case 7:
      return is(name, 'api-key') ? 'key' : '';
    case 9:
      return is(name, 'x-api-key') ? 'key' : '';
    case 12:
      return is(name, 'x-auth-token') ? 'key' : '';
    case 13:
      if (is(name, 'authorization')) return 'authorization';
      return is(name, 'private-token') ? 'key' : '';
    case 14:
      return is(name, 'x-goog-api-key') ? 'key' : '';
    case 15:
      return is(name, 'x-functions-key') ? 'key' : '';
    case 25:
      return is(name, 'ocp-apim-subscription-key') ? 'key' : '';
    default:
      return '';
  }
}

function is(name: string, wanted: string): boolean {
  return name === wanted || name.toLowerCase() === wanted;
}

/** The part of an AWS Signature V4 header that does not change with every request. */
function awsScope(value: string): string | undefined {
  if (!value.startsWith('AWS4-')) return undefined;
  const at = value.indexOf('Credential=');
  const end = at < 0 ? -1 : value.indexOf('/', at);
  return end < 0 ? undefined : `aws ${value.slice(at + 11, end)}`;
}

function authorization(value: string): string | undefined {
  const space = value.indexOf(' ');
  if (space < 0) return undefined;
  const scheme = value.slice(0, space).toLowerCase();
  const rest = value.slice(space + 1).trim();
  switch (scheme) {
    case 'bearer':
    case 'token':
    case 'key':
    case 'apikey':
    case 'bot':
      return secret(rest, scheme !== 'bearer');
    case 'aws':
      return isRotating(rest) ? undefined : `key ${rest.split(':', 1)[0]}`;
    case 'basic': {
      const text = Buffer.from(rest, 'base64').toString('latin1');
      const colon = text.indexOf(':');
      const password = colon < 0 ? '' : text.slice(colon + 1);
      // Git sends short-lived tokens this way; API keys come as the user name with an empty password.
      if (isRotating(password) || isRotating(text)) return undefined;
      return password === '' ? secret(colon < 0 ? text : text.slice(0, colon), true) : `basic ${text}`;
    }
    default:
      return undefined;
  }
}

/**
 * What of a bare secret is hashed. `declared` = the place says it is an API key. A bearer token of unknown make may be gone in
 * an hour, so only those with an issuer's prefix (`sk-…`, `hf_…`) are judged.
 */
function secret(value: string, declared: boolean): string | undefined {
  if (isRotating(value)) return undefined;
  const jwt = jwtIdentity(value);
  if (jwt !== undefined) return jwt === '' ? undefined : jwt;
  return declared || hasIssuerPrefix(value) ? `key ${value}` : undefined;
}

function isRotating(value: string): boolean {
  for (const prefix of ROTATING) if (value.startsWith(prefix)) return true;
  return false;
}

/** Two to twelve letters or digits, then `-` or `_`: the shape every issuer with a recognisable key uses; and Google's `AIza`. */
function hasIssuerPrefix(value: string): boolean {
  return /^(?:[A-Za-z][A-Za-z0-9]{1,11}[-_]|AIza)[\x21-\x7e]{12,}$/.test(value) && !/^[0-9a-f]{8}-/.test(value);
}

/** `jwt <issuer> <subject>`; '' for a JWT that names neither; undefined when it is no JWT. */
function jwtIdentity(value: string): string | undefined {
  if (!value.startsWith('eyJ')) return undefined;
  const [, payload, signature] = value.split('.', 3);
  if (payload === undefined || signature === undefined) return undefined;
  try {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as Record<string, unknown> | null;
    const iss = typeof claims?.['iss'] === 'string' ? claims['iss'] : '';
    const sub = typeof claims?.['sub'] === 'string' ? claims['sub'] : '';
    return iss === '' && sub === '' ? '' : `jwt ${JSON.stringify([iss, sub])}`;
  } catch {
    return undefined;
  }
}

const PARAMETERS: readonly string[] = ['key=', 'api_key=', 'apikey=', 'api-key=', 'X-Amz-Credential='];

/** Value of the first key parameter in the query, as written. */
function queryKey(target: string): string | undefined {
  const query = target.indexOf('?');
  if (query < 0) return undefined;
  for (const name of PARAMETERS) {
    let at = target.indexOf(name, query + 1);
    while (at > 0) {
      const before = target.charCodeAt(at - 1);
      if (before === 0x3f || before === 0x26) {
        const end = target.indexOf('&', at);
        const value = target.slice(at + name.length, end < 0 ? target.length : end);
        if (!name.startsWith('X-')) return value;
        return value.split(/%2F|\//i, 1)[0];
      }
      at = target.indexOf(name, at + 1);
    }
  }
  return undefined;
}
