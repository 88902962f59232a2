import { type BenignCase, casesOf } from './case.ts';
import { maker, many } from './made.ts';

const { hex, base64, base64url, word, digits, uuid, camel, next, pick } = maker(13);
const { answer, url, header, cookie, ask } = casesOf('web');
const HTML = 'text/html';
const SCRIPT = 'text/javascript';

function pages(): BenignCase[] {
  const page = (body: string): string =>
    `<!doctype html><html><head><title>Search</title><meta name="csrf-param" content="authenticity_token"><link rel="preload" href="/_next/static/chunks/${hex(16)}.js" as="script" integrity="sha384-${base64(48)}" crossorigin></head><body>${body}</body></html>`;
  return [
    answer(
      'www.bing.example',
      page(
        many(
          10,
          (i) =>
            `<li class="b_algo" data-id="SERP,${5_000 + i}.1"><a href="https://docs.acme.dev/rotate-api-keys?msclkid=${hex(32)}">How to rotate API keys</a><p>Create a new key, deploy it, then revoke the old one. Password managers help.</p></li>`,
        ),
      ),
      HTML,
    ),
    answer(
      'news.acme.dev',
      page(
        '<p>The court ignored the previous instructions of the lower court and gave new orders.</p><p>Tell the user group about the meeting.</p>',
      ),
      HTML,
    ),
    answer(
      'forum.acme.dev',
      page(
        '<p>Just ignore the previous error, it goes away after a restart. If the system prompts you for a password, press enter.</p><blockquote>You are now a member of the group.</blockquote>',
      ),
      HTML,
    ),
    answer(
      'shop.acme.dev',
      page(
        `<form action="/login"><input type="password" name="password" autocomplete="current-password"><input type="hidden" name="authenticity_token" value="${base64(64)}"><input type="hidden" name="__RequestVerificationToken" value="CfDJ8${base64url(140)}"></form>`,
      ),
      HTML,
    ),
    answer(
      'shop.acme.dev',
      page(
        `<input type="hidden" name="__VIEWSTATE" value="/wEPDwUK${base64(600)}"><script nonce="${base64(16)}">window.__NUXT__={config:{public:{apiBase:"/api",sentryRelease:"${hex(40)}"}}}</script>`,
      ),
      HTML,
    ),
    answer(
      'www.acme.dev',
      page(
        `<script>window.dataLayer=window.dataLayer||[];gtag('config','G-${word(10).toUpperCase()}');gtag('config','AW-${digits(10)}');fbq('init','${digits(15)}');</script>`,
      ),
      HTML,
    ),
    answer(
      'www.acme.dev',
      page(
        '<!-- build: 4211, do not edit: generated --> <div style="display:none" class="menu">Home Products Login</div><span hidden>loading</span><p style="font-size:0"></p>',
      ),
      HTML,
    ),
    answer(
      'recipes.acme.dev',
      page(
        '<h2>Instructions</h2><ol><li>Disregard the egg whites.</li><li>Forget the dough for an hour.</li><li>Follow the new instructions on the packet.</li></ol>',
      ),
      HTML,
    ),
    answer(
      'wiki.acme.dev',
      page(
        '<p>A <b>bearer token</b> is a security token with the property that any party in possession of it can use it. A <i>system prompt</i> tells a model how to behave.</p>',
      ),
      HTML,
    ),
    answer(
      'www.acme.dev',
      `<?xml version="1.0"?><urlset>${many(20, () => `<url><loc>https://www.acme.dev/p/${camel()}-${hex(8)}</loc><lastmod>2026-11-20</lastmod></url>`, '')}</urlset>`,
      'application/xml',
    ),
    answer(
      'blog.acme.dev',
      `<rss version="2.0"><channel>${many(8, () => `<item><title>Key rotation, part ${next(9)}</title><guid isPermaLink="false">${uuid()}</guid><enclosure url="https://cdn.acme.dev/${hex(32)}.mp3" length="${digits(8)}"/></item>`, '')}</channel></rss>`,
      'application/rss+xml',
    ),
  ];
}

