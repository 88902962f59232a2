import { type BenignCase, casesOf } from './case.ts';
import { maker, many } from './made.ts';

const { hex, base64, base64url, digits, next, pick, camel } = maker(12);
const { ask, answer, url, header } = casesOf('install');
const VERSIONS = ['1.2.3', '0.14.0', '4.17.21', '2.0.0-rc.1', '10.3.9'];
const NAMES = [
  'left-pad',
  '@acme/ui-kit',
  'key-value-store',
  'jsonwebtoken',
  'passport-jwt',
  'secret-santa',
  'sk-learn',
];

function npm(): BenignCase[] {
  const dist = (): object => ({
    integrity: `sha512-${base64(64)}`,
    shasum: hex(40),
    tarball: `https://registry.npmjs.org/${pick(NAMES)}/-/x-${pick(VERSIONS)}.tgz`,
    fileCount: 12,
    signatures: [{ keyid: `SHA256:${base64(32).replace('=', '')}`, sig: `MEUCIQD${base64(64)}` }],
  });
  return [
    answer(
      'registry.npmjs.org',
      JSON.stringify({
        _id: 'jsonwebtoken',
        'dist-tags': { latest: '9.0.2' },
        versions: Object.fromEntries(
          VERSIONS.map((version) => [
            version,
            { version, dist: dist(), _npmUser: { name: 'someone', email: 'someone@acme.dev' } },
          ]),
        ),
      }),
      'application/vnd.npm.install-v1+json',
    ),
    answer(
      'registry.npmjs.org',
      JSON.stringify({
        attestations: [
          {
            predicateType: 'https://slsa.dev/provenance/v1',
            bundle: {
              verificationMaterial: { certificate: { rawBytes: base64(900) } },
              dsseEnvelope: { payload: base64(1200), signatures: [{ sig: base64(70), keyid: '' }] },
            },
          },
        ],
      }),
    ),
    ask('registry.npmjs.org', JSON.stringify(Object.fromEntries(NAMES.map((name) => [name, VERSIONS])))),
    answer(
      'registry.npmjs.org',
      JSON.stringify({
        'left-pad': [
          {
            id: 1_094_500,
            url: 'https://github.com/advisories/GHSA-jf85-cpcp-j695',
            title: 'Token leak in log output',
            severity: 'high',
            cwe: ['CWE-532'],
            vulnerable_versions: '<1.2.0',
          },
        ],
      }),
    ),
    url(`https://registry.npmjs.org/@acme%2fui-kit/-/ui-kit-1.2.3.tgz?cache=${hex(40)}`),
    header(
      'registry.npmjs.org',
      `npm-session: ${hex(16)}\nnpm-command: ci\npacote-integrity: sha512-${base64(64)}\nuser-agent: npm/11.3.0 node/v24.21.0 linux x64`,
    ),
    answer(
      'registry.yarnpkg.com',
      `__metadata:\n  version: 8\n  cacheKey: 10c0\n\n"${NAMES[1]}@npm:^1.0.0":\n  version: 1.2.3\n  resolution: "${NAMES[1]}@npm:1.2.3"\n  checksum: 10c0/${hex(128)}\n  languageName: node`,
      'text/yaml',
    ),
    ask(
      'deps.acme.dev',
      `lockfileVersion: '9.0'\npackages:\n${many(12, () => `  ${pick(NAMES)}@${pick(VERSIONS)}:\n    resolution: {integrity: sha512-${base64(64)}}\n    engines: {node: '>=18'}`)}`,
      'text/yaml',
    ),
    ask(
      'deps.acme.dev',
      `{"lockfileVersion": 1, "packages": {${many(8, () => `"${pick(NAMES)}": ["${pick(NAMES)}@${pick(VERSIONS)}", "", {}, "sha512-${base64(64)}"]`, ',')}}}`,
    ),
  ];
}

