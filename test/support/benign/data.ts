import { type BenignCase, casesOf } from './case.ts';
import { maker, many } from './made.ts';

const { hex, base64, base64url, uuid, word, digits, camel, next } = maker(18);
const data = casesOf('data');
const LINES = 'text/plain';

function logs(): BenignCase[] {
  const ip = (): string => `${1 + next(222)}.${next(255)}.${next(255)}.${next(255)}`;
  return [
    data.ask(
      'logs.acme.dev',
      many(
        40,
        () =>
          `${ip()} - - [20/Nov/2026:12:00:0${next(9)} +0000] "POST /oauth/token HTTP/2.0" 200 ${digits(4)} "-" "okhttp/4.12.0" rt=0.${digits(3)} rid=${uuid()}`,
      ),
      LINES,
    ),
    data.ask(
      'logs.acme.dev',
      many(
        30,
        () =>
          `Nov 20 12:00:0${next(9)} bastion sshd[${digits(5)}]: Failed password for invalid user admin from ${ip()} port ${digits(5)} ssh2`,
      ),
      LINES,
    ),
    data.ask(
      'logs.acme.dev',
      many(
        30,
        () => `2026-11-20T12:00:00.${digits(3)}Z INFO  [auth] token refreshed user=${uuid()} jti=${uuid()} ttl=3600`,
      ),
      LINES,
    ),
    data.ask(
      'logs.acme.dev',
      many(30, () =>
        JSON.stringify({
          eventSource: 'kms.amazonaws.com',
          eventName: 'GenerateDataKey',
          requestID: uuid(),
          eventID: uuid(),
          resources: [{ ARN: `arn:aws:kms:eu-central-1:${digits(12)}:key/${uuid()}` }],
        }),
      ),
      LINES,
    ),
    data.ask(
      'logs.acme.dev',
      many(
        30,
        () =>
          `[${digits(6)}.${digits(6)}] audit: type=1400 audit(${digits(10)}.${digits(3)}:${digits(4)}): apparmor="DENIED" operation="open" name="/etc/shadow" pid=${digits(5)}`,
      ),
      LINES,
    ),
    data.ask(
      'logs.acme.dev',
      many(
        20,
        () =>
          `time="2026-11-20" level=error msg="pull access denied for acme/${camel()}, repository does not exist or may require 'docker login'" container=${hex(64)}`,
      ),
      LINES,
    ),
    data.answer(
      'ci.acme.dev',
      `##[group]Run npm ci\nadded 412 packages in 9s\n##[endgroup]\n::add-mask::***\nNPM_TOKEN: ***\n  API_KEY: ****************\nCache restored from key: Linux-node-${hex(64)}\nUploading artifact ${digits(10)}, digest sha256:${hex(64)}`,
      LINES,
    ),
    data.answer(
      'ci.acme.dev',
      many(
        20,
        (i) =>
          `${i} passing (${next(900)}ms) ✓ rejects a wrong password  ✓ issues a token  ✗ api key must be 32 characters`,
      ),
      LINES,
    ),
    data.answer(
      'ci.acme.dev',
      `$ env | sort\nCI=true\nGITHUB_SHA=${hex(40)}\nGITHUB_RUN_ID=${digits(11)}\nPASSWORD=***\nAWS_SECRET_ACCESS_KEY=***\nRUNNER_TRACKING_ID=github_${uuid()}`,
      LINES,
    ),
    data.answer(
      'ci.acme.dev',
      `+ terraform plan\n  # aws_secretsmanager_secret_version.db will be updated\n  ~ secret_string = (sensitive value)\n  # random_password.db: result = (sensitive value), bcrypt_hash = (sensitive value)\nPlan: 0 to add, 1 to change.`,
      LINES,
    ),
  ];
}

