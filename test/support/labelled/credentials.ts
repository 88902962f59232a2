import { type Maker, maker } from '../benign/made.ts';
import { BLOCKS, FORMS, type Sample } from './sample.ts';

type Make = (m: Maker) => string;
type Families = Readonly<Record<string, Make>>;

const lower = (m: Maker, n: number): string => m.word(n).toLowerCase();
const upper = (m: Maker, n: number): string => m.word(n).toUpperCase();
const base32 = (m: Maker, n: number): string =>
  Array.from({ length: n }, () => m.pick([...'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'])).join('');

/** One word each, as the issuers document them; written in two parts, so that nobody takes this file for a leak. */
const WORDS: Readonly<Record<string, Families>> = {
  ai: {
    openai: (m) => `sk-${''}proj-${m.base64url(96)}`,
    'openai-legacy': (m) => `sk-${m.word(20)}T3Blbk${'FJ'}${m.word(20)}`,
    anthropic: (m) => `sk-ant-${'api03'}-${m.base64url(69)}AA`,
    huggingface: (m) => `hf_${m.word(60).replace(/\d/g, '').slice(0, 34).padEnd(34, 'xQ')}`,
    groq: (m) => `gsk_${m.word(52)}`,
    xai: (m) => `xai-${m.word(80)}`,
    perplexity: (m) => `pplx-${m.word(48)}`,
    replicate: (m) => `r8_${m.word(37)}`,
    openrouter: (m) => `sk-or-${'v1'}-${m.hex(64)}`,
    nvidia: (m) => `nvapi-${m.base64url(48)}`,
    databricks: (m) => `dapi${m.hex(32)}`,
    langsmith: (m) => `lsv2_${'pt'}_${m.hex(32)}_${m.hex(10)}`,
    pinecone: (m) => `pcsk_${m.word(6)}_${m.word(63)}`,
    tavily: (m) => `tvly-dev-${m.word(32)}`,
    daytona: (m) => `dtn_${m.hex(64)}`,
    'google-auth-key': (m) => `AQ.Ab${m.base64url(36)}`,
  },
  cloud: {
    'aws-key-id': (m) => `AK${'IA'}${base32(m, 16)}`,
    'aws-temporary': (m) => `AS${'IA'}${base32(m, 16)}`,
    'google-api-key': (m) => `AIza${m.base64url(27).slice(0, 35)}`,
    'google-oauth': (m) => `ya29.a0${m.base64url(120)}`,
    'google-client-secret': (m) => `GOCSPX-${m.base64url(21)}`,
    'azure-client-secret': (m) => `${m.word(3)}8Q~${m.word(34)}`,
    digitalocean: (m) => `dop_v1_${m.hex(64)}`,
    heroku: (m) => `HRKU-${m.base64url(45)}`,
    vercel: (m) => `vcp_${m.word(56)}`,
    pulumi: (m) => `pul-${m.hex(40)}`,
    supabase: (m) => `sbp_${m.hex(40)}`,
    dynatrace: (m) => `dt0c01.${base32(m, 24)}.${base32(m, 64)}`,
    netlify: (m) => `nfp_${m.word(36)}`,
    fly: (m) => `fo1_${m.base64url(33).slice(0, 43)}`,
    cloudflare: (m) => `cfut_${m.word(48)}`,
    alibaba: (m) => `LTAI5t${m.word(18)}`,
  },
  code: {
    github: (m) => `ghp_${m.word(36)}`,
    'github-fine-grained': (m) => `github_${'pat'}_11${upper(m, 20)}_${m.word(59)}`,
    'github-server': (m) => `ghs_${m.word(36)}`,
    gitlab: (m) => `glpat-${m.base64url(15)}`,
    'gitlab-runner': (m) => `glrt-${m.base64url(15)}`,
    bitbucket: (m) => `ATBB${m.word(32)}`,
    buildkite: (m) => `bkua_${m.hex(40)}`,
    circleci: (m) => `CCIPAT_${m.word(22)}_${m.hex(40)}`,
    sonarqube: (m) => `sqp_${m.hex(40)}`,
    postman: (m) => `PMAK-${m.hex(24)}-${m.hex(34)}`,
    sourcegraph: (m) => `sgp_${m.hex(16)}_${m.hex(40)}`,
  },
  registries: {
    npm: (m) => `npm_${m.word(36)}`,
    pypi: (m) => `pypi-AgEIcHlwaS5vcmc${m.base64url(120)}`,
    rubygems: (m) => `rubygems_${m.hex(48)}`,
    crates: (m) => `cio${m.word(32)}`,
    nuget: (m) => `oy2${lower(m, 43)}`,
    docker: (m) => `dckr_pat_${m.base64url(20)}`,
    'open-vsx': (m) => `ovsxat_${m.uuid()}`,
  },
  chat: {
    'slack-bot': (m) => `xoxb-${m.digits(12)}-${m.digits(13)}-${m.word(24)}`,
    'slack-app': (m) => `xapp-1-A${upper(m, 10)}-${m.digits(13)}-${m.hex(64)}`,
    'slack-webhook': (m) => `https://hooks.slack.com/services/T${upper(m, 10)}/B${upper(m, 10)}/${m.word(24)}`,
    'discord-webhook': (m) => `https://discord.com/api/webhooks/1${m.digits(18)}/${m.base64url(51)}`,
    telegram: (m) => `${1 + m.next(8)}${m.digits(9)}:AA${m.base64url(25).slice(0, 33)}`,
    sendgrid: (m) => `SG.${m.base64url(16)}.${m.base64url(32)}`,
    mailgun: (m) => `key-${m.hex(32)}`,
    mailchimp: (m) => `${m.hex(32)}-us${1 + m.next(20)}`,
    twilio: (m) => `SK${m.hex(32)}`,
    resend: (m) => `re_${m.word(8)}_${m.word(24)}`,
    brevo: (m) => `xkeysib-${m.hex(64)}-${m.word(16)}`,
  },
  payments: {
    stripe: (m) => `sk_${'live'}_51${m.word(97)}`,
    'stripe-restricted': (m) => `rk_${'live'}_51${m.word(97)}`,
    'stripe-webhook': (m) => `whsec_${m.word(32)}`,
    square: (m) => `sq0atp-${m.base64url(16)}`,
    shopify: (m) => `shpat_${m.hex(32)}`,
    plaid: (m) => `access-production-${m.uuid()}`,
    easypost: (m) => `EZAK${m.word(54)}`,
    flutterwave: (m) => `FLWSECK-${m.hex(32)}-X`,
    xendit: (m) => `xnd_production_${m.word(56)}`,
    midtrans: (m) => `Mid-server-${m.word(24)}`,
  },
  databases: {
    postgres: (m) => `postgresql://app:${m.word(18)}@db.internal.acme.dev:5432/orders`,
    mysql: (m) => `mysql://root:${m.word(14)}@10.0.4.7/shop`,
    mongodb: (m) => `mongodb+srv://svc:${m.word(20)}@cluster0.ab1cd.mongodb.net/prod`,
    redis: (m) => `rediss://default:${m.word(32)}@cache.acme.dev:6380`,
    amqp: (m) => `amqps://worker:${m.word(16)}@mq.acme.dev/vhost`,
    planetscale: (m) => `pscale_tkn_${m.word(43)}`,
    neon: (m) => `napi_${lower(m, 64)}`,
    aiven: (m) => `AVNS_${m.word(19)}`,
  },
  observability: {
    newrelic: (m) => `NRAK-${upper(m, 27)}`,
    'sentry-org': (m) => `sntrys_eyJ${m.word(120)}_${m.word(43)}`,
    grafana: (m) => `glsa_${m.word(32)}_${m.hex(8)}`,
    posthog: (m) => `phx_${m.word(43)}`,
    honeycomb: (m) => `hcaik_01${lower(m, 56)}`,
    coralogix: (m) => `cxtp_${m.word(30)}`,
  },
  identity: {
    vault: (m) => `hvs.${m.base64url(70)}`,
    doppler: (m) => `dp.pt.${m.word(43)}`,
    tailscale: (m) => `tskey-auth-${m.word(12)}CNTRL-${m.word(32)}`,
    onepassword: (m) => `ops_eyJ${m.word(300)}`,
    jwt: (m) =>
      `${Buffer.from('{"alg":"RS256","typ":"JWT"}').toString('base64url')}.${Buffer.from(`{"sub":"${m.uuid()}","exp":1795600000}`).toString('base64url')}.${m.base64url(256)}`,
    jumpcloud: (m) => `jca_${m.word(36)}`,
  },
  productivity: {
    notion: (m) => `ntn_${m.word(46)}`,
    linear: (m) => `lin_api_${m.word(40)}`,
    figma: (m) => `figd_${m.base64url(30)}`,
    atlassian: (m) => `ATATT3xFfGF0${m.word(172)}=${upper(m, 8)}`,
    airtable: (m) => `pat${m.word(14)}.${m.hex(64)}`,
    intercom: (m) => `dG9rO${m.word(54)}=`,
  },
};

