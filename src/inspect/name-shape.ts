import { isPublicSuffix, registrableDomain } from '../model/domain.ts';

/** What the labels of a host name look like. Lengths in characters. */
export interface NameShape {
  /** Of all parts left of the registrable domain that look computed rather than chosen. */
  readonly computed: number;
  /** The domain's own label looks computed: an algorithm, not a person, thought of it. */
  readonly domain: boolean;
  /** Names there are computed for good reasons: previews, buckets, sandboxes, content identifiers. */
  readonly platform: boolean;
}

/** Shorter parts say nothing: short hashes stand in every preview's and every pod's name. */
const SHORTEST = 8;
/** An owner's label is short and often an abbreviation; only long ones tell. */
const SHORTEST_DOMAIN = 12;
/** Of the pairs in a part, those that words are made of. Words are above .6 (95 %), random letters below .5 (95 % from 16 on). */
const CHOSEN = 0.5;
const CHOSEN_DOMAIN = 0.42;
/** Data cut into very short labels is looked at as one. */
const SHORT_LABEL = 8;
const SHORT_LABELS = 4;
const LEAST_JOINED = 24;

/** The 180 commonest pairs of letters in words of documentation and of package names: first letter, then those that follow it. */
const PAIRS = new Set(
  'abcdgilmnprst baeilou caehiklortu dadeios eacdefgilmnprstvxy faefio geilr haeio iacdefglmnoprstv ke ladeilostuy maeiop nacdefginost obcdlmnoprstuvw paeiloprtu qu racdeimorstuy sacehiopstu tacehiorstuy ubelmnprst vaei wei xp yp ze'
    .split(' ')
    .flatMap(([first = '', ...next]) => next.map((second) => first + second)),
);

/** Where sub-domains are computed by the platform and mean its customer or its content. As their documentation shows, 2026-11. */
const PLATFORMS: readonly string[] = (
  'amazonaws.com on.aws awsapps.com cloudfront.net elasticbeanstalk.com amplifyapp.com awsglobalaccelerator.com ' +
  'windows.net azure.com azure.net azure-api.net azurecr.io azuredatabricks.net azurecontainerapps.io azurestaticapps.net ' +
  'azurewebsites.net azureedge.net azurefd.net trafficmanager.net sharepoint.com dynamics.com powerapps.com powerplatform.com ' +
  'googleapis.com googleusercontent.com usercontent.goog googlevideo.com googlesyndication.com gke.goog run.app web.app ' +
  'appspot.com cloudfunctions.net firebaseapp.com firebaseio.com cloudworkstations.dev claudeusercontent.com oaiusercontent.com ' +
  'pages.dev workers.dev r2.dev r2.cloudflarestorage.com cfargotunnel.com trycloudflare.com vercel.app vercel-storage.com ' +
  'netlify.app github.dev githubusercontent.com githubpreview.dev gitpod.io csb.app staticblitz.com webcontainer.io ' +
  'webcontainer-api.io replit.dev repl.co hf.space hf.co fly.dev onrender.com railway.app herokuapp.com deno.dev modal.run ' +
  'e2b.app e2b.dev daytona.work ngrok.io ngrok.app ngrok.dev ngrok-free.app ngrok-free.dev ts.net dweb.link ipfs.io w3s.link ' +
  'nftstorage.link es.io found.io elastic-cloud.com mongodb.net neon.tech upstash.io supabase.co snowflakecomputing.com ' +
  'databricks.com confluent.cloud redislabs.com cloudamqp.com aivencloud.com sentry.io akamaized.net akamaihd.net ' +
  'akamaiedge.net edgekey.net edgesuite.net fastly.net fastlylb.net b-cdn.net cdn77.org digitaloceanspaces.com ' +
  'ondigitalocean.app force.com salesforce.com fbcdn.net cdninstagram.com nflxvideo.net aaplimg.com'
).split(' ');

/** Names that never leave an organisation, whose parts orchestrators make. */
const INTERNAL = /\.(?:internal|local|localdomain|lan|home\.arpa|in-addr\.arpa|ip6\.arpa)$/;

export function shapeOf(host: string): NameShape {
  const domain = registrableDomain(host);
  const dot = domain.indexOf('.');
  // Below a platform's suffix the label is its customer's, and often the platform's invention.
  const own = isPublicSuffix(domain.slice(dot + 1)) ? domain.slice(0, Math.max(0, dot)) : '';
  const left = host.slice(0, Math.max(0, host.length - domain.length - 1));
  const labels = left === '' ? [] : left.split('.');
  let computed = 0;
  for (const label of labels) computed += computedIn(label);
  const short = labels.filter((label) => label.length <= SHORT_LABEL);
  const joined = short.join('');
  if (short.length >= SHORT_LABELS && joined.length >= LEAST_JOINED && isComputed(joined, CHOSEN)) {
    computed = Math.max(computed, joined.length);
  }
  return {
    computed,
    domain: own.length >= SHORTEST_DOMAIN && computedIn(own, CHOSEN_DOMAIN) >= SHORTEST_DOMAIN,
    platform: INTERNAL.test(host) || PLATFORMS.some((name) => host === name || host.endsWith(`.${name}`)),
  };
}

/** Characters of a label that stand in computed parts. Internationalised labels are encoded by everybody (RFC 3492). */
function computedIn(label: string, chosen = CHOSEN): number {
  if (label.startsWith('xn--')) return 0;
  let length = 0;
  for (const part of label.split(/[-_]/)) {
    if (part.length >= SHORTEST && isComputed(part, chosen)) length += part.length;
  }
  return length;
}

/** Few of its pairs are those of words; a number alone (a date, an account, a version) is somebody's choice. */
function isComputed(part: string, chosen: number): boolean {
  if (/^\d+$/.test(part)) return false;
  let common = 0;
  for (let i = 1; i < part.length; i++) if (PAIRS.has(part.slice(i - 1, i + 1))) common++;
  return common < chosen * (part.length - 1);
}
