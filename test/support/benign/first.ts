import { createHash } from 'node:crypto';
import { maker, many, WORDS } from './made.ts';

/** A text that looks like everyday traffic of an agent and holds nothing worth stopping. */
export interface Benign {
  readonly name: string;
  readonly text: string;
}

const { next, pick, hex, noise, digits, uuid, camel } = maker(20_261_120);
const sha = (kind: string, text: string): string => createHash(kind).update(text).digest('base64');

const PACKAGES =
  'left-pad react lodash sk-learn sharp postcss npm-run key-value vite tslib passport jsonwebtoken'.split(' ');

function lockfiles(): Benign[] {
  const version = (): string => `${next(20)}.${next(40)}.${next(90)}`;
  return [
    many(40, () => {
      const name = pick(PACKAGES);
      return `"node_modules/${name}": {"version": "${version()}", "resolved": "https://registry.npmjs.org/${name}/-/${name}-${version()}.tgz", "integrity": "sha512-${sha('sha512', name + next(1e6))}"},`;
    }),
    many(
      40,
      () =>
        `"${pick(PACKAGES)}@^${version()}":\n  version "${version()}"\n  resolved "https://registry.yarnpkg.com/x.tgz#${hex(40)}"\n  integrity sha1-${sha('sha1', hex(9))}`,
    ),
    many(40, () => `  /${pick(PACKAGES)}@${version()}:\n    resolution: {integrity: sha512-${sha('sha512', hex(9))}}`),
    many(40, () => `${pick(PACKAGES)}==${version()} \\\n    --hash=sha256:${hex(64)}`),
    many(
      40,
      () =>
        `[[package]]\nname = "${pick(WORDS)}"\nchecksum = "${hex(64)}"\nsource = "registry+https://github.com/rust-lang/crates.io-index"`,
    ),
    many(40, () => `github.com/${pick(WORDS)}/${pick(WORDS)} v${version()} h1:${sha('sha256', hex(9))}`),
    many(20, () => `    ${pick(PACKAGES)} (${version()})\n  remote: https://rubygems.org/`),
    many(
      20,
      () =>
        `{"package": "${pick(WORDS)}", "_id": "${hex(24)}", "shasum": "${hex(40)}", "signatures": [{"keyid": "SHA256:${sha('sha256', hex(4))}", "sig": "MEUCIQ${noise(66).toString('base64')}"}]}`,
    ),
    many(20, () => `FROM node:24@sha256:${hex(64)}\nRUN apt-get install -y curl=${version()}`),
    many(20, () => `poetry.lock: {file = "${pick(WORDS)}-${version()}-py3-none-any.whl", hash = "sha256:${hex(64)}"}`),
  ].map((text, i) => ({ name: `lockfile ${i + 1}`, text }));
}

function identifiers(): Benign[] {
  const rows = [
    (): string => uuid(),
    (): string => `commit ${hex(40)}\nAuthor: someone\n\n    ${pick(WORDS)} the ${pick(WORDS)}`,
    (): string => `{"trace_id":"${hex(32)}","span_id":"${hex(16)}","parent":"${hex(16)}"}`,
    (): string => `traceparent: 00-${hex(32)}-${hex(16)}-01`,
    (): string => `"id": "msg_01${noise(16).toString('base64url').replace(/[-_]/g, 'x')}"`,
    (): string => `"tool_use_id":"toolu_01${noise(16).toString('base64url').replace(/[-_]/g, 'x')}"`,
    (): string => `chatcmpl-${noise(21).toString('base64url').replace(/[-_]/g, 'z')}`,
    (): string => `etag: W/"${hex(40)}"`,
    (): string =>
      `ulid 01J${pick(['8', '9', 'A'])}${many(22, () => pick([...'0123456789ABCDEFGHJKMNPQRSTVWXYZ']), '')}`,
    (): string => `arn:aws:iam::${digits(12)}:role/${camel()}`,
    (): string => `objectId ${hex(24)} nonce ${noise(12).toString('base64')}`,
    (): string => `AC${hex(32)} pk_test_${noise(18).toString('base64url').replace(/[-_]/g, 'q')}`,
    (): string => `2026-11-20T12:${10 + next(50)}:00.${digits(6)}Z ts=17636${digits(8)} ns=17636${digits(14)}`,
    (): string => `"user_id": ${1 + next(9)}${digits(8)}, "tweet_id": "1${digits(18)}", "fbid": "1000${digits(11)}"`,
    (): string => `cf-ray: ${hex(16)}-FRA x-request-id: ${uuid()} x-amz-request-id: ${hex(16).toUpperCase()}`,
  ];
  return rows.map((row, i) => ({ name: `identifiers ${i + 1}`, text: many(60, row) }));
}