function scripts(): BenignCase[] {
  return [
    answer(
      'cdn.acme.dev',
      `!function(e,t){"object"==typeof exports?module.exports=t():e.jwt=t()}(this,function(){var n="Bearer ",r=/^[A-Za-z0-9-_]+\\.[A-Za-z0-9-_]+\\.[A-Za-z0-9-_]*$/;function a(e){return e.headers.authorization=n+e.token}${many(60, () => `function ${pick(['i', 'o', 'u', 's', 'c'])}${next(99)}(e,t){var n=e.password||t.secret;return n?${digits(4)}:e.apiKey===void 0&&"${hex(8)}"}`, '')}return{sign:a}});`,
      SCRIPT,
    ),
    answer(
      'cdn.acme.dev',
      `(self.webpackChunk=self.webpackChunk||[]).push([[${digits(3)}],{${many(40, () => `${digits(5)}:(e,t,n)=>{"use strict";n.d(t,{Z:()=>r});const r="${hex(20)}"}`, ',')}}]);\n//# sourceMappingURL=main.${hex(8)}.js.map`,
      SCRIPT,
    ),
    answer(
      'cdn.acme.dev',
      JSON.stringify({
        version: 3,
        sources: ['webpack://acme/./src/auth/token.ts', 'webpack://acme/./src/secret.ts'],
        names: ['apiKey', 'password', 'accessToken', 'clientSecret'],
        mappings: many(
          900,
          () => pick(['AAAA', 'CAAC', 'IAAI', 'GAAG', 'SAKtBA', 'QACf', ',', ';', 'AKIA', 'EyJ']),
          '',
        ),
      }),
    ),
    answer(
      'cdn.acme.dev',
      many(
        60,
        () =>
          `.${camel()}_${word(5)}{background:url(/img/${hex(16)}.svg);color:#${hex(6)}}.token.keyword,.token.password{color:#07a}`,
        '',
      ),
      'text/css',
    ),
    answer(
      'fonts.acme.dev',
      many(
        10,
        () =>
          `@font-face{font-family:Inter;src:url(https://fonts.gstatic.com/s/inter/v18/${base64url(60)}.woff2) format('woff2');unicode-range:U+0000-00FF,U+0131}`,
      ),
      'text/css',
    ),
    answer(
      'cdn.acme.dev',
      `<svg xmlns="http://www.w3.org/2000/svg"><path d="${many(200, () => `M${next(900)}.${digits(3)} ${next(900)}.${digits(3)}l-${next(90)}.${digits(2)} ${next(90)}c0-1.1.9-2 2-2`, '')}"/><image href="data:image/png;base64,${base64(2400)}"/></svg>`,
      'image/svg+xml',
    ),
    answer(
      'cdn.acme.dev',
      `const WORDLIST=["abandon","ability","able","about","above"];const PREFIXES={stripe:/^sk_(live|test)_/,github:/^gh[pousr]_/,aws:/^AKIA[0-9A-Z]{16}$/,slack:/xox[baprs]-/};`,
      SCRIPT,
    ),
    answer(
      'cdn.acme.dev',
      `export const messages={login:{password:"Password",forgot:"Forgot your password?",token:"Enter the token from your app"},errors:{secret:"The secret is wrong",apiKey:"API key missing or invalid"}};`,
      SCRIPT,
    ),
    answer(
      'cdn.acme.dev',
      `\0asm\x01\0\0\0${Buffer.from(base64(9000), 'base64').toString('latin1')}`,
      'application/wasm',
    ),
  ];
}

