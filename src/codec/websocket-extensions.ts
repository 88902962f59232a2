/** permessage-deflate as both sides agreed on it. */
export interface DeflateAgreed {
  /** What the client sends may refer to its messages before (RFC 7692 §7.1.1). */
  readonly request: boolean;
  /** What the server sends may. */
  readonly response: boolean;
}

/**
 * Reads what the server's `Sec-WebSocket-Extensions` says of permessage-deflate.
 * @param values of that field, in order.
 * @returns undefined = not agreed: no frame may be compressed.
 */
export function deflateOf(values: readonly string[]): DeflateAgreed | undefined {
  for (const extension of values.join(',').split(',')) {
    const [name, ...parameters] = extension.split(';').map((part) => part.trim().toLowerCase());
    if (name !== 'permessage-deflate') continue;
    return {
      request: !parameters.includes('client_no_context_takeover'),
      response: !parameters.includes('server_no_context_takeover'),
    };
  }
  return undefined;
}
