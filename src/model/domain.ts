/**
 * Where a name stops being a registry's and starts being somebody's. A short list, not the Public Suffix List: it only has to
 * keep aggregation and "sibling" honest, and an unknown suffix errs towards treating more names as one party.
 */

/** Second-level labels registries use under country codes (`co.uk`, `com.au`). */
const REGISTRY_LABELS: ReadonlySet<string> = new Set(
  'ac co com edu gob gouv gov govt id lg ltd me mil ne net nhs nom or org plc sch'.split(' '),
);

/** Platforms whose customers get a sub-domain: two names under one of them are two parties. Checked 2026-11 against publicsuffix.org. */
const SHARED_SUFFIXES: ReadonlySet<string> = new Set(
  (
    'github.io gitlab.io herokuapp.com vercel.app netlify.app pages.dev workers.dev r2.dev cloudfront.net ' +
    'azurewebsites.net azureedge.net trafficmanager.net web.app firebaseapp.com run.app appspot.com ' +
    'cloudfunctions.net fly.dev onrender.com ngrok.io ngrok.app ngrok.dev ngrok-free.app ngrok-free.dev ' +
    'trycloudflare.com loca.lt serveo.net blogspot.com repl.co replit.dev replit.app hf.space deno.dev surge.sh glitch.me ' +
    'duckdns.org no-ip.org dyndns.org ddns.net supabase.co railway.app render.com myshopify.com ' +
    'wordpress.com zendesk.com oast.fun oast.live oast.me oast.online oast.pro oast.site interact.sh webhook.site ' +
    'stackblitz.io webcontainer.io codesandbox.io csb.app gitpod.io lhr.life modal.run modal.host streamlit.app val.run'
  ).split(' '),
);

/** True for a suffix nobody owns alone (`com`, `co.uk`, `github.io`): a wildcard over it would allow everybody. */
export function isPublicSuffix(name: string): boolean {
  const dot = name.indexOf('.');
  if (dot < 0) return true;
  const rest = name.slice(dot + 1);
  return name.length - dot === 3 && !rest.includes('.') && REGISTRY_LABELS.has(name.slice(0, dot));
}

/** Clouds that put service and region labels between their suffix and the customer's: every host is its own party. */
const CLOUDS: readonly string[] = ['.amazonaws.com', '.core.windows.net', '.googleapis.com', '.digitaloceanspaces.com'];

/**
 * The registrable domain of a normalised name: `a.b.example.co.uk` → `example.co.uk`, `a.x.github.io` → `x.github.io`. IP
 * literals, single labels and hosts of the big clouds are returned as they are.
 */
export function registrableDomain(host: string): string {
  const tail = host.charCodeAt(host.length - 1);
  if ((tail >= 0x30 && tail <= 0x39) || host.includes(':')) return host;
  for (const cloud of CLOUDS) if (host.endsWith(cloud)) return host;
  // Grow the suffix label by label from the right; the answer is one label more than the longest one nobody owns.
  let start = host.length;
  while (start > 0) {
    const previous = host.lastIndexOf('.', start - 2);
    const candidate = host.slice(previous + 1);
    if (!isPublicSuffix(candidate) && !SHARED_SUFFIXES.has(candidate)) return candidate;
    start = previous + 1;
  }
  return host;
}
