/** One piece of everyday traffic that holds nothing worth stopping. */
export interface BenignCase {
  readonly kind: string;
  readonly direction: 'request' | 'response';
  readonly place: 'url' | 'header' | 'cookie' | 'body';
  readonly host: string;
  /** Of a body. */
  readonly contentType: string;
  /** A whole URL, `Name: value` lines, the value of `Cookie`, or a body. */
  readonly text: string;
}

export const JSON_TYPE = 'application/json';

type Body = (host: string, text: string, contentType?: string) => BenignCase;

/** Makes cases of one kind. */
export function casesOf(kind: string): {
  readonly ask: Body;
  readonly answer: Body;
  readonly url: (text: string) => BenignCase;
  readonly header: (host: string, text: string) => BenignCase;
  readonly cookie: (host: string, text: string) => BenignCase;
} {
  const made = (
    direction: BenignCase['direction'],
    place: BenignCase['place'],
    host: string,
    text: string,
    contentType = '',
  ): BenignCase => ({ kind, direction, place, host, contentType, text });
  return {
    ask: (host, text, contentType = JSON_TYPE) => made('request', 'body', host, text, contentType),
    answer: (host, text, contentType = JSON_TYPE) => made('response', 'body', host, text, contentType),
    url: (text) => made('request', 'url', new URL(text).hostname, text),
    header: (host, text) => made('request', 'header', host, text),
    cookie: (host, text) => made('request', 'cookie', host, text),
  };
}
