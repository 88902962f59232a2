import { Unread } from './cel-value.ts';
import { Anything, type Examined, judge } from './examine.ts';
import type { Policy } from './policy.ts';

/** A host nobody names in a policy (RFC 6761 §6.4). */
const ELSEWHERE = 'elsewhere.invalid';
const NAME = /^[a-z0-9-]+(\.[a-z0-9-]+)+$/;

/**
 * Hosts a policy is written for that it can never match over TLS, because theirs is not read: it needs what a tunnel does not show. Empty
 * where it is for any host, or for one that is read.
 */
export function blindHosts(
  { policy, canMatch, canMatchInTunnel }: Examined,
  readsTls: (host: string) => boolean,
): readonly string[] {
  if (!canMatch || canMatchInTunnel || judge(policy, new At(ELSEWHERE)) !== 'never') return [];
  const meant = namesIn(policy)
    .map((name) => ({ name, hosts: [name, `www.${name}`].filter((host) => judge(policy, new At(host)) !== 'never') }))
    .filter(({ hosts }) => hosts.length > 0);
  if (meant.some(({ hosts }) => hosts.some(readsTls))) return [];
  return meant.map(({ name }) => name);
}

/** Host names among the texts of an expression, of URLs too. */
function namesIn({ compiled }: Policy): string[] {
  const texts = [...compiled.source.matchAll(/"([^"\\]*)"|'([^'\\]*)'/g)].map(
    ([, double, single]) => double ?? single ?? '',
  );
  const hosts = texts.map((text) =>
    text
      .toLowerCase()
      .replace(/^https?:\/\//, '')
      .replace(/^\./, '')
      .replace(/[/:?#].*$/, ''),
  );
  return [...new Set(hosts)].filter((host) => NAME.test(host));
}

/** A request to one host, of which nothing else is known. */
class At extends Anything {
  readonly #host: string;
  readonly #url: Unread;

  constructor(host: string) {
    super();
    this.#host = host;
    this.#url = new Unread((test, part) => (mayBe(host, test, part) ? undefined : false));
  }

  override attribute(slot: number, key: string) {
    if (key === 'server.address') return this.#host;
    if (key === 'strathon.http.url' || key === 'url.full') return this.#url;
    return super.attribute(slot, key);
  }
}

/** Some URL at this host stands so to this text. */
function mayBe(host: string, test: string, part: string): boolean {
  if (test !== 'startsWith' && test !== '==') return true;
  const [, named = '', end] = /^https?:\/\/([^/:?#]*)([/:?#]?)/.exec(part) ?? [];
  if (named === '') return true;
  return end === '' && test === 'startsWith' ? host.startsWith(named) : host === named;
}
