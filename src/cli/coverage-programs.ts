import type { Coverage, CoverageFacts } from './coverage.ts';

type Judged = Omit<Coverage, 'program'> | undefined;

/** Programs that behave alike. `judge` says nothing of a version or platform that follows the variables. */
export interface KnownProgram {
  readonly names: readonly string[];
  readonly judge: (facts: CoverageFacts) => Judged;
}

const is =
  (ignores: Coverage['ignores'], fix: (facts: CoverageFacts) => string): KnownProgram['judge'] =>
  (facts) => ({ ignores, fix: fix(facts) });

const onMac =
  (ignores: Coverage['ignores'], fix: (facts: CoverageFacts) => string): KnownProgram['judge'] =>
  (facts) =>
    facts.mac ? { ignores, fix: fix(facts) } : undefined;

const noWay = (what: string) => (): string =>
  `${what} goes direct: deny it outside Weir (weir verify --containment), or leave it unseen`;
const keychain = (): string => 'weir ca trust --only <hosts>: it asks the keychain';

/** What documentation says. A program that follows the variables (curl, git, npm, pip, uv, cargo, deno …) is not here. */
export const PROGRAMS: readonly KnownProgram[] = [
  // ssh_config(5): ProxyCommand is the only way through a proxy; no variable is read. nc -X: nc(1) of OpenBSD.
  {
    names: ['ssh', 'scp', 'sftp'],
    judge: is(
      'proxy',
      ({ proxy }) => `in ~/.ssh/config: ProxyCommand nc -X connect -x ${proxy} %h %p (git: use https)`,
    ),
  },
  // rsync(1): RSYNC_PROXY, for rsync:// only; otherwise it runs ssh.
  { names: ['rsync'], judge: is('proxy', ({ proxy }) => `for rsync://: RSYNC_PROXY=${proxy}; else as ssh`) },
  // PostgreSQL manual, libpq "Environment Variables": none names a proxy.
  { names: ['psql', 'pg_dump'], judge: is('proxy', noWay('the PostgreSQL protocol')) },
  // MySQL and MariaDB manuals, "Environment Variables" of the clients: none names a proxy.
  { names: ['mysql', 'mariadb'], judge: is('proxy', noWay('the MySQL protocol')) },
  // Redis manual, "Redis CLI": host, port, URI, socket; no proxy.
  { names: ['redis-cli', 'valkey-cli'], judge: is('proxy', noWay('the Redis protocol')) },
  // MongoDB manual, connection string options: proxyHost is SOCKS5 and no variable sets it.
  { names: ['mongosh'], judge: is('proxy', noWay('the MongoDB protocol')) },
  // nc(1), ncat(1), socat(1), telnet(1): raw sockets; a proxy only by their own options.
  { names: ['nc', 'ncat', 'socat', 'telnet'], judge: is('proxy', noWay('a raw socket')) },
  // dig(1), nslookup(1), host(1): queries go to the name servers of resolv.conf.
  { names: ['dig', 'nslookup', 'host'], judge: is('proxy', noWay('DNS')) },
  // openssl-s_client(1): -proxy host:port.
  { names: ['openssl'], judge: is('proxy', ({ proxy }) => `openssl s_client -proxy ${proxy} …`) },
  // sudoers(5), env_reset: on by default, the variables do not survive.
  {
    names: ['sudo'],
    judge: is(
      'proxy-and-ca',
      () => 'sudo --preserve-env=HTTP_PROXY,HTTPS_PROXY,http_proxy,https_proxy,NO_PROXY,SSL_CERT_FILE …',
    ),
  },
  // dirmngr(8): --honor-http-proxy and --hkp-cacert.
  {
    names: ['gpg'],
    judge: is('proxy-and-ca', ({ bundle }) => `in ~/.gnupg/dirmngr.conf: honor-http-proxy, hkp-cacert ${bundle}`),
  },
  // Subversion book, "Runtime Configuration Area", servers: http-proxy-host, ssl-authority-files.
  {
    names: ['svn'],
    judge: is('proxy-and-ca', ({ proxy, bundle }) => {
      const [host, port] = split(proxy);
      return `in ~/.subversion/servers: http-proxy-host = ${host}, http-proxy-port = ${port}, ssl-authority-files = ${bundle}`;
    }),
  },
  // apt-transport-https(1): CAInfo; the proxy variables are read, by apt-transport-http(1).
  { names: ['apt-get'], judge: is('ca', ({ bundle }) => `apt-get -o Acquire::https::CAInfo=${bundle} …`) },
  // GNU Wget manual, "HTTPS (SSL/TLS) Options": --ca-certificate; builds with GnuTLS read no variable.
  { names: ['wget'], judge: is('ca', ({ bundle }) => `in ~/.wgetrc: ca_certificate = ${bundle} (builds with GnuTLS)`) },
  // Java "Networking Properties" (https.proxyHost …) and JSSE guide (javax.net.ssl.trustStore): properties, no variables.
  { names: ['java', 'mvn', 'gradle', 'sbt'], judge: is('proxy-and-ca', () => 'weir run --java -- …') },
  // .NET "Cross-platform cryptography": OpenSSL's directories (SSL_CERT_FILE) on Linux, the keychain on macOS.
  { names: ['dotnet'], judge: onMac('ca', keychain) },
  // Go crypto/x509, SystemCertPool: SSL_CERT_FILE "on Unix systems other than macOS". net/http reads HTTPS_PROXY.
  { names: ['gh', 'go', 'terraform', 'tofu', 'kubectl', 'helm', 'rclone'], judge: onMac('ca', keychain) },
  // Docker "Configure the daemon to use a proxy server" and "Use a proxy server with the Docker CLI".
  {
    names: ['docker'],
    judge: is(
      'proxy-and-ca',
      () => 'docker run --env-file <(weir env --docker) … ; pulls and builds are made by the daemon, which has its own',
    ),
  },
  // podman-run(1): --http-proxy passes the variables in, but 127.0.0.1 and the bundle are others inside.
  { names: ['podman'], judge: is('proxy-and-ca', () => 'podman run --env-file <(weir env --docker) …') },
  // Ollama FAQ, "How do I use Ollama behind a proxy?": the server pulls, with the server's variables.
  {
    names: ['ollama'],
    judge: is(
      'proxy-and-ca',
      ({ proxy }) => `the server pulls: systemctl edit ollama, HTTPS_PROXY=http://ollama:x@${proxy}`,
    ),
  },
  // Node.js documentation: NODE_USE_ENV_PROXY since 22.21 and 24.0 (fetch), http and https since 24.5; http2 never.
  { names: ['node'], judge: judgeNode },
  // aiohttp "Advanced Client Usage", Proxy support: the variables are read with trust_env=True only.
  {
    names: ['python3'],
    judge: is('proxy', () => 'aiohttp only: ClientSession(trust_env=True); requests, httpx and urllib are fine'),
  },
  // PHP manual: HTTP context option `proxy`, runtime settings openssl.cafile and curl.cainfo; streams read no variable.
  {
    names: ['php'],
    judge: is(
      'proxy-and-ca',
      ({ bundle }) =>
        `php -d curl.cainfo=${bundle} -d openssl.cafile=${bundle} …; streams need the context option proxy`,
    ),
  },
  // Chromium docs, linux/proxy_config.md and linux/cert_management.md: desktop settings first; roots from the NSS database.
  {
    names: ['google-chrome', 'chromium', 'chromium-browser'],
    judge: is(
      'proxy-and-ca',
      ({ proxy, bundle }) =>
        `--proxy-server=http://${proxy}; certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n weir -i ${certificateBeside(bundle)}`,
    ),
  },
  // Firefox enterprise policies: Certificates.Install; its own root store. System proxy settings include the variables.
  {
    names: ['firefox'],
    judge: is('ca', ({ bundle }) => `import ${certificateBeside(bundle)} under Settings › Certificates › Authorities`),
  },
  // VS Code "Network Connections in Visual Studio Code": certificates of the operating system.
  { names: ['code'], judge: is('ca', () => 'weir ca trust --only <hosts>: it asks the operating system’s store') },
  // snapd "System options": proxy.http, proxy.https, store-certs; the daemon fetches.
  { names: ['snap'], judge: is('proxy-and-ca', ({ proxy }) => `sudo snap set system proxy.https=http://${proxy}`) },
  // flatpak-override(1): --env, --filesystem; a sandbox does not see the file the variables name.
  {
    names: ['flatpak'],
    judge: is('ca', ({ bundle }) => `flatpak override --user --filesystem=${bundle}:ro --env=SSL_CERT_FILE=${bundle}`),
  },
  // Hex documentation, `mix help hex.config`: HEX_CACERTS_PATH.
  { names: ['mix'], judge: is('ca', ({ bundle }) => `HEX_CACERTS_PATH=${bundle}`) },
];

function judgeNode({ version }: CoverageFacts): Judged {
  const found = version();
  if (found === undefined) return undefined;
  const [major = 0, minor = 0] = found;
  const text = found.join('.');
  const fetches = major >= 24 || (major === 22 && minor >= 21);
  if (!fetches)
    return { ignores: 'proxy', fix: `${text} goes direct whatever the variables say: use Node 24.5 or later` };
  if (major === 24 && minor < 5)
    return { ignores: 'proxy', fix: `in ${text} only fetch follows the variables: use Node 24.5 or later` };
  return { ignores: 'proxy', fix: 'http2.connect, net and tls go direct; fetch, http and https are fine' };
}

/** `public/ca.pem` stands beside `public/bundle.pem`. */
function certificateBeside(bundle: string): string {
  return bundle.endsWith('/bundle.pem') ? bundle.replace(/bundle\.pem$/, 'ca.pem') : '<weir ca export>';
}

function split(proxy: string): readonly [string, string] {
  const at = proxy.lastIndexOf(':');
  return [proxy.slice(0, at), proxy.slice(at + 1)];
}
