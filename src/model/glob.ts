import { isPublicSuffix } from './domain.ts';
import { normaliseHost } from './host.ts';

/** Hosts a list names, compiled once: exact names in a set, `*.x` in a suffix map, the rest as globs. */
export interface HostSet {
  /** Nothing is in it. */
  readonly empty: boolean;
  /** `host` must be normalised. */
  has(host: string): boolean;
}

/** A compiled host pattern: exactly one of the forms. */
export type HostPattern =
  | { readonly form: 'any' }
  | { readonly form: 'exact'; readonly host: string }
  /** `*.x`: every name below `x`, never `x` itself. */
  | { readonly form: 'below'; readonly suffix: string }
  | { readonly form: 'glob'; readonly glob: string };

/**
 * Compiles one host pattern: `*`, `name`, `*.name`, an IP literal, or a name with `*` inside labels (`api-*.example.org`; the
 * star stays within its label). Throws Error with a sentence for people; `*.com` and `*.co.uk` are refused because nobody owns
 * them alone.
 */
export function compileHostPattern(pattern: string): HostPattern {
  if (pattern === '*') return { form: 'any' };
  const below = pattern.startsWith('*.');
  const name = below ? pattern.slice(2) : pattern;
  if (!name.includes('*')) {
    const normal = normaliseHost(name);
    if ('error' in normal) throw new Error(`"${pattern}" is not a host or a glob like *.example.org: ${normal.error}`);
    if (!below) return { form: 'exact', host: normal.host };
    if (normal.kind !== 'name') throw new Error(`"${pattern}" is a wildcard over an address`);
    if (isPublicSuffix(normal.host)) throw tooWide(pattern);
    return { form: 'below', suffix: normal.host };
  }
  const sample = normaliseHost(name.replaceAll('*', 'x'));
  if ('error' in sample || sample.kind !== 'name')
    throw new Error(`"${pattern}" is not a host glob like *.example.org`);
  const labels = pattern.toLowerCase().split('.');
  const fixed = labels.length - 1 - labels.findLastIndex((label) => label.includes('*'));
  if (fixed === 0 || isPublicSuffix(labels.slice(-fixed).join('.'))) throw tooWide(pattern);
  return { form: 'glob', glob: labels.join('.') };
}

function tooWide(pattern: string): Error {
  return new Error(`"${pattern}" would match everybody's names; name the domains, like *.example.org`);
}

/** True when a normalised host matches a compiled pattern. */
export function matchPattern(pattern: HostPattern, host: string): boolean {
  switch (pattern.form) {
    case 'any':
      return true;
    case 'exact':
      return pattern.host === host;
    case 'below':
      return isBelow(host, pattern.suffix);
    case 'glob':
      return globHost(pattern.glob, host);
  }
}

/** Compiles and matches in one go: for tests and rare questions. Lists are compiled with {@link compileHosts}. */
export function matchHost(pattern: string, host: string): boolean {
  return matchPattern(compileHostPattern(pattern), host);
}

/** Compiles a list of host patterns. Throws like {@link compileHostPattern}. */
export function compileHosts(patterns: Iterable<string>): HostSet {
  const exact = new Set<string>();
  const below = new Set<string>();
  const globs: string[] = [];
  let any = false;
  for (const text of patterns) {
    const pattern = compileHostPattern(text);
    if (pattern.form === 'any') any = true;
    else if (pattern.form === 'exact') exact.add(pattern.host);
    else if (pattern.form === 'below') below.add(pattern.suffix);
    else globs.push(pattern.glob);
  }
  return {
    empty: !any && exact.size === 0 && below.size === 0 && globs.length === 0,
    has(host) {
      if (any || exact.has(host)) return true;
      if (below.size > 0) {
        for (let dot = host.indexOf('.'); dot >= 0; dot = host.indexOf('.', dot + 1)) {
          if (below.has(host.slice(dot + 1))) return true;
        }
      }
      for (const glob of globs) if (globHost(glob, host)) return true;
      return false;
    },
  };
}

function isBelow(host: string, suffix: string): boolean {
  const at = host.length - suffix.length - 1;
  return at > 0 && host.charCodeAt(at) === 0x2e && host.endsWith(suffix);
}

/** `*` stays within its label, except a leading `*.`, which stands for one label or more. */
function globHost(glob: string, host: string): boolean {
  if (!glob.startsWith('*.')) return globText(glob, host, '.');
  const rest = glob.slice(2);
  for (let dot = host.indexOf('.'); dot > 0; dot = host.indexOf('.', dot + 1)) {
    if (globText(rest, host.slice(dot + 1), '.')) return true;
  }
  return false;
}

/**
 * Matches `*` (any run of characters without `stop`) and literal characters. Linear in practice: one backtracking point, moved
 * forward only. Case-sensitive.
 */
export function globText(glob: string, text: string, stop = ''): boolean {
  let g = 0;
  let t = 0;
  let star = -1;
  let mark = 0;
  while (t < text.length) {
    const c = glob[g];
    if (c === '*') {
      star = g++;
      mark = t;
    } else if (c === text[t]) {
      g++;
      t++;
    } else if (star >= 0 && text[mark] !== stop) {
      t = ++mark;
      g = star + 1;
    } else return false;
  }
  while (glob[g] === '*') g++;
  return g === glob.length;
}
