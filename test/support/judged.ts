import { createHash } from 'node:crypto';
import { createScanning, type Scanning, scanOptions } from '../../src/collector-scan.ts';
import { defaultConfig } from '../../src/config/load.ts';
import { type HeadParts, HeadText } from '../../src/inspect/leak-text.ts';
import { type LeakPlace, type Weight, weigh } from '../../src/inspect/leak-weight.ts';
import type { Found } from '../../src/model/scan.ts';

/** Where a text stands in an exchange, and with whom. */
export interface Placed {
  readonly direction: 'request' | 'response';
  readonly place: 'url' | 'header' | 'cookie' | 'body';
  readonly host: string;
  readonly text: string;
}

export interface Judged {
  readonly found: Found;
  readonly weight: Weight;
}

/** The built-in patterns as a collector with no configuration has them. */
export function builtInScanning(): Scanning {
  const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);
  return createScanning(scanOptions(defaultConfig(), hash, {}));
}

const head = new HeadText();

function headOf({ place, text }: Placed): HeadParts {
  const target = place === 'url' ? text.slice(text.indexOf('/', text.indexOf('//') + 2)) : '/';
  const lines = place === 'header' ? text.split('\n') : place === 'cookie' ? [`Cookie: ${text}`] : [];
  const fields = lines.flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
  return { method: 'GET', target, fields, of: 'request' };
}

/** What the defaults make of a text, read as the collector reads it. Throws when it was not read to its end. */
export function judged(scanning: Scanning, placed: Placed): Judged[] {
  const { direction, place, host, text } = placed;
  const inHead = place !== 'body';
  if (inHead) head.fill(headOf(placed), undefined, undefined);
  const { found, unscanned } = scanning.scan(direction, inHead ? head.bytes : Buffer.from(text));
  if (unscanned !== undefined) throw new Error(`not read to its end (${unscanned}): ${text.slice(0, 60)}`);
  return found.flatMap((one) => {
    const where: LeakPlace = inHead ? head.placeOf(one).kind : direction === 'request' ? 'body' : 'response';
    const weight = weigh(one, where, host);
    return weight === undefined ? [] : [{ found: one, weight }];
  });
}
