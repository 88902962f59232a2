import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { AdminError } from '../admin/protocol.ts';
import type { CaFacts } from '../model/admin.ts';
import { realStore, type StoreWorld } from './ca-store.ts';
import { onlyHosts, trust, trustedText, untrust } from './ca-trust.ts';
import { type Cli, CliError } from './context.ts';
import { confirm } from './raise.ts';
import { clock } from './table.ts';

/** `weir ca show | export | trust | untrust | rotate`: the public half of the interception CA. `store` is for tests. */
export function caCommand(cli: Cli, store: StoreWorld = realStore(cli.env)): Command {
  const parent = new Command('ca').description('the interception CA');
  parent
    .command('show')
    .description('name, fingerprint, validity, files')
    .action(async () => {
      const facts = await caFacts(cli);
      const trusted = trustedText(cli.stateDir());
      cli.print({ ...facts, ...(trusted === '' ? {} : { trusted }) }, () => human(facts, trusted));
    });
  parent
    .command('export')
    .description('the certificate as PEM')
    .argument('[file]', 'default: standard output')
    .action(async (file?: string) => {
      const { pem } = await caFacts(cli);
      if (file === undefined) cli.stdout.write(pem);
      else writeFileSync(file, pem, { mode: 0o644 });
    });
  parent
    .command('trust')
    .description('let this machine’s programs trust it; best --only for the hosts that need it')
    .option('--only <hosts>', 'through a root limited to these: github.com,example.org', (text: string) => {
      try {
        return onlyHosts(text);
      } catch (error) {
        throw new InvalidArgumentError((error as Error).message);
      }
    })
    .option('--yes', 'do not ask')
    .action(async (options: { only?: string[]; yes?: boolean }) => trust(cli, await caFacts(cli), store, options));
  parent
    .command('untrust')
    .description('undo what trust did, and nothing else')
    .action(() => untrust(cli, store));
  parent
    .command('rotate')
    .description('a new CA; programs that trust the old one must be given the new one')
    .option('--yes', 'do not ask')
    .action(async (options: { yes?: boolean }) => {
      if (!options.yes)
        await confirm(cli, 'Make a new CA? Programs that trust only the old one will fail until they get it.');
      const facts = await rotate(cli);
      const trusted = trustedText(cli.stateDir());
      if (trusted !== '') cli.note(`${trusted} still trusts the old one: weir ca trust again, or weir ca untrust`);
      cli.print(facts, () => human(facts, ''));
    });
  return parent;
}

/** By the collector; without one, in the state directory: a CA that is damaged keeps the collector from starting. */
async function rotate(cli: Cli): Promise<CaFacts> {
  try {
    return await cli.withClient((client) => client.rotateCa());
  } catch (error) {
    if (!(error instanceof AdminError && error.code === 'no-collector')) throw error;
    const { rotateStoredAuthority } = await import('../collector.ts');
    rotateStoredAuthority(cli.stateDir());
    return fromFile(cli.stateDir());
  }
}

/** From the collector; without one, from the public copy in the state directory. */
async function caFacts(cli: Cli): Promise<CaFacts> {
  try {
    return await cli.withClient((client) => client.ca());
  } catch (error) {
    if (error instanceof AdminError && error.code === 'no-collector') return fromFile(cli.stateDir());
    throw error;
  }
}

function fromFile(stateDir: string): CaFacts {
  const certificatePath = join(stateDir, 'ca.pem');
  let pem: string;
  try {
    pem = readFileSync(certificatePath, 'utf8');
  } catch (error) {
    throw new CliError(`there is no CA yet in ${stateDir}. One is made by: weir start`, undefined, { cause: error });
  }
  const certificate = new X509Certificate(pem);
  return {
    certificatePath,
    bundlePath: join(stateDir, 'public', 'bundle.pem'),
    pem,
    fingerprint: certificate.fingerprint256,
    subject: certificate.subject.replaceAll('\n', ', '),
    notBefore: Date.parse(certificate.validFrom),
    notAfter: Date.parse(certificate.validTo),
    key: keyKind(certificate),
  };
}

function keyKind({ publicKey }: X509Certificate): string {
  const { namedCurve, modulusLength } = publicKey.asymmetricKeyDetails ?? {};
  if (namedCurve === 'prime256v1') return 'EC P-256';
  return `${(publicKey.asymmetricKeyType ?? '').toUpperCase()} ${namedCurve ?? modulusLength ?? ''}`.trim();
}

function human(facts: CaFacts, trusted: string): string {
  return [
    `subject      ${facts.subject}`,
    `fingerprint  ${facts.fingerprint}`,
    `key          ${facts.key}`,
    `valid        ${clock(facts.notBefore)} – ${clock(facts.notAfter)}`,
    `certificate  ${facts.certificatePath}`,
    `bundle       ${facts.bundlePath}`,
    ...(trusted === '' ? [] : [`trusted      ${trusted}`]),
  ].join('\n');
}