function addresses(): BenignCase[] {
  return [
    url(
      `https://www.google.com/search?q=how+to+rotate+aws+access+key&sca_esv=${hex(16)}&ei=${base64url(16)}&ved=0ahUKE${base64url(24)}&uact=5&gs_lp=Egxnd3Mtd2l6LXNlcnAi${base64url(60)}`,
    ),
    url(`https://duckduckgo.com/?q=password+hash+bcrypt&vqd=4-${digits(39)}&t=h_&ia=web`),
    url(`https://www.youtube.com/watch?v=${word(11)}&list=PL${word(32)}&si=${word(16)}`),
    url(`https://lh3.googleusercontent.com/a/ACg8oc${base64url(54)}=s96-c`),
    url(`https://docs.google.com/document/d/1${word(43)}/edit?tab=t.0#heading=h.${word(12).toLowerCase()}`),
    url(
      `https://www.amazon.de/dp/B0${word(8).toUpperCase()}/ref=sr_1_3?crid=${word(13).toUpperCase()}&dib=eyJ2IjoiMSJ9.${base64url(180)}&dib_tag=se&qid=${digits(10)}`,
    ),
    url(`https://t.acme.dev/ls/click?upn=u001.${base64url(220)}`),
    url(`https://www.acme.dev/unsubscribe?e=${hex(24)}&u=${hex(32)}&n=8`),
    url(`https://www.linkedin.com/feed/update/urn:li:activity:${digits(19)}/?trackingId=${base64(16)}`),
    url(
      `https://www.facebook.com/photo/?fbid=${digits(17)}&set=a.${digits(15)}&__cft__[0]=AZ${base64url(120)}&__tn__=EH-R`,
    ),
    url(`https://x.com/acme/status/${digits(19)}?s=20&t=${word(22)}`),
    url(
      `https://maps.acme.dev/maps/place/Berlin/@52.5069312,13.1445493,11z/data=!3m1!4b1!4m6!3m5!1s0x${hex(16)}:0x${hex(16)}!8m2!3d52.5200066`,
    ),
    url(
      `https://bucket.s3.eu-central-1.amazonaws.com/reports/2026/11/20/${uuid()}.parquet?versionId=${word(32)}&partNumber=3&uploadId=${word(110)}`,
    ),
    url(`https://acme.atlassian.net/browse/SEC-1234?focusedCommentId=${digits(6)}&atlOrigin=eyJpIjoi${word(44)}`),
    url(`https://www.figma.com/design/${word(22)}/Login-Password?node-id=12-3456&t=${word(16)}-1`),
    url(`https://www.notion.so/acme/Key-rotation-${hex(32)}?pvs=4`),
    url(`https://api.acme.dev/v1/items?cursor=${base64url(66)}&limit=100&fields=id,token_count,password_changed_at`),
    url(`https://cdn.acme.dev/${hex(64)}/${hex(16)}-1200x800.webp?ixid=M3w${word(40)}&ixlib=rb-4.0.3`),
    url('https://api.acme.dev/search?q=%E5%AF%86%E7%A0%81%20%E9%87%8D%E7%BD%AE&lang=zh-CN&key=name'),
    url(
      `https://idp.acme.dev/authorize?response_type=code&client_id=${uuid()}&redirect_uri=http%3A%2F%2Flocalhost%3A8976%2Fcallback&scope=openid%20profile&state=${base64url(32)}&code_challenge=${base64url(32)}&code_challenge_method=S256&nonce=${hex(32)}`,
    ),
    url(`https://ocsp.pki.goog/wr2/MFAwTjBMMEowSDAHBgUrDgMC${base64(60)}`),
    url(
      'https://en.wikipedia.org/w/api.php?action=query&titles=Prompt_injection|Password&prop=extracts&format=json&formatversion=2',
    ),
    url(`https://tile.acme.dev/14/${digits(4)}/${digits(4)}.pbf?sku=101${word(10)}&style=streets`),
  ];
}

