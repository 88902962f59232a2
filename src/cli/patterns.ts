import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { PatternFact, Tried } from '../collector.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { type Cli, CliError, EXIT, safe } from './context.ts';
import { plural, table } from './table.ts';

/** More than this is not a text somebody wants to try. */
const MOST_BYTES = 64 << 20;

/** `weir patterns list | test | explain`: what is looked for, and what a text would be found for. Needs no collector. */
export function patternsCommand(cli: Cli): Command {
  const parent = new Command('patterns').description(
    'what is looked for in traffic: secrets, personal data, injections',
  );
  parent
    .command('list')
    .description('every pattern, built in and yours')
    .action(async () => {
      const { patternFacts } = await import('../collector.ts');
      const facts = patternFacts(configOf(cli));
      cli.print(facts, () => listText(facts));
    });
  parent
    .command('test')
    .description('what would be found in a text; secrets are masked')
    .argument('[file]', 'default, or -: standard input')
    .action((file?: string) => test(cli, file));
  parent
    .command('explain')
    .description('one pattern: what it matches, where it is at home, where it comes from')
    .argument('<id>')
    .action((id: string) => explain(cli, id));
  return parent;
}

function configOf(cli: Cli): Config {
  const flags = { config: cli.options().config, stateDir: cli.options().stateDir };
  return loadConfig({ flags, env: cli.env, cwd: cli.cwd }).config;
}

function listText(facts: readonly PatternFact[]): string {
  const rows = table(facts, [
    { name: 'ID', cell: (fact) => fact.id, max: 48 },
    { name: 'SEVERITY', cell: (fact) => fact.severity },
    { name: 'KIND', cell: (fact) => fact.kind },
    { name: 'NAME', cell: (fact) => fact.name, max: 48 },
    { name: 'HOME', cell: (fact) => fact.home.join(' '), max: 40 },
    { name: '', cell: (fact) => (fact.enabled ? (fact.reported ? '' : 'not reported') : 'disabled') },
  ]);
  return `${rows}\n\n${plural(facts.length, 'pattern')}. More about one: weir patterns explain <id>`;
}

async function test(cli: Cli, file: string | undefined): Promise<void> {
  const bytes = file === undefined || file === '-' ? await readAll(cli.stdin) : readFile(file);
  const { tryPatterns } = await import('../collector.ts');
  const tried = tryPatterns(configOf(cli), cli.env, bytes);
  cli.print(tried, () => triedText(tried));
  if (tried.found.length > 0) cli.exit(EXIT.found);
}

function triedText({ found, unscanned }: Tried): string {
  const cut = unscanned === undefined ? '' : `\nnot looked at to its end: ${unscanned}`;
  if (found.length === 0) return `nothing found${cut}`;
  const rows = table(found, [
    { name: 'LINE:COLUMN', cell: (one) => `${one.line}:${one.column}` },
    { name: 'ID', cell: (one) => one.id, max: 48 },
    { name: 'SEVERITY', cell: (one) => one.severity },
    { name: 'LABEL', cell: (one) => one.label, max: 40 },
    { name: 'BYTES', cell: (one) => one.bytes, right: true },
    { name: 'FOUND', cell: (one) => one.masked, max: 20 },
    { name: 'ENCODED AS', cell: (one) => one.encodings.join(', '), max: 40 },
    { name: '', cell: (one) => [one.verified ? 'verified' : '', one.reported ? '' : 'not reported'].join(' ').trim() },
  ]);
  return `${rows}${cut}`;
}

async function explain(cli: Cli, id: string): Promise<void> {
  const { patternFacts } = await import('../collector.ts');
  const fact = patternFacts(configOf(cli)).find((one) => one.id === id);
  if (fact === undefined) {
    throw new CliError(`there is no pattern ${safe(id)}. All of them: weir patterns list`, EXIT.usage);
  }
  cli.print(fact, () => explainText(fact));
}

function explainText(fact: PatternFact): string {
  const lines: [string, string][] = [
    ['id', fact.id],
    ['name', fact.name],
    ['severity', `${fact.severity}${fact.reported ? '' : ' (no finding in traffic)'}`],
    ['kind', `${fact.kind}, ${fact.category}`],
    ['label', `[${fact.label}_REDACTED]`],
    ['home', fact.home.length === 0 ? 'none known' : fact.home.join(', ')],
    ['keywords', fact.keywords.join(', ')],
    ['expression', fact.expression],
    ['validator', fact.validator ?? 'none'],
    ['reference', fact.reference],
    ['file', fact.file],
  ];
  const state = fact.enabled ? [] : ['disabled by patterns.disable'];
  return [...lines.map(([name, value]) => `${name.padEnd(11)} ${safe(value, 2000)}`), ...state].join('\n');
}

function readFile(file: string): Buffer {
  try {
    return limited(readFileSync(file));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new CliError(`${safe(file, 200)} cannot be read (${code})`, EXIT.usage, { cause: error });
  }
}

async function readAll(stream: NodeJS.ReadableStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk as Buffer);
    length += bytes.length;
    if (length > MOST_BYTES) break;
    chunks.push(bytes);
  }
  return limited(Buffer.concat(chunks), length);
}

function limited(bytes: Buffer, length: number = bytes.length): Buffer {
  if (length <= MOST_BYTES) return bytes;
  throw new CliError(`the text is longer than ${MOST_BYTES} bytes`, EXIT.usage);
}
