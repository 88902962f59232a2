import type { Pattern } from './patterns.ts';

/** Finds and replaces secrets in short strings (URLs, header values, error texts): record-sized, not body-sized. */
export interface Redactor {
  /** False = certainly nothing in it: about 1.5 ns a character. */
  suspicious(text: string): boolean;
  /** Matches become `[<LABEL>_REDACTED]`; overlapping ones merge and keep the first label. */
  redact(text: string): string;
  /** Matched ranges, sorted and merged. */
  spans(text: string): readonly Span[];
}
export interface Span {
  readonly start: number;
  end: number;
  readonly label: string;
}

// 15-bit hash of three characters; the table says which trigrams begin a keyword.
const TABLE = 1 << 15;

/** Most patterns never meet their keyword: an expression is compiled when one does. */
interface Recogniser {
  readonly keywords: readonly string[];
  readonly source: string;
  readonly label: string;
  expression: RegExp | undefined;
}

function collect(recognisers: readonly Recogniser[], flags: string, text: string): Span[] {
  const found: Span[] = [];
  const searched = flags.includes('i') ? text.toLowerCase() : text;
  for (const recogniser of recognisers) {
    if (!recogniser.keywords.some((keyword) => searched.includes(keyword))) continue;
    recogniser.expression ??= new RegExp(recogniser.source, flags);
    const { expression, label } = recogniser;
    expression.lastIndex = 0;
    for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
      found.push({ start: match.index, end: match.index + match[0].length, label });
      if (match[0].length === 0) expression.lastIndex++;
    }
  }
  found.sort((a, b) => a.start - b.start || b.end - a.end);
  const merged: Span[] = [];
  for (const span of found) {
    const last = merged[merged.length - 1];
    if (last !== undefined && span.start < last.end) last.end = Math.max(last.end, span.end);
    else merged.push(span);
  }
  return merged;
}

/** `ignoreCase` for host names, which were lower-cased before they came here. */
export function createRedactor(patterns: readonly Pattern[], ignoreCase = false): Redactor {
  const flags = ignoreCase ? 'gi' : 'g';
  const recognisers = patterns.map(({ expression, keywords, label }): Recogniser => {
    const searched = ignoreCase ? keywords.map((keyword) => keyword.toLowerCase()) : keywords;
    return { keywords: searched, source: expression, label, expression: undefined };
  });
  const keywords = recognisers.flatMap((recogniser) => recogniser.keywords);
  // An expression of all of them would be too large for thousands, and would say so with what it holds.
  const byStart = Map.groupBy(keywords, (keyword) => keyword.slice(0, 3));
  const table = new Uint8Array(TABLE);
  for (const text of keywords) {
    table[((text.charCodeAt(0) << 10) ^ (text.charCodeAt(1) << 5) ^ text.charCodeAt(2)) & (TABLE - 1)] = 1;
  }
  const suspicious = (text: string): boolean => {
    if (text.length < 3) return false;
    let a = text.charCodeAt(0);
    let b = text.charCodeAt(1);
    for (let i = 2; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (table[((a << 10) ^ (b << 5) ^ c) & (TABLE - 1)] === 1) {
        const at = i - 2;
        if (byStart.get(text.slice(at, i + 1))?.some((keyword) => text.startsWith(keyword, at)) === true) return true;
      }
      a = b;
      b = c;
    }
    return false;
  };
  const spans = (text: string): Span[] => (suspicious(text) ? collect(recognisers, flags, text) : []);
  return {
    suspicious,
    spans,
    redact: (text) => {
      const found = spans(text);
      if (found.length === 0) return text;
      let out = '';
      let at = 0;
      for (const span of found) {
        out += `${text.slice(at, span.start)}[${span.label}_REDACTED]`;
        at = span.end;
      }
      return out + text.slice(at);
    },
  };
}
