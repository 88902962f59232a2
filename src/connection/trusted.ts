import type { Exchange } from '../model/exchange.ts';
import { fieldOf } from '../model/fields.ts';

const MAX_KINDS = 1000;
const MAX_KEY = 2048;

/**
 * Client kinds that sent application data over a handshake with us since the CA was made (product.md §7 "A block must be
 * read"): known by agent, User-Agent and header order of the CONNECT. Void when the CA is rotated.
 */
export interface TrustedClients {
  remember(connect: Exchange, generation: number): void;
  knows(connect: Exchange, generation: number): boolean;
}

export function createTrustedClients(): TrustedClients {
  const kinds = new Map<string, number>();
  return {
    remember(connect, generation) {
      const key = kindOf(connect);
      kinds.delete(key);
      kinds.set(key, generation);
      if (kinds.size > MAX_KINDS) kinds.delete(kinds.keys().next().value as string);
    },
    knows: (connect, generation) => kinds.get(kindOf(connect)) === generation,
  };
}

function kindOf(connect: Exchange): string {
  const { fields } = connect.request;
  let key = `${connect.identity.agent}\n${fieldOf(fields, 'user-agent') ?? ''}`;
  for (let i = 0; i < fields.length && key.length < MAX_KEY; i += 2) key += `\n${(fields[i] as string).toLowerCase()}`;
  return key;
}
