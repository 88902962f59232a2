/**
 * Obvious fillers, and nothing else: what documentation puts where a secret goes. Published sample keys count like real ones, because
 * people test with them, and a random value that merely looks harmless is a secret.
 */

/** `<YOUR_KEY>`, `${VAR}`, `{{ var }}`, `%VAR%`, `$VAR`, `[API KEY]`; also at the end of a prefix (`sk-<key>`). */
const FRAMED =
  /(?:<[^<>]{1,60}>|\$\{[^{}]{1,60}\}|\$\([^()]{1,60}\)|\{\{[^{}]{1,60}\}\}|%[A-Za-z_]{2,40}%|\[[A-Za-z][A-Za-z _-]{1,60}\])$/;
const VARIABLE = /^\$[A-Za-z_][A-Za-z0-9_]{0,60}$/;
/** Words that stand for a value: `your_api_key_here`, `YOUR-TOKEN`, `changeme`, `insert_key_here`, `REDACTED`. */
const WORDS =
  /^(?:(?:your|my|insert|enter|put|add|replace|paste|the|with|this|here|a|an|some|api|app|access|auth|secret|private|public|client|account|service|user|bot|bearer|refresh|personal|key|keys|token|id|password|passwd|passphrase|pass|value|string|credential|credentials|me|placeholder|dummy|redacted|removed|hidden|omitted|masked|changeme|change|todo|tbd|goes)(?:[\s_.-]|$))+$/i;
/** One character all the way but for separators: `xxxxxxxx`, `********`, `0000-0000-0000`, `………`. */
const REPEATED = /^[-_./:]*([^-_./:])(?:\1|[-_./:])*$/;
const ELLIPSIS = /(?:\.\.\.|\xe2\x80[\xa2\xa6]|\*{4,}|x{8,}|X{8,})$/;

/** Parts of a prefix behind the keyword (`api03-`, `v1_`): what follows them is the value. */
const PARTS = /^(?:[A-Za-z0-9]{1,7}[-_.]){1,3}(?=.{8})/;

const LONGEST = 400;
const LONGEST_WORDS = 80;
const FRAME_ENDS = '>})]%';
const ELLIPSIS_ENDS = '.*xX\xa2\xa6';

/** Words come in one case each and joined; this splits `YourApiKeyHere` too. */
function spaced(text: string): string {
  return text.replace(/([a-z])([A-Z])/g, '$1_$2');
}

/**
 * @param secret - the secret, one character per byte.
 * @param keywords - literals it may begin with (`ghp_`), which no filler replaces.
 */
export function isPlaceholder(secret: string, keywords: readonly string[]): boolean {
  let value = secret;
  for (const keyword of keywords) {
    if (keyword.length < secret.length && secret.startsWith(keyword)) {
      value = secret.slice(keyword.length);
      break;
    }
  }
  if (value.length > LONGEST) return false;
  const last = value.at(-1) ?? '';
  return (
    (FRAME_ENDS.includes(last) && FRAMED.test(value)) ||
    VARIABLE.test(value) ||
    (ELLIPSIS_ENDS.includes(last) && ELLIPSIS.test(value)) ||
    isFiller(value) ||
    isFiller(value.replace(PARTS, ''))
  );
}

function isFiller(value: string): boolean {
  return REPEATED.test(value) || (value.length <= LONGEST_WORDS && !/\d/.test(value) && WORDS.test(spaced(value)));
}