function tables(): BenignCase[] {
  return [
    data.ask(
      'db.acme.dev',
      `CREATE TABLE users (id bigint PRIMARY KEY, email text, password_hash bytea NOT NULL, api_key_id uuid);\nCOPY users FROM stdin;\n${many(30, () => `${digits(9)}\tuser${digits(5)}@example.com\t\\\\x${hex(64)}\t${uuid()}`)}\n\\.`,
      'application/sql',
    ),
    data.ask(
      'db.acme.dev',
      many(
        30,
        () =>
          `INSERT INTO orders (id, tracking, amount, created) VALUES (${digits(12)}, '1Z${word(16).toUpperCase()}', ${digits(4)}.99, '2026-11-20');`,
      ),
      'application/sql',
    ),
    data.ask(
      'db.acme.dev',
      `id,name,street,zip,city,order_no,tracking\n${many(30, () => `${digits(6)},Maria Example,Hauptstr. ${next(90)},${digits(5)},Berlin,ORD-2026-${digits(8)},${digits(20)}`)}`,
      'text/csv',
    ),
    data.ask(
      'db.acme.dev',
      `sku;ean;isbn;price\n${many(30, () => `SKU-${digits(7)};400${digits(10)};978${digits(10)};${digits(2)},${digits(2)}`)}`,
      'text/csv',
    ),
    data.ask(
      'db.acme.dev',
      `ts,sensor,value\n${many(60, () => `${digits(13)},s${digits(3)},${digits(2)}.${digits(12)}`)}`,
      'text/csv',
    ),
    data.answer(
      'api.acme.dev',
      JSON.stringify({
        items: [1, 2, 3, 4].map(() => ({
          id: hex(24),
          sku: digits(13),
          imei: `35${digits(13)}`,
          serial: word(12).toUpperCase(),
          phone: `+49 30 ${digits(8)}`,
          order: digits(16),
        })),
      }),
    ),
    data.answer(
      'api.acme.dev',
      JSON.stringify({
        rows: [...'12345'].map(() => ({
          account: `DE00 0000 0000 ${digits(4)} 0000 00`,
          reference: `RF00${digits(12)}`,
          masked_card: `**** **** **** ${digits(4)}`,
          bin: '411111',
        })),
      }),
    ),
    data.answer(
      'api.acme.dev',
      JSON.stringify({
        blockHash: `0x${hex(64)}`,
        transactionHash: `0x${hex(64)}`,
        logsBloom: `0x${hex(512)}`,
        gasUsed: `0x${hex(6)}`,
        nonce: `0x${hex(16)}`,
      }),
    ),
    data.answer(
      'api.acme.dev',
      `{"type":"FeatureCollection","features":[${many(20, () => `{"type":"Feature","id":"way/${digits(9)}","geometry":{"type":"Point","coordinates":[13.${digits(14)},52.${digits(14)}]}}`, ',')}]}`,
    ),
    data.ask(
      'api.acme.dev',
      JSON.stringify({
        nbformat: 4,
        cells: [
          {
            cell_type: 'code',
            id: hex(8),
            source: ['import os\n', "token = os.environ['HF_TOKEN']\n", 'login(token=token)'],
            outputs: [{ data: { 'image/png': base64(4000), 'text/plain': ['<Figure size 640x480>'] } }],
          },
        ],
        metadata: { kernelspec: { name: 'python3' } },
      }),
    ),
    data.answer(
      'api.acme.dev',
      many(12, () => `0000${hex(4)}: ${many(8, () => hex(4), ' ')}  ................`),
      LINES,
    ),
    data.answer(
      'keys.acme.dev',
      JSON.stringify({
        keys: [
          {
            kty: 'RSA',
            use: 'sig',
            kid: hex(40),
            n: base64url(256),
            e: 'AQAB',
            alg: 'RS256',
            x5c: [base64(700)],
            x5t: base64url(20),
          },
        ],
      }),
    ),
    data.answer(
      'keys.acme.dev',
      `-----BEGIN CERTIFICATE-----\n${many(16, () => base64(48))}\n-----END CERTIFICATE-----\n-----BEGIN PUBLIC KEY-----\n${many(4, () => base64(48))}\n-----END PUBLIC KEY-----`,
      LINES,
    ),
    data.answer(
      'keys.acme.dev',
      `-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBF${many(16, () => base64(48))}\n=${base64(3)}\n-----END PGP PUBLIC KEY BLOCK-----`,
      LINES,
    ),
    data.answer(
      'keys.acme.dev',
      many(6, () => `ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ${base64(380)} dev@laptop`),
      LINES,
    ),
    data.answer(
      'keys.acme.dev',
      `github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI${base64(32).slice(0, 43)}\n|1|${base64(20)}|${base64(20)} ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAI${base64(90)}`,
      LINES,
    ),
  ];
}

export function dataCases(): BenignCase[] {
  return [...logs(), ...tables()];
}
