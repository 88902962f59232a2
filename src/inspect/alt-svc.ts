import type { Connection } from '../model/connection.ts';
import { fieldOf } from '../model/fields.ts';
import type { Finding } from '../model/finding.ts';
import type { Inspector } from '../model/ports.ts';

/** One alternative of a list (RFC 7838 §3): quotes may hold a comma. */
const ALTERNATIVE = /(?:[^",]|"(?:[^"\\]|\\.)*")+/g;
/** HTTP/3 and its drafts, as ALPN names. */
const HTTP3 = /^\s*h3(?:-[A-Za-z0-9-]+)?\s*=/i;

function alternatives(value: string): string[] {
  return value.match(ALTERNATIVE) ?? [];
}

/** Values without HTTP/3, by index of the field line; undefined when none offers it. A list of nothing else becomes `clear`. */
export function withoutHttp3(fields: readonly string[]): ReadonlyMap<number, string> | undefined {
  let values: Map<number, string> | undefined;
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] as string;
    if (name.length !== 7 || name.toLowerCase() !== 'alt-svc') continue;
    const all = alternatives(fields[i + 1] as string);
    const kept = all.filter((one) => !HTTP3.test(one));
    if (kept.length === all.length) continue;
    values ??= new Map();
    values.set(i / 2, kept.length === 0 ? 'clear' : kept.map((one) => one.trim()).join(', '));
  }
  return values;
}

/** `Alt-Svc: h3`: a client that followed it would leave by UDP, where no proxy is (threat E7). Told once per connection. */
export function http3Inspector(): Inspector {
  const told = new WeakSet<Connection>();
  return {
    id: 'alt-svc',
    phase: 'response',
    inspect({ connection, destination, responseFields }): readonly Finding[] {
      if (responseFields === undefined || fieldOf(responseFields, 'alt-svc') === undefined) return NONE;
      if (told.has(connection) || withoutHttp3(responseFields) === undefined) return NONE;
      told.add(connection);
      const message = `${destination.host} offers HTTP/3, which no proxy sees (UDP ${destination.port}); enforce takes the offer out`;
      return [{ inspector: 'alt-svc', rule: 'http3-advertised', severity: 'info', disposition: 'allow', message }];
    },
  };
}

const NONE: readonly Finding[] = [];