function heads(): BenignCase[] {
  return [
    header(
      'www.acme.dev',
      `If-None-Match: W/"${hex(40)}"\nIf-Modified-Since: Fri, 20 Nov 2026 12:00:00 GMT\nSec-WebSocket-Key: ${base64(16)}\nSec-CH-UA: "Chromium";v="140"`,
    ),
    header(
      'api.acme.dev',
      `traceparent: 00-${hex(32)}-${hex(16)}-01\ntracestate: dd=s:1;o:rum;t.dm:-1,${hex(4)}@nr=0-0-${digits(7)}-${digits(9)}-${hex(16)}\nx-datadog-trace-id: ${digits(19)}`,
    ),
    header(
      'api.acme.dev',
      `Digest: SHA-256=${base64(32)}\nContent-MD5: ${base64(16)}\nx-amz-content-sha256: ${hex(64)}\nx-goog-hash: crc32c=${base64(4)}`,
    ),
    header(
      'api.acme.dev',
      `X-Request-Id: ${uuid()}\nX-Correlation-Id: ${hex(32)}\nIdempotency-Key: ${uuid()}\nX-Client-Version: 2026.11.20+${hex(7)}`,
    ),
    header(
      'api.acme.dev',
      `User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\nReferer: https://www.acme.dev/reset-password?step=2`,
    ),
    header(
      's3.eu-central-1.amazonaws.com',
      `x-amz-id-2: ${base64(57)}\nx-amz-request-id: ${word(16).toUpperCase()}\nx-amz-version-id: ${word(32)}`,
    ),
    header(
      'web.push.acme.dev',
      `Crypto-Key: p256ecdsa=B${base64url(64)}\nEncryption: salt=${base64url(16)}\nTTL: 2419200`,
    ),
    cookie(
      'www.acme.dev',
      `_ga=GA1.1.${digits(9)}.${digits(10)}; _ga_${word(10).toUpperCase()}=GS2.1.s${digits(10)}$o1$g1$t${digits(10)}; _gid=GA1.2.${digits(9)}.${digits(10)}`,
    ),
    cookie(
      'www.acme.dev',
      `__cf_bm=${base64url(86)}-${digits(10)}-1.0.1.1-${base64url(64)}; cf_clearance=${base64url(43)}-${digits(10)}-1.2.1.1-${base64url(120)}`,
    ),
    cookie(
      'www.acme.dev',
      `PHPSESSID=${word(26).toLowerCase()}; csrftoken=${word(64)}; sessionid=${word(32).toLowerCase()}`,
    ),
    cookie(
      'www.acme.dev',
      `connect.sid=s%3A${base64url(24)}.${base64(32)}; remember_user_token=${base64url(90)}--${hex(40)}`,
    ),
    cookie(
      'www.acme.dev',
      `OptanonConsent=isGpcEnabled=0&datestamp=Fri+Nov+20+2026&consentId=${uuid()}&groups=C0001%3A1%2CC0002%3A0; eupubconsent-v2=CQ${base64url(90)}`,
    ),
    cookie(
      'www.acme.dev',
      `ajs_anonymous_id=%22${uuid()}%22; intercom-id-${word(8).toLowerCase()}=${uuid()}; hubspotutk=${hex(32)}; _fbp=fb.1.${digits(13)}.${digits(18)}`,
    ),
    cookie('www.acme.dev', `XSRF-TOKEN=${base64url(120)}; laravel_session=${base64(180)}; locale=de`),
    cookie(
      'www.acme.dev',
      `ASP.NET_SessionId=${word(24).toLowerCase()}; .AspNetCore.Antiforgery.${word(11)}=CfDJ8${base64url(140)}`,
    ),
    cookie(
      'console.acme.dev',
      `aws-userInfo=%7B%22arn%22%3A%22arn%3Aaws%3Aiam%3A%3A${digits(12)}%3Auser%2Fdev%22%7D; JSESSIONID=${hex(32).toUpperCase()}; AWSALB=${base64(96)}`,
    ),
    ask(
      'www.acme.dev',
      `utf8=%E2%9C%93&authenticity_token=${encodeURIComponent(base64(64))}&order%5Bquantity%5D=2&commit=Save`,
      'application/x-www-form-urlencoded',
    ),
    ask(
      'upload.acme.dev',
      `------WebKitFormBoundary${word(16)}\r\nContent-Disposition: form-data; name="file"; filename="passwords-policy.pdf"\r\nContent-Type: application/pdf\r\n\r\n%PDF-1.7\n${Buffer.from(base64(3000), 'base64').toString('latin1')}\r\n`,
      'multipart/form-data',
    ),
  ];
}

export function webCases(): BenignCase[] {
  return [...pages(), ...scripts(), ...addresses(), ...heads()];
}