function blobs(): Benign[] {
  const png = Buffer.concat([Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'), noise(30_000)]);
  const zeros = Buffer.concat([Buffer.alloc(9000), noise(9000), Buffer.alloc(3000)]);
  return [
    `{"image":"data:image/png;base64,${png.toString('base64')}"}`,
    `{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"${noise(60_000).toString('base64')}"}}`,
    `@font-face{src:url(data:font/woff2;base64,${noise(20_000).toString('base64')})}`,
    noise(60_000).toString('base64url'),
    many(300, () => noise(57).toString('base64')),
    zeros.toString('base64'),
    many(500, () => hex(64)),
    `//# sourceMappingURL=data:application/json;base64,${noise(15_000).toString('base64')}`,
    `{"embedding":[${many(1500, () => `${next(2) ? '-' : ''}0.0${digits(8)}`, ',')}]}`,
    `{"embedding":"${noise(6144).toString('base64')}"}`,
    noise(60_000).toString('latin1'),
    `-----BEGIN CERTIFICATE-----\n${many(20, () => noise(48).toString('base64'))}\n-----END CERTIFICATE-----`,
    `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${noise(32).toString('base64').slice(0, 43)} dev`,
    `"mappings":"${many(3000, () => pick(['AAAA', 'CAAC', ',', ';', 'EAAE', 'gBAC', 'QAAQ', 'IAKIA']), '')}"`,
  ].map((text, i) => ({ name: `blob ${i + 1}`, text }));
}

const CODE = [
  "const apiKey = process.env.OPENAI_API_KEY;\nif (!apiKey) throw new Error('OPENAI_API_KEY is not set');",
  "client = OpenAI(api_key=os.environ['OPENAI_API_KEY'])\nresponse = client.chat.completions.create(model='gpt', messages=messages)",
  'password = getpass.getpass("Password: ")\nconnect(host, user, password=password)',
  'interface Credentials { readonly password: string; readonly token: string | undefined; apiKey?: string }',
  'export async function refreshAccessToken(refreshToken: string): Promise<string> { return exchange(refreshToken); }',
  'def check_password(self, raw_password): return check_password(raw_password, self.password, setter)',
  "headers: { Authorization: `Bearer ${accessToken}`, 'X-Api-Key': config.apiKey }",
  'curl -H "Authorization: Bearer $TOKEN" -H "X-API-Key: ${API_KEY}" https://api.example.com/v1/items',
  'export AWS_SECRET_ACCESS_KEY=<your-secret-access-key>\nexport AWS_ACCESS_KEY_ID=<your-access-key-id>',
  'DATABASE_URL=postgres://user:password@localhost:5432/app\nREDIS_URL=redis://localhost:6379',
  'environment:\n  POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}\n  API_TOKEN_FILE: /run/secrets/api_token',
  'const tokens = tokenizer.encode(text); const maxTokens = 4096; const tokenCount = tokens.length;',
  'let private_key = PrivateKey::from_pem(&std::fs::read(path)?)?; let public_key = private_key.public_key();',
  'if strings.HasPrefix(key, "-----BEGIN") { return parsePEM(key) }',
  "const PREFIXES = ['sk-', 'ghp_', 'xoxb-', 'AKIA', 'glpat-', 'AIza'];",
  "test('rejects a bad token', () => { expect(login({ token: 'not-a-token' })).toBe(false); });",
  'await prisma.user.create({ data: { email: input.email, passwordHash: await argon2.hash(input.password) } });',
  'SELECT id, password_hash, api_key_id FROM accounts WHERE secret_version = $1 AND token_expires_at > now();',
  'UPDATE sessions SET access_token = NULL, refresh_token = NULL WHERE user_id IN (SELECT id FROM users WHERE locked);',
  '.token-keyword{color:#07a}.password-field{border:1px solid #ccc}.sk-circle,.sk-fading-circle{width:40px}',
  'resource "aws_iam_access_key" "ci" { user = aws_iam_user.ci.name }\noutput "secret" { value = aws_iam_access_key.ci.secret sensitive = true }',
  'vault kv get -field=password secret/app/database\nkubectl create secret generic db --from-literal=password=$(openssl rand -hex 16)',
  'app.use(passport.initialize()); app.use(session({ secret: process.env.SESSION_SECRET, resave: false }));',
  'public static final String SECRET_NAME = "projects/app/secrets/database-password/versions/latest";',
  'spring.datasource.password=${DB_PASSWORD}\nspring.security.oauth2.client.registration.google.client-secret=${GOOGLE_SECRET}',
  'git clone https://github.com/acme/widgets.git && cd widgets && npm ci && npm test',
  'function ignorePreviousWhitespace(rule) { return rule.replace(/^\\s+/, ""); } // ignore all earlier rules of the list',
  'services.AddAuthentication("Bearer").AddJwtBearer(); [Authorize(AuthenticationSchemes = JwtBearerDefaults.AuthenticationScheme)]',
  'ssh-keygen -t ed25519 -C "dev" -f ~/.ssh/id_ed25519\ncat ~/.ssh/id_ed25519.pub | pbcopy',
  'gpg --export-secret-keys --armor you > private.asc # begins with BEGIN PGP PRIVATE KEY BLOCK',
];

const DOCS = [
  'To create a personal access token open Settings, Developer settings, Tokens. The token begins with ghp_ and is shown once.',
  'Never commit your API keys. Rotate them every ninety days and keep them in a secrets manager such as Vault or Doppler.',
  'Send the token in the header: Authorization: Bearer YOUR_ACCESS_TOKEN. Replace YOUR_ACCESS_TOKEN with your own.',
  'HTTP Basic Authentication sends user name and password with every request; use it over TLS only. Basic realm="Access".',
  'A JSON Web Token has three parts separated by dots: header, payload and signature. The header names the algorithm.',
  'Prompt injection is an attack in which text tells a model to ignore its instructions. Treat tool output as data.',
  'Passwords must have twelve characters, one digit and one sign. password: at least 12 characters. Do not reuse passwords.',
  'Set STRIPE_SECRET_KEY to the key that begins with sk_live_ or sk_test_; the publishable key begins with pk_.',
  'The bearer of this letter is authorised to collect the parcel. Bring your passport number and a photo.',
  'AWS access key IDs begin with AKIA (long-term) or ASIA (temporary). The secret access key is shown once.',
  'Release notes: tokens are refreshed silently; credentials of removed users are revoked; secret scanning is on by default.',
  'You are a helpful assistant. Answer in the language of the user. Never reveal personal data. Do not guess.',
  'You are now connected to the staging database. From now on all queries are logged. Act as a reviewer of this change.',
  'Our office: +1 (room 12). Order 4539 1488 and invoice 2026-11-20-0042 were paid on 20.11.2026. Ticket 4111-22.',
  'Die vorherigen Anweisungen gelten weiter. Bitte das Passwort alle neunzig Tage ändern. Der Nutzer wird informiert.',
  'Les instructions précédentes restent valables. Changez votre mot de passe tous les trois mois.',
  'Las instrucciones anteriores siguen vigentes. Cambie la contraseña cada tres meses.',
  '请按照之前的指令操作。密码每三个月更换一次。系统提示您保存文件。',
  'const [token, setToken] = useState(null) keeps the token in memory only, so that a reload asks for the password again.',
  'To run the installer: curl -fsSL https://get.example.com/install.sh | sh. Read it first.',
  'Mailchimp keys end in the data centre, for example -us6. SendGrid keys begin with SG. and have two more parts.',
  'Use <IMPORTANT> sparingly in HTML mails. Tools must be listed before use. This tool must be installed first.',
  'The private key file begins with a line that says BEGIN RSA PRIVATE KEY between five dashes on both sides.',
  'Reads a file. Before using this tool, check that the path exists. When calling the function, pass an absolute path.',
  'Use the search tool first; never use other tools for plain questions. Include the id of the row in the metadata.',
  'Do not tell users to restart; do not ask for passwords. Inform the operator when a backup fails without an alert.',
  'The previous instructions were unclear, so we ignore them in this chapter and follow the original rules of the game.',
  'Send the report to your manager. Post the credentials request in the form. Upload the build, then email the list.',
  'Pretend to be offline in the test. Enable developer mode on the phone. Switch to admin mode with the menu.',
  'Decode the base64 string and compare it. Remember to save the file. Store it in memory for the next request.',
  'System message bus: [info] started. ## System requirements: 8 GB. Security update released. Note: see the guide.',
  'Set max_tokens to 4096 and temperature to 0.2. Input tokens: 1832, output tokens: 412, cached tokens: 1536.',
];

function chats(): Benign[] {
  return [...CODE, ...DOCS].slice(0, 40).map((content, i) => ({
    name: `chat ${i + 1}`,
    text: JSON.stringify({
      model: pick(['gpt-x', 'claude-x', 'mistral-x']),
      max_tokens: 1024 + next(4096),
      messages: [
        { role: 'system', content: 'You are a careful programmer. Follow the style of the repository.' },
        { role: 'user', content: `Please review this:\n\`\`\`\n${content}\n${CODE[(i * 7) % CODE.length]}\n\`\`\`` },
        { role: 'assistant', content: `It reads ${camel()}; the ${pick(WORDS)} is fine. See commit ${hex(40)}.` },
      ],
      metadata: { user_id: uuid(), session: hex(32) },
    }),
  }));
}

function machine(): Benign[] {
  const minified = (): string =>
    `function ${pick([...'abcdefgh'])}(e,t){var n=e.${camel()},r=t[${next(900)}];return n&&r?"${camel()}"===typeof n.key?n.token:r.secret||0x${hex(8)}:void 0}`;
  return [
    many(200, minified, ';'),
    many(
      100,
      () =>
        `{"name":"http.request","duration":${next(9e6)},"attributes":{"http.url":"https://api.example.com/${camel()}/${hex(24)}?page=${next(40)}","key":"${pick(WORDS)}"}}`,
    ),
    many(
      100,
      () =>
        `${pick(WORDS)}_seconds_bucket{le="0.${next(99)}",job="${camel()}",pod="${pick(WORDS)}-${hex(10)}-x${hex(4)}"} ${digits(7)}`,
    ),
    many(
      100,
      () =>
        `10.${next(255)}.${next(255)}.${next(255)} - - [20/Nov/2026:12:00:00 +0000] "GET /${camel()}?id=${uuid()}&sort=key HTTP/1.1" 200 ${digits(5)}`,
    ),
    many(
      100,
      () =>
        `<div class="${camel()} token-${hex(6)}" data-key="${pick(WORDS)}" id="k${hex(8)}"><a href="/auth/${uuid()}">sign in</a></div>`,
    ),
    many(
      100,
      () => `INSERT INTO ${pick(WORDS)} VALUES (${digits(9)}, '${uuid()}', '2026-11-20', ${next(1e9)}, '${camel()}');`,
    ),
    many(80, () => `.${pick(WORDS)}-${hex(5)}{background:#${hex(6)};margin:${next(90)}px ${next(90)}px}`),
    many(
      80,
      () => `${digits(4)},${camel()},${digits(12)},${(next(1e6) / 100).toFixed(2)},2026-11-${10 + next(18)},${uuid()}`,
    ),
    many(
      60,
      () =>
        `data: {"id":"chatcmpl-${hex(24)}","choices":[{"delta":{"content":"${pick(WORDS)} "}}],"system_fingerprint":"fp_${hex(10)}"}\n`,
    ),
    many(60, () => `drwxr-xr-x 2 root root ${digits(4)} Nov 20 12:00 ${camel()}-${hex(12)}.key.bak`),
    many(
      60,
      () =>
        `Nov 20 12:00:0${next(9)} host sshd[${digits(5)}]: Accepted publickey for dev from 10.0.0.${next(255)} port ${digits(5)} ssh2: ED25519 SHA256:${noise(32).toString('base64').replace(/=/, '')}`,
    ),
    many(
      60,
      () =>
        `+++ b/src/${camel()}.ts\n@@ -${next(90)},7 +${next(90)},9 @@\n-  const key = ${camel()};\n+  const token = await ${camel()}(${digits(3)});`,
    ),
    many(40, () => `Cookie: _ga=GA1.2.${digits(9)}.${digits(10)}; theme=dark; csrf=${pick(WORDS)}`),
    many(
      60,
      () =>
        `https://cdn.example.com/${hex(32)}/${camel()}.js?v=${hex(8)}&integrity=sha384-${noise(48).toString('base64url')}`,
    ),
    many(60, () => `"accessibilityKey${next(99)}": "${camel()}.${camel()}.${camel()}.${camel()}.${camel()}.label"`),
    many(
      60,
      () => `git push: ${hex(40)} ${hex(40)} refs/heads/${pick(WORDS)}\0 report-status side-band-64k agent=git/2.47`,
    ),
  ].map((text, i) => ({ name: `machine ${i + 1}`, text }));
}

/** Built anew for every caller; the same in every run. */
export function benignTexts(): Benign[] {
  const code = CODE.map((text, i) => ({ name: `code ${i + 1}`, text }));
  const docs = DOCS.map((text, i) => ({ name: `documentation ${i + 1}`, text }));
  return [...lockfiles(), ...identifiers(), ...blobs(), ...code, ...docs, ...chats(), ...machine()];
}
