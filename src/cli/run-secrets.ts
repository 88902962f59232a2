/** Variables whose name says that they hold a secret, and what else such names are given to. */
const SECRET =
  /(?:^|_)(?:API_?)?(?:KEY|KEYS|TOKEN|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|CREDENTIALS?|PAT|DSN)(?:_|$)|APIKEY|AUTHTOKEN/;
const NO_SECRET =
  /(?:^|_)(?:PUBLIC|PUB)(?:_|$)|(?:^|_)(?:FILE|PATH|DIR|URL|URI|HOST|PORT|SOCK|SOCKET|NAME|USER|ID|TTL|TIMEOUT|TYPE|ALGORITHM|LIFETIME|EXPIRY|EXPIRES|LENGTH|LIMIT|MAX_TOKENS|MAX|COUNT|BUDGET|TOKENS|MODE|ENABLED|STORE|COMMAND|HELPER|ASKPASS)$|^(?:GPG_KEY|OLDPWD|PWD)$/;
/** Shorter values stand in ordinary text; longer ones are files. */
const SHORTEST = 8;
const LONGEST = 4096;
const MOST = 64;
/** Bits per character: words and years have less. */
const LEAST_ENTROPY = 2.5;
/** Nothing anybody keeps secret: a path, a truth value, a number, a word, an address. */
const ORDINARY =
  /^(?:[/~.].*|[A-Za-z]:\\.*|true|false|yes|no|\d{1,15}|[a-z]+|[A-Z]+|[A-Z]?[a-z]+(?:[-_ ][a-z]+)*|https?:\/\/[^@]*)$/;

/** What looks like a secret in the environment of a command (`patterns.env_secrets`), by name of the variable. */
export function secretVariables(env: NodeJS.ProcessEnv): Record<string, string> {
  const found: Record<string, string> = {};
  let count = 0;
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || count === MOST || !isSecret(name.toUpperCase(), value)) continue;
    found[name] = value;
    count++;
  }
  return found;
}

function isSecret(name: string, value: string): boolean {
  // Weir's own are not the command's (product.md §9), and never leave this process.
  if (name.startsWith('WEIR_') || name.startsWith('STRATHON_') || name.startsWith('NPM_CONFIG_CACHE')) return false;
  if (!SECRET.test(name) || NO_SECRET.test(name)) return false;
  if (value.length < SHORTEST || value.length > LONGEST || /[\r\n]/.test(value) || ORDINARY.test(value)) return false;
  return entropy(value) >= LEAST_ENTROPY;
}

/** Shannon, in bits per character. */
function entropy(value: string): number {
  const counts = new Map<string, number>();
  for (const letter of value) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  return [...counts.values()].reduce((bits, n) => bits - (n / value.length) * Math.log2(n / value.length), 0);
}
