import { type BenignCase, casesOf } from './case.ts';
import { maker, many } from './made.ts';

const { hex, base64, word, digits, uuid, camel, next } = maker(15);
const { ask, answer } = casesOf('operations');
const YAML = 'text/yaml';
const TEXT = 'text/plain';

function manifests(): BenignCase[] {
  return [
    ask(
      'k8s.acme.dev',
      `apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\n  uid: ${uuid()}\n  resourceVersion: "${digits(9)}"\ntype: Opaque\nstringData:\n  password: "{{ .Values.db.password }}"\n  api-key: \${API_KEY}`,
      YAML,
    ),
    ask(
      'k8s.acme.dev',
      `apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  annotations:\n    checksum/secret: ${hex(64)}\n    kubectl.kubernetes.io/restartedAt: "2026-11-20T12:00:00Z"\nspec:\n  template:\n    spec:\n      containers:\n        - image: ghcr.io/acme/api@sha256:${hex(64)}\n          env:\n            - name: DB_PASSWORD\n              valueFrom: { secretKeyRef: { name: db, key: password } }\n            - name: API_TOKEN_FILE\n              value: /var/run/secrets/token`,
      YAML,
    ),
    ask(
      'k8s.acme.dev',
      `apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nspec:\n  encryptedData:\n    password: AgB${base64(500)}\n    token: AgA${base64(500)}`,
      YAML,
    ),
    ask(
      'k8s.acme.dev',
      `sops:\n  kms:\n    - arn: arn:aws:kms:eu-central-1:${digits(12)}:key/${uuid()}\n      enc: AQICAHh${base64(120)}\n  mac: ENC[AES256_GCM,data:${base64(40)},iv:${base64(32)},tag:${base64(16)},type:str]\npassword: ENC[AES256_GCM,data:${base64(16)},iv:${base64(32)},tag:${base64(16)},type:str]`,
      YAML,
    ),
    ask(
      'k8s.acme.dev',
      `services:\n  db:\n    image: postgres:17\n    environment:\n      POSTGRES_PASSWORD_FILE: /run/secrets/db_password\n      POSTGRES_PASSWORD: \${POSTGRES_PASSWORD:?set it in .env}\nsecrets:\n  db_password:\n    file: ./db_password.txt`,
      YAML,
    ),
    ask(
      'k8s.acme.dev',
      `resource "random_password" "db" {\n  length  = 32\n  special = true\n}\nresource "aws_db_instance" "main" {\n  username = var.db_user\n  password = random_password.db.result\n  kms_key_id = "arn:aws:kms:eu-central-1:${digits(12)}:key/${uuid()}"\n}`,
      TEXT,
    ),
    ask(
      'k8s.acme.dev',
      `variable "api_key" {\n  type      = string\n  sensitive = true\n}\nprovider "datadog" {\n  api_key = var.datadog_api_key\n  app_key = var.datadog_app_key\n}`,
      TEXT,
    ),
    ask(
      'k8s.acme.dev',
      JSON.stringify({
        version: 4,
        terraform_version: '1.10.0',
        serial: 42,
        lineage: uuid(),
        resources: [
          {
            type: 'aws_vpc',
            instances: [
              {
                attributes: {
                  id: `vpc-0${hex(16)}`,
                  arn: `arn:aws:ec2:eu-central-1:${digits(12)}:vpc/vpc-0${hex(16)}`,
                },
                private: base64(60),
              },
            ],
          },
        ],
      }),
    ),
    ask(
      'api.github.com',
      `name: deploy\non: [push]\njobs:\n  deploy:\n    steps:\n      - uses: actions/checkout@${hex(40)} # v4\n      - run: ./deploy.sh\n        env:\n          NPM_TOKEN: \${{ secrets.NPM_TOKEN }}\n          AWS_SECRET_ACCESS_KEY: \${{ secrets.AWS_SECRET_ACCESS_KEY }}`,
      YAML,
    ),
    ask(
      'api.acme.dev',
      `FROM node:24-alpine@sha256:${hex(64)}\nARG NPM_TOKEN\nRUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci\nENV API_KEY=""\nHEALTHCHECK CMD wget -qO- http://localhost:8080/healthz`,
      TEXT,
    ),
    ask(
      'api.acme.dev',
      `# .env.example\nDATABASE_URL=postgresql://user:password@localhost:5432/app\nSECRET_KEY=<generate with openssl rand -hex 32>\nSTRIPE_SECRET_KEY=sk_test_...\nOPENAI_API_KEY=sk-...\nSLACK_BOT_TOKEN=xoxb-your-token\nSMTP_PASSWORD=changeme\nGITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`,
      TEXT,
    ),
    ask(
      'api.acme.dev',
      `[default]\nregion = eu-central-1\nsso_session = acme\nsso_account_id = ${digits(12)}\ncredential_process = /usr/bin/vault-helper aws\n[profile dev]\nrole_arn = arn:aws:iam::${digits(12)}:role/dev`,
      TEXT,
    ),
    ask(
      'api.acme.dev',
      `Host bastion\n  HostName 203.0.113.7\n  IdentityFile ~/.ssh/id_ed25519\n  PasswordAuthentication no\n  ProxyJump jump@bastion.acme.dev:2222`,
      TEXT,
    ),
    ask(
      'api.acme.dev',
      `server {\n  listen 443 ssl;\n  ssl_certificate_key /etc/ssl/private/acme.key;\n  auth_basic "Restricted";\n  auth_basic_user_file /etc/nginx/.htpasswd;\n  proxy_set_header Authorization "Bearer $http_x_token";\n}`,
      TEXT,
    ),
    ask(
      'api.acme.dev',
      `<configuration><connectionStrings><add name="Db" connectionString="Server=localhost;Database=app;Trusted_Connection=True;" /></connectionStrings><appSettings><add key="ApiKey" value="" /></appSettings></configuration>`,
      'application/xml',
    ),
    ask(
      'api.acme.dev',
      `spring:\n  datasource:\n    url: jdbc:postgresql://localhost:5432/app\n    username: app\n    password: \${DB_PASSWORD}\n  security:\n    oauth2:\n      client:\n        registration:\n          github:\n            client-id: \${GITHUB_CLIENT_ID}\n            client-secret: \${GITHUB_CLIENT_SECRET}`,
      YAML,
    ),
    answer(
      'cloud.acme.dev',
      JSON.stringify({
        Reservations: [
          {
            Instances: [
              {
                InstanceId: `i-0${hex(16)}`,
                ImageId: `ami-0${hex(16)}`,
                SubnetId: `subnet-0${hex(16)}`,
                KeyName: 'deploy',
                SecurityGroups: [{ GroupId: `sg-0${hex(16)}` }],
                ClientToken: uuid(),
              },
            ],
          },
        ],
      }),
    ),
    answer(
      'cloud.acme.dev',
      `<?xml version="1.0"?><ListBucketResult><NextContinuationToken>1${base64(60)}</NextContinuationToken>${many(10, () => `<Contents><Key>logs/${hex(20)}.gz</Key><ETag>&quot;${hex(32)}&quot;</ETag><Owner><ID>${hex(64)}</ID></Owner></Contents>`, '')}</ListBucketResult>`,
      'application/xml',
    ),
    answer(
      'cloud.acme.dev',
      JSON.stringify({
        etag: 'ACAB',
        bindings: [
          {
            role: 'roles/secretmanager.secretAccessor',
            members: [`serviceAccount:ci@acme-${digits(6)}.iam.gserviceaccount.com`],
          },
        ],
      }),
    ),
    answer(
      'cloud.acme.dev',
      JSON.stringify({
        id: `/subscriptions/${uuid()}/resourceGroups/prod/providers/Microsoft.KeyVault/vaults/kv-prod`,
        properties: {
          tenantId: uuid(),
          accessPolicies: [{ objectId: uuid(), permissions: { keys: ['get'], secrets: ['get', 'list'] } }],
        },
      }),
    ),
  ];
}

