/** How a label is written into a body. `binary`: lengths may stand inside, so nothing may change its own. */
export type BodyFormat = 'json' | 'form' | 'markup' | 'yaml' | 'text' | 'binary';

const FORMATS: readonly (readonly [RegExp, BodyFormat])[] = [
  [/^application\/grpc|protobuf/, 'binary'],
  [/json|^text\/event-stream$|javascript$|graphql|ecmascript$/, 'json'],
  [/^application\/x-www-form-urlencoded$/, 'form'],
  [/[/+]xml$|html|[/+]svg/, 'markup'],
  [/yaml$/, 'yaml'],
  [/^text\/|^multipart\/|^message\/|toml|[/+]sql$|csv$|[/-](?:sh|python|pem-file|httpd-php)$/, 'text'],
];

/** The media type of a Content-Type, in lower case, without parameters. */
export function mediaType(contentType: string | undefined): string {
  return ((contentType ?? '').split(';', 1)[0] as string).trim().toLowerCase();
}

export function isEventStream(contentType: string | undefined): boolean {
  return mediaType(contentType) === 'text/event-stream';
}

/** By media type (`mediaType`); what is unknown is taken for binary. */
export function formatOf(type: string): BodyFormat {
  return FORMATS.find(([pattern]) => pattern.test(type))?.[1] ?? 'binary';
}