const pem = (m: Maker, label: string): string =>
  `-----BEGIN ${label}-----\n${Array.from({ length: 6 }, () => m.base64(48)).join('\n')}\n-----END ${label}-----`;

/** Several lines, or a form that says what it is. */
const TEXTS: Readonly<Record<string, Families>> = {
  keys: {
    rsa: (m) => pem(m, `RSA ${'PRIVATE'} KEY`),
    ec: (m) => pem(m, `EC ${'PRIVATE'} KEY`),
    openssh: (m) => pem(m, `OPENSSH ${'PRIVATE'} KEY`),
    pkcs8: (m) => pem(m, `${'PRIVATE'} KEY`),
    pgp: (m) => pem(m, `PGP ${'PRIVATE'} KEY BLOCK`),
    'service-account': (m) =>
      JSON.stringify({ type: 'service_account', private_key_id: m.hex(40), private_key: pem(m, `${'PRIVATE'} KEY`) }),
    wireguard: (m) => `[Interface]\n${'Private'}Key = ${m.base64(32).replace(/.=$/, '0=')}\nAddress = 10.0.0.2/32`,
  },
  generic: {
    'aws-secret': (m) => `aws_${'secret'}_access_key = ${m.base64(30)}`,
    'azure-storage': (m) =>
      `DefaultEndpointsProtocol=https;AccountName=acme;Account${'Key'}=${m.base64(64)};EndpointSuffix=core.windows.net`,
    'api-key': (m) => `api_${'key'}: "${m.word(32)}"`,
    'client-secret': (m) => `client_${'secret'}=${m.word(40)}`,
    password: (m) => `DB_${'PASS'}WORD=${m.word(10)}!7q`,
    bearer: (m) => `curl -H "Authorization: ${'Bear'}er ${m.word(40)}" https://api.acme.dev/v1`,
    basic: (m) => `Authorization: ${'Bas'}ic ${Buffer.from(`svc-deploy:${m.word(16)}`).toString('base64')}`,
    'url-password': (m) => `git clone https://deploy:${m.word(20)}@git.acme.dev/app.git`,
    netrc: (m) => `machine api.acme.dev login ci ${'pass'}word ${m.word(18)}`,
    datadog: (m) => `DATADOG_${'API'}_KEY=${m.hex(32)}`,
    'npmrc-auth': (m) => `//npm.acme.dev/:_auth${'Token'}=${m.word(36)}`,
    jdbc: (m) => `jdbc:postgresql://db:5432/app?user=app&${'pass'}word=${m.word(14)}`,
  },
};