function numbers(): BenignCase[] {
  const { ask: tell } = casesOf('numbers');
  const texts = [
    `Your order 3049-${digits(7)}-${digits(7)} has shipped. UPS tracking 1Z${digits(16)}, DHL 00340434${digits(12)}, FedEx ${digits(12)}.`,
    `ISBN 978-3-16-148410-0, EAN 4006381333931, ISSN 0317-8471, DOI 10.1000/xyz${digits(3)}, arXiv:2311.${digits(5)}, PMID ${digits(8)}`,
    `Flight LH ${digits(3)}, booking reference ${word(6).toUpperCase()}, ticket 220-${digits(10)}, seat 23A`,
    `Invoice 2026-${digits(6)}, customer ${digits(8)}, contract V-${digits(10)}, due 2026-12-20, total 1.234,56 EUR`,
    `Meter ${digits(14)}, MaLo-ID 5${digits(10)}, VAT DE${digits(9)}, HRB ${digits(6)} B`,
    `Call +49 (0)30 901820, +1 (555) 010-${digits(4)} or 0800 ${digits(7)}. Room 4111, extension 1111.`,
    `Build 4111111111111112 took 37 s; job 5555555555554445; run 378282246310006 (none of them a card).`,
    `Account DE00 1234 5678 9012 3456 78 is a placeholder; GB00 WEST 1234 5698 7654 32 too.`,
    `VIN WVWZZZ1JZ3W${digits(6)}, plate B-AC ${digits(4)}, IMEI 35${digits(13)}`,
    `Coordinates 52.5200066, 13.4049540; population 3,755,251; area 891.68 km2`,
    `MAC 00:1B:44:11:3A:B7, IPv6 2001:db8:85a3::8a2e:370:7334, subnet 10.0.0.0/8, ASN 64512`,
    many(40, () => `${digits(16)} ${digits(9)} ${digits(11)} ${digits(10)}`),
    many(
      40,
      () => `${digits(4)}-${digits(4)} ${digits(3)}-${digits(2)}-${digits(3)} ${digits(2)}.${digits(2)}.${digits(4)}`,
    ),
    JSON.stringify({
      snowflake: `1${digits(18)}`,
      ksuid: word(27),
      nanoid: word(21),
      cuid: `c${word(24).toLowerCase()}`,
      ulid: `01J${word(23).toUpperCase()}`,
      objectid: hex(24),
    }),
    `md5 ${hex(32)}\nsha1 ${hex(40)}\nsha256 ${hex(64)}\nsha512 ${hex(128)}\ncrc32 ${hex(8)}\nblake3 ${hex(64)}`,
    `matrix = [${many(60, () => `${next(9)}.${digits(16)}`, ', ')}]`,
    `Versions: 1.2.3.4, 2026.11.20, v0.0.0-20261120123456-${hex(12)}, 6.1.0-28-amd64, jdk-24.0.1+9`,
    `uuid list: ${many(20, uuid, ', ')}`,
    `color tokens: ${many(40, () => `--color-${camel()}: #${hex(6)}`, '; ')}`,
    `pi = 3.14159265358979323846264338327950288419716939937510; e = 2.71828182845904523536028747135266249775724709369995`,
  ];
  return texts.map((text) => tell('chat.acme.dev', text, TEXT));
}

export function operationsCases(): BenignCase[] {
  return [...manifests(), ...numbers()];
}
