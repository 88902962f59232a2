import { printable } from '../model/printable.ts';
import { remembered } from './memory.ts';
import type { Redactor } from './redact.ts';

/** `telemetry.url`: which part of a URL is kept. */
export type UrlDetail = 'keys' | 'full' | 'host';

/** Characters of one string that are looked at; a head may have 256 KiB of target. */
export const WINDOW = 8192;
/** Characters of a target that are kept: attributes above 2048 bytes are cut by backends. */
const TARGET_MAX = 2000;
const HIDDEN = '…';
/** Pairs of a query that are looked at. */
const PAIRS = 256;

/** Query keys whose short values say how something is listed or shown, never what or for whom. */
const HARMLESS = new Set(
  (
    'page limit per_page page_size pagesize offset start count size lang language locale format version api-version ' +
    'api_version v sort order order_by sort_by direction dir type alt pretty depth recursive encoding units timezone tz ' +
    'stream beta include_usage state visibility'
  ).split(' '),
);
/** Never kept, not even with `url: full`. */
const SENSITIVE =
  /^(?:.*(?:token|secret|passw|passphrase|apikey|api_key|api-key|signature|credential|session|auth).*|key|sig|code|pwd|pass|sid|awsaccesskeyid|x-amz-.*|x-goog-.*)$/i;
const VALUE = /^[A-Za-z0-9._,:+-]{1,24}$/;
const KEY = /^[A-Za-z0-9_.$~:[\]-]{1,48}$/;

/** Percent-decodes up to three layers; what is not valid UTF-8 stays as it is. */
export function decodeLayers(text: string): string {
  let current = text;
  for (let layer = 0; layer < 3; layer++) {
    if (!current.includes('%')) return current;
    const next = current.replace(/(?:%[0-9A-Fa-f]{2})+/g, (run) => {
      try {
        return decodeURIComponent(run);
      } catch {
        return run;
      }
    });
    if (next === current) return current;
    current = next;
  }
  return current;
}

function cleanPath(redactor: Redactor, path: string): string {
  const clean = redactor.redact(path);
  if (!path.includes('%')) return clean;
  const decoded = decodeLayers(clean);
  if (!redactor.suspicious(decoded)) return clean;
  const decodedClean = redactor.redact(decoded);
  return decodedClean === decoded ? clean : decodedClean;
}

function harmless(redactor: Redactor, key: string, value: string): boolean {
  return HARMLESS.has(key.toLowerCase()) && VALUE.test(value) && !redactor.suspicious(value);
}

function cleanPair(redactor: Redactor, detail: UrlDetail, pair: string): string {
  const equals = pair.indexOf('=');
  // Without "=" the whole may be the value: `?<token>`.
  if (equals < 0) return pair === '' || (KEY.test(pair) && HARMLESS.has(pair.toLowerCase())) ? pair : HIDDEN;
  const rawKey = pair.slice(0, equals);
  const value = pair.slice(equals + 1);
  const key = decodeLayers(rawKey);
  const shownKey = KEY.test(key) && redactor.redact(key) === key ? rawKey : HIDDEN;
  if (value === '') return `${shownKey}=`;
  if (harmless(redactor, key, value)) return `${shownKey}=${value}`;
  if (detail !== 'full' || SENSITIVE.test(key)) return `${shownKey}=${HIDDEN}`;
  const decoded = decodeLayers(value);
  const clean = redactor.redact(decoded);
  return `${shownKey}=${clean === decoded ? value : clean}`;
}

/** Path and query as they may leave: patterns in the path, query values by key, no fragment, no userinfo. */
export function createTarget(redactor: Redactor, detail: UrlDetail): (target: string) => string {
  const shownPair = remembered((pair) => cleanPair(redactor, detail, pair));
  return (raw) => {
    if (raw === '') return raw;
    if (detail === 'host') return '/';
    const cut = raw.length > WINDOW;
    let target = cut ? raw.slice(0, WINDOW) : raw;
    const fragment = target.indexOf('#');
    if (fragment >= 0) target = target.slice(0, fragment);
    const question = target.indexOf('?');
    let path = question < 0 ? target : target.slice(0, question);
    // Absolute form where an origin form was expected: the authority may carry userinfo (RFC 9110 §4.2.4).
    if (path.charCodeAt(0) !== 0x2f && path.includes('@'))
      path = path.replace(/^([a-z][a-z0-9+.-]*:\/\/|)[^/]*@/i, '$1');
    let shown = cleanPath(redactor, path);
    if (question >= 0) {
      const query = target.slice(question + 1, question + 1 + TARGET_MAX * 2);
      const pairs = query.split('&', PAIRS + 1);
      shown += `?${pairs.slice(0, PAIRS).map(shownPair).join('&')}`;
      // What is left out is seen to be, or a rule that is replayed would take this for all there was.
      if (cut || pairs.length > PAIRS || question + 1 + query.length < target.length) shown += HIDDEN;
    }
    if (fragment >= 0) shown += `#${HIDDEN}`;
    // Labels are shorter than what they replace: the tail of a cut window could be half a secret.
    if (cut && question < 0 && shown.length < TARGET_MAX + 1024)
      shown = shown.slice(0, Math.max(1, shown.length - 1024));
    return printable(shown, TARGET_MAX);
  };
}