function placed(seed: number, all: typeof WORDS, forms: typeof FORMS): Sample[] {
  const made = maker(seed);
  const samples: Sample[] = [];
  for (const [category, families] of Object.entries(all)) {
    for (const [family, make] of Object.entries(families)) {
      for (const [form, put] of Object.entries(forms)) {
        // Tokens that anybody issues are what cookies are made of.
        if (family === 'jwt' && form === 'cookie') continue;
        samples.push({ category, family, form, direction: 'request', host: 'evil.test', ...put(make(made)) });
      }
    }
  }
  return samples;
}

export function credentialSamples(): Sample[] {
  return [...placed(21, WORDS, FORMS), ...placed(22, TEXTS, BLOCKS)];
}

/** What looks like one and is none: cut off, too long, filled in, talked about. */
export function credentialNegatives(): Sample[] {
  const made = maker(23);
  const samples: Sample[] = [];
  const put = (category: string, family: string, form: string, text: string): void => {
    samples.push({ category, family, form, direction: 'request', place: 'body', host: 'evil.test', text });
  };
  for (const [category, families] of Object.entries(WORDS)) {
    for (const [family, make] of Object.entries(families)) {
      const secret = make(made);
      const uri = /^[a-z+]+:\/\//.test(secret);
      const [head = ''] = /^[A-Za-z0-9]+[-_.]/.exec(secret) ?? [];
      const prefix = head === '' || head.length > 12 ? secret.slice(0, 4) : head;
      if (uri) continue;
      put(
        category,
        family,
        'talked about',
        `Tokens begin with \`${prefix}\`. Never commit them; use a manager of secrets.`,
      );
      put(category, family, 'filler', `value: ${prefix}${'x'.repeat(Math.max(8, secret.length - prefix.length))}`);
      put(category, family, 'placeholder', `THE_VALUE=${prefix}<your-token-here>`);
      put(category, family, 'variable', `value: "${prefix}\${TOKEN}"`);
      put(category, family, 'cut off', `see ${secret.slice(0, prefix.length + 4)}... in the dashboard`);
    }
  }
  return samples;
}
