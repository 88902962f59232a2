import { globText } from '../model/glob.ts';

/**
 * One path as rules read it: as written, and as a lenient server may read it. They differ when dot segments, doubled or
 * encoded slashes are in play; then an allow rule needs both readings to match and a block rule either.
 */
export interface RulePath {
  readonly written: string;
  readonly meant: string;
}

/** Path of an origin-form target, without query and fragment. */
export function rulePath(target: string): RulePath {
  let end = target.length;
  for (let i = 0; i < target.length; i++) {
    const c = target.charCodeAt(i);
    if (c === 0x3f || c === 0x23 /* ? # */) {
      end = i;
      break;
    }
  }
  const written = target.slice(0, end);
  return { written, meant: isPlain(written) ? written : meaning(written) };
}

function isPlain(path: string): boolean {
  return !(
    path.includes('%') ||
    path.includes('/.') ||
    path.includes('//') ||
    path.includes('\\') ||
    path.includes(';')
  );
}

/** Decoded once, backslashes as slashes, path parameters dropped, empty and dot segments resolved (RFC 3986 §5.2.4). */
function meaning(path: string): string {
  const decoded = path.replace(/%[0-9a-fA-F]{2}/g, (hex) => String.fromCharCode(Number.parseInt(hex.slice(1), 16)));
  const out: string[] = [];
  const segments = decoded.replaceAll('\\', '/').split('/');
  for (const segment of segments) {
    const cut = segment.indexOf(';');
    const name = cut < 0 ? segment : segment.slice(0, cut);
    if (name === '..') out.pop();
    else if (name !== '.' && name !== '') out.push(name);
  }
  const last = segments.at(-1);
  return `/${out.join('/')}${out.length > 0 && (last === '' || last === '.' || last === '..') ? '/' : ''}`;
}

/**
 * Without `*` a pattern is that path and everything below it (`/acme` is not `/acme-evil`); with `*` it must match the whole
 * path, a star standing for any run of characters.
 */
export function pathMatches(pattern: string, path: string): boolean {
  if (pattern.includes('*')) return globText(pattern, path);
  if (!path.startsWith(pattern)) return false;
  return path.length === pattern.length || pattern.endsWith('/') || path.charCodeAt(pattern.length) === 0x2f;
}