function others(): BenignCase[] {
  return [
    // A digest may hold what looks like a short prefix.
    answer(
      'files.pythonhosted.org',
      `pip/version.py,sha256=qaN-fw_htIgKUVXoAuAEVgKxQu3tZ9qE2eiKkWIS7LA,160\n${many(60, () => `pip/${camel()}.py,sha256=${base64url(32)},${digits(4)}`)}`,
      'text/plain',
    ),
    answer(
      'pypi.org',
      JSON.stringify({
        files: VERSIONS.map((version) => ({
          filename: `token_bucket-${version}-py3-none-any.whl`,
          hashes: { sha256: hex(64) },
          url: `https://files.pythonhosted.org/packages/${hex(2)}/${hex(2)}/${hex(60)}/token_bucket-${version}.whl`,
          'core-metadata': { sha256: hex(64) },
        })),
      }),
      'application/vnd.pypi.simple.v1+json',
    ),
    answer(
      'pypi.org',
      many(
        10,
        () =>
          `<a href="https://files.pythonhosted.org/packages/${hex(2)}/${hex(2)}/${hex(60)}/passlib-1.7.4.tar.gz#sha256=${hex(64)}" data-dist-info-metadata="sha256=${hex(64)}">passlib-1.7.4.tar.gz</a><br/>`,
      ),
      'text/html',
    ),
    url(
      `https://files.pythonhosted.org/packages/${hex(2)}/${hex(2)}/${hex(60)}/cryptography-42.0.8-cp39-abi3-manylinux_2_28_x86_64.whl.metadata`,
    ),
    ask(
      'deps.acme.dev',
      many(
        12,
        () => `${pick(NAMES)}==${pick(VERSIONS)} \\\n    --hash=sha256:${hex(64)} \\\n    --hash=sha256:${hex(64)}`,
      ),
      'text/plain',
    ),
    ask(
      'deps.acme.dev',
      `[[package]]\nname = "secrecy"\nversion = "0.8.0"\nsource = { registry = "https://pypi.org/simple" }\nsdist = { url = "https://files.pythonhosted.org/packages/${hex(60)}/secrecy.tar.gz", hash = "sha256:${hex(64)}", size = 20120 }`,
      'application/toml',
    ),
    answer(
      'index.crates.io',
      many(
        6,
        () =>
          `{"name":"token-bucket","vers":"0.1.${next(90)}","deps":[],"cksum":"${hex(64)}","features":{},"yanked":false}`,
      ),
      'text/plain',
    ),
    ask(
      'deps.acme.dev',
      many(
        10,
        () =>
          `[[package]]\nname = "${pick(NAMES)}"\nversion = "1.0.0"\nsource = "registry+https://github.com/rust-lang/crates.io-index"\nchecksum = "${hex(64)}"`,
      ),
      'application/toml',
    ),
    answer(
      'sum.golang.org',
      `14885860\ngolang.org/x/crypto v0.31.0 h1:${base64(32)}\ngolang.org/x/crypto v0.31.0/go.mod h1:${base64(32)}\n\ngo.sum database tree\n${digits(8)}\n${base64(32)}\n\n— sum.golang.org Az3gr${base64(64)}`,
      'text/plain',
    ),
    url('https://proxy.golang.org/github.com/!azure/azure-sdk-for-go/sdk/azidentity/@v/v1.8.0.zip'),
    answer(
      'repo1.maven.org',
      `<project><modelVersion>4.0.0</modelVersion><groupId>org.springframework.security</groupId><artifactId>spring-security-oauth2-jose</artifactId><version>6.4.1</version><properties><sonar.token/><gpg.passphrase/></properties></project>`,
      'application/xml',
    ),
    answer('repo1.maven.org', hex(40), 'text/plain'),
    ask(
      'deps.acme.dev',
      `# gradle.lockfile\n${many(12, () => `com.acme:${pick(['auth-token', 'secret-store', 'key-ring'])}:${pick(VERSIONS)}=compileClasspath,runtimeClasspath`)}`,
      'text/plain',
    ),
    answer(
      'rubygems.org',
      many(8, () => `bcrypt 3.1.20|checksum:${hex(64)},ruby:>= 2.0`),
      'text/plain',
    ),
    answer(
      'repo.packagist.org',
      JSON.stringify({
        packages: {
          'acme/token': [
            {
              version: '1.0.0',
              source: { type: 'git', url: 'https://github.com/acme/token.git', reference: hex(40) },
              dist: { shasum: '', reference: hex(40) },
            },
          ],
        },
      }),
    ),
    answer(
      'api.nuget.org',
      JSON.stringify({
        catalogEntry: {
          packageHash: base64(64),
          packageHashAlgorithm: 'SHA512',
          id: 'Microsoft.IdentityModel.Tokens',
          version: '8.3.0',
        },
      }),
    ),
    answer(
      'registry-1.docker.io',
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: { digest: `sha256:${hex(64)}`, size: 7_023 },
        layers: [1, 2, 3].map(() => ({ digest: `sha256:${hex(64)}`, size: next(9e7) })),
        annotations: { 'org.opencontainers.image.revision': hex(40) },
      }),
    ),
    url(
      `https://production.cloudflare.docker.com/registry-v2/docker/registry/v2/blobs/sha256/${hex(2)}/${hex(64)}/data?verify=${digits(10)}-${base64url(30)}%3D`,
    ),
    answer(
      'deb.debian.org',
      many(
        8,
        () =>
          `Package: libsecret-1-0\nVersion: 0.20.5-3\nSHA256: ${hex(64)}\nMD5sum: ${hex(32)}\nDescription-md5: ${hex(32)}`,
      ),
      'text/plain',
    ),
    answer(
      'dl-cdn.alpinelinux.org',
      many(8, () => `C:Q1${base64(20)}\nP:openssl\nV:3.3.2-r4\nA:x86_64\nD:so:libcrypto.so.3`),
      'text/plain',
    ),
    answer(
      'formulae.brew.sh',
      JSON.stringify({
        name: 'pass',
        bottle: {
          stable: {
            files: {
              arm64_sequoia: { url: `https://ghcr.io/v2/homebrew/core/pass/blobs/sha256:${hex(64)}`, sha256: hex(64) },
            },
          },
        },
      }),
    ),
    answer(
      'conda.anaconda.org',
      JSON.stringify({
        'packages.conda': {
          'keyring-25.5.0-pyh534df25_0.conda': { md5: hex(32), sha256: hex(64), build: 'pyh534df25_0' },
        },
      }),
    ),
    answer(
      'deps.acme.dev',
      `{\n  "nodes": {"nixpkgs": {"locked": {"lastModified": ${digits(10)}, "narHash": "sha256-${base64(32)}", "owner": "NixOS", "rev": "${hex(40)}"}}}\n}`,
    ),
    answer(
      'deps.acme.dev',
      `provider "registry.terraform.io/hashicorp/vault" {\n  version = "4.5.0"\n  hashes = [\n${many(6, () => `    "h1:${base64(32)}",\n    "zh:${hex(64)}",`)}\n  ]\n}`,
      'text/plain',
    ),
  ];
}

export function installCases(): BenignCase[] {
  return [...npm(), ...others()];
}
