/** permessage-deflate as both sides agreed on it. */
export interface DeflateAgreed {
  /** What the client sends may refer to its messages before (RFC 7692 §7.1.1). */
  readonly request: boolean;
  /** What the server sends may. */
  readonly response: boolean;
}

const FIELD = 'sec-websocket-extensions';

/**
 * Reads what the server agreed to of permessage-deflate.
 * @param fields - of its response: name, value, name, value …
 * @returns undefined = not agreed: no frame may be compressed.
 */
export function deflateOf(fields: readonly string[]): DeflateAgreed | undefined {
  for (let i = 0; i + 1 < fields.length; i += 2) {
    if ((fields[i] as string).toLowerCase() !== FIELD) continue;
    for (const extension of (fields[i + 1] as string).split(',')) {
      const [name, ...parameters] = extension.split(';').map((part) => part.trim().toLowerCase());
      if (name !== 'permessage-deflate') continue;
      return {
        request: !parameters.includes('client_no_context_takeover'),
        response: !parameters.includes('server_no_context_takeover'),
      };
    }
  }
  return undefined;
}
