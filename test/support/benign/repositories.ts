import { type BenignCase, casesOf } from './case.ts';
import { maker, many } from './made.ts';

const { hex, base64, uuid, word, digits, noise } = maker(17);
const git = casesOf('git');

function repositories(): BenignCase[] {
  const pkt = (line: string): string => `${(line.length + 5).toString(16).padStart(4, '0') + line}\n`;
  const pack = Buffer.concat([Buffer.from('PACK\0\0\0\x02\0\0\0\x2a', 'latin1'), noise(20_000)]).toString('latin1');
  const type = 'application/x-git-upload-pack-result';
  return [
    git.answer(
      'github.com',
      `${pkt('# service=git-upload-pack')}0000${pkt(`${hex(40)} HEAD\0multi_ack thin-pack side-band-64k ofs-delta agent=git/github-${hex(12)}`)}${many(30, (i) => pkt(`${hex(40)} refs/heads/feature/token-refresh-${i}`), '')}0000`,
      'application/x-git-upload-pack-advertisement',
    ),
    git.ask(
      'github.com',
      `0014command=ls-refs\n0016object-format=sha10001${pkt('peel')}${pkt('ref-prefix refs/heads/')}0000`,
      'application/x-git-upload-pack-request',
    ),
    git.ask(
      'github.com',
      `0011command=fetch0001${many(20, () => pkt(`want ${hex(40)}`), '')}${many(20, () => pkt(`have ${hex(40)}`), '')}0000`,
      'application/x-git-upload-pack-request',
    ),
    git.answer('github.com', `000dpackfile\n${pkt(`\x02Enumerating objects: 4211, done.`)}${pack}`, type),
    git.answer('gitlab.com', `0008NAK\n${pack}`, type),
    git.ask(
      'github.com',
      `${pkt(`${hex(40)} ${hex(40)} refs/heads/main\0 report-status-v2 side-band-64k object-format=sha1 agent=git/2.47.1`)}0000${pack}`,
      'application/x-git-receive-pack-request',
    ),
    git.answer(
      'github.com',
      `${pkt('unpack ok')}${pkt('ok refs/heads/main')}0000`,
      'application/x-git-receive-pack-result',
    ),
    git.answer(
      'api.github.com',
      JSON.stringify({
        sha: hex(40),
        node_id: base64(40),
        commit: {
          message: 'Rotate the signing key\n\nThe old token is revoked.',
          tree: { sha: hex(40) },
          verification: {
            verified: true,
            signature: `-----BEGIN PGP SIGNATURE-----\n\n${many(8, () => base64(48))}\n=${base64(3)}\n-----END PGP SIGNATURE-----`,
          },
        },
      }),
    ),
    git.answer(
      'api.github.com',
      JSON.stringify({
        name: 'token.ts',
        sha: hex(40),
        content: many(12, () => base64(45)),
        encoding: 'base64',
        download_url: 'https://raw.githubusercontent.com/acme/widgets/main/token.ts',
      }),
    ),
    git.answer(
      'api.github.com',
      JSON.stringify({
        total_count: 2,
        secrets: [{ name: 'NPM_TOKEN', created_at: '2026-01-02T03:04:05Z' }, { name: 'DEPLOY_KEY' }],
      }),
    ),
    git.ask(
      'api.github.com',
      JSON.stringify({
        query:
          'query($owner:String!,$name:String!){repository(owner:$owner,name:$name){pullRequest(number:7){reviewThreads(first:50){nodes{id isResolved}}}}}',
        variables: { owner: 'acme', name: 'widgets' },
      }),
    ),
    git.answer(
      'api.github.com',
      JSON.stringify({ data: { node: { id: `PR_kwDO${word(12)}`, cursor: `Y3Vyc29yOnYyOpK5${base64(20)}` } } }),
    ),
    git.answer(
      'github.com',
      `diff --git a/.env.example b/.env.example\nindex ${hex(7)}..${hex(7)} 100644\n--- a/.env.example\n+++ b/.env.example\n@@ -1,3 +1,4 @@\n DATABASE_URL=postgres://user:password@localhost:5432/app\n-API_KEY=\n+API_KEY=your-api-key-here\n+JWT_SECRET=change-me`,
      'text/plain',
    ),
    git.answer(
      'github.com',
      `From ${hex(40)} Mon Sep 17 00:00:00 2001\nFrom: Someone <someone@acme.dev>\nSubject: [PATCH] Do not log the token\n\n---\n src/log.ts | 2 +-\n GIT binary patch\nliteral 412\nz${word(60)}\nz${word(60)}\n`,
      'text/plain',
    ),
    git.url(`https://codeload.github.com/acme/widgets/tar.gz/${hex(40)}`),
    git.url(
      `https://objects.githubusercontent.com/github-production-release-asset/${digits(9)}/${uuid()}?response-content-disposition=attachment%3B%20filename%3Dtool.tar.gz&response-content-type=application%2Foctet-stream`,
    ),
    git.header(
      'github.com',
      `Git-Protocol: version=2\nUser-Agent: git/2.47.1\nAccept-Encoding: deflate, gzip, br, zstd`,
    ),
    git.ask(
      'github.com',
      JSON.stringify({ operation: 'download', transfers: ['basic'], objects: [{ oid: hex(64), size: 123_456 }] }),
      'application/vnd.git-lfs+json',
    ),
    git.answer(
      'gitlab.com',
      JSON.stringify([
        {
          id: digits(8),
          iid: 42,
          sha: hex(40),
          web_url: 'https://gitlab.com/acme/widgets/-/merge_requests/42',
          diff_refs: { base_sha: hex(40), head_sha: hex(40) },
        },
      ]),
    ),
    git.answer(
      'gitlab.com',
      `stages: [build, deploy]\nvariables:\n  DOCKER_AUTH_CONFIG: $REGISTRY_AUTH\n  GIT_DEPTH: "20"\ndeploy:\n  script:\n    - docker login -u $CI_REGISTRY_USER -p $CI_REGISTRY_PASSWORD $CI_REGISTRY\n    - curl --header "JOB-TOKEN: $CI_JOB_TOKEN" https://gitlab.com/api/v4/projects`,
      'text/yaml',
    ),
  ];
}

export function repositoryCases(): BenignCase[] {
  return [...repositories()];
}
