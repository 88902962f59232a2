import { dataFile } from './collector-library.ts';
import { patternsOrNone } from './record/patterns.ts';
import { createPresentation } from './record/presentable.ts';

/** How names look wherever people, models or rows meet them: the record's own rules (product.md §5), also on the traffic side. */
export interface Shown {
  /** A host with `redacted-<6 hex>` for labels that hold a secret: the name the rows of it have. */
  host(host: string): string;
  /** A sentence without secrets. */
  text(text: string): string;
}

/** `key` is that of the state directory. Patterns are read when first asked for: listening does not wait for them. */
export function createShown(key: Uint8Array): Shown {
  let made: Shown | undefined;
  const get = (): Shown => {
    if (made === undefined) {
      // The recorder reports patterns that cannot be read.
      const presentation = createPresentation({
        patterns: patternsOrNone(dataFile('redaction.json'), []),
        key: Buffer.from(key),
        url: 'keys',
      });
      made = {
        host: presentation.field('host') as Shown['host'],
        text: presentation.field('message') as Shown['text'],
      };
    }
    return made;
  };
  return { host: (host) => get().host(host), text: (text) => get().text(text) };
}
