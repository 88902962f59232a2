const TAG = /<(\/?)([A-Za-z][A-Za-z0-9:-]{0,40})((?:[^<>"']|"[^"]{0,4000}"|'[^']{0,4000}'){0,200})>/g;
/** Elements without content (HTML §13.1.2). */
const VOID = /^(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)$/;
/** Elements that end where the next of their kind begins. */
const UNCLOSED = /^(?:p|li|dt|dd|tr|td|th|option)$/;
const HIDDEN = new RegExp(
  [
    /\shidden(?=[\s=/]|$)/,
    /aria-hidden\s*=\s*["']?true/,
    /class\s*=\s*["'][^"']*(?:sr-only|visually-hidden|screen-reader)/,
    /(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|opacity\s*:\s*0*(?:\.0+)?\s*(?:[;"'!]|$))/,
    /(?:font-size|line-height|max-height|height|width)\s*:\s*(?:0+(?:\.0+)?(?:px|pt|em|rem|%)?|[01](?:\.\d+)?px)\s*(?:[;"'!]|$)/,
    /(?:left|right|top|bottom|text-indent|margin-left|margin-top)\s*:\s*-\d{3,}/,
    /(?:translate[xy]?\(\s*-\d{3,}|scale\(\s*0\s*\)|clip(?:-path)?\s*:\s*(?:rect|inset|circle)\()/,
    /(?<![\w-])color\s*:\s*(?:transparent|rgba\([^)]{0,40},\s*0(?:\.0+)?\s*\))/,
  ]
    .map(({ source }) => source)
    .join('|'),
  'i',
);
/** `color` and `background` of one style, when they are the same. */
const COLOUR = /(?<![\w-])(color|background(?:-color)?)\s*:\s*([#\w(),.% ]{3,40}?)\s*(?=[;"'!]|$)/gi;

/** Expressions that may begin anywhere read no more than this. */
const NEAR = 2048;

/** What of an HTML, XML or Markdown text a place is in, by the text before and after it; undefined = plain text that is seen. */
export function markupPlace(before: string, after: string): string | undefined {
  if (before.lastIndexOf('<!--') > before.lastIndexOf('-->')) return 'in an HTML comment';
  return inTag(before) ?? inElement(before) ?? markdownPlace(before, after);
}

/** Between `<` and `>`: an attribute. */
function inTag(before: string): string | undefined {
  const open = before.lastIndexOf('<');
  const tag = /^<([A-Za-z][A-Za-z0-9:-]{0,40})(\s[\s\S]*)$/.exec(open < 0 ? '' : before.slice(open));
  if (tag === null) return undefined;
  const [, element = '', attributes = ''] = tag;
  // The attribute is the last one whose quote is still open.
  const attribute = /([A-Za-z][\w:-]{0,40})\s*=\s*(?:"[^"]*|'[^']*|[^\s"'>]*)$/.exec(attributes.slice(-NEAR))?.[1];
  if (attribute === undefined && attributes.includes('>')) return undefined;
  const name = element.toLowerCase();
  if (name === 'meta') return 'in a meta element';
  if (name === 'input' && /type\s*=\s*["']?hidden/i.test(attributes)) return 'in a hidden input';
  return attribute === undefined ? `in a tag <${name}>` : `in the attribute ${attribute.toLowerCase()} of <${name}>`;
}

/** In which elements a place is; of those that hide it, the outermost that the text shows. */
function inElement(before: string): string | undefined {
  const open: { readonly name: string; readonly hidden: boolean }[] = [];
  for (const [, slash, raw = '', attributes = ''] of before.matchAll(TAG)) {
    const name = raw.toLowerCase();
    if (VOID.test(name) || attributes.endsWith('/')) continue;
    if (slash === '/') {
      const at = open.findLastIndex((one) => one.name === name);
      if (at >= 0) open.length = at;
      continue;
    }
    if (UNCLOSED.test(name) && open.at(-1)?.name === name) open.pop();
    open.push({ name, hidden: HIDDEN.test(` ${attributes}`) || sameColours(attributes) });
  }
  for (const { name, hidden } of open) {
    if (hidden) return 'in a hidden element';
    if (name === 'script' || name === 'style') return `in a <${name}> element`;
    if (name === 'template' || name === 'noscript' || name === 'title' || name === 'desc' || name === 'metadata')
      return `in a <${name}> element`;
  }
  return undefined;
}

function sameColours(attributes: string): boolean {
  const colours = new Map<string, string>();
  for (const [, name = '', colour = ''] of attributes.matchAll(COLOUR))
    colours.set(name.toLowerCase().slice(0, 5), colour.toLowerCase());
  return colours.size === 2 && colours.get('color') === colours.get('backg');
}

function markdownPlace(before: string, after: string): string | undefined {
  const line = before.slice(Math.max(before.lastIndexOf('\n') + 1, before.length - NEAR));
  if (/^\s{0,3}\[[^\]]{0,60}\]:\s*(?:#|<>)\s*["'(][\s\S]*$/.test(line)) return 'in a Markdown comment';
  if (/\]\([^()\s]{0,2000}\s+["'(][^"')]*$/.test(line)) return 'in the title of a Markdown link';
  if (/^\s{0,3}\[[^\]]{1,200}\]:\s*\S{1,2000}\s+["'(][^"')]*$/.test(line)) return 'in the title of a Markdown link';
  if (/!\[[^\]]*$/.test(line) && /^[^\]\n]{0,2000}\]\s?[([]/.test(after)) return 'in the alt text of a Markdown image';
  if (/\]\([^()\s]*$/.test(line)) return 'in the address of a Markdown link';
  return undefined;
}
