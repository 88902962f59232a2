import { hostPort } from '../model/destination.ts';
import { printable } from '../model/printable.ts';
import type { ReportFacts } from '../model/report.ts';
import {
  amount,
  endingOf,
  enforceCommand,
  enforceSentence,
  exact,
  isSilent,
  many,
  markOf,
  noveltyOf,
  placeOf,
  short,
  splitNew,
  subjectOf,
  unreadWords,
} from './receipt-words.ts';
import { period } from './time.ts';

/** Hosts named in the line of first contacts. */
const FIRST_NAMED = 20;

/** The report as Markdown with tables, for the summary of a CI job. Everything from outside is code, so that none of it is markup. */
export function reportMarkdown(facts: ReportFacts, now: number): string {
  const head = [code(subjectOf(facts, 63)), period(facts.from, facts.to, now), endingOf(facts)];
  const title = `## Weir: ${head.filter((part) => part !== '').join(', ')}`;
  if (isSilent(facts)) return `${title}\n\nNothing was recorded.\n`;
  const parts = [
    title,
    `**${facts.mode}** · ${facts.containment} · ${many(facts.destinations, 'destination')} · ${many(facts.requests, 'request')} · ${amount(facts.requestBytes)} out · ${amount(facts.responseBytes)} in`,
    destinations(facts),
    news(facts),
    leaving(facts),
    unseen(facts),
    enforce(facts),
    facts.remarks.map((remark) => `- ${code(remark)}`).join('\n'),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

/** Text from outside as a code span that no content can leave. */
function code(text: string, max = 200): string {
  const shown = printable(text, max).replaceAll('`', "'").replaceAll('|', '¦').trim();
  return shown === '' ? '' : `\`${shown}\``;
}

function table(head: readonly string[], right: ReadonlySet<number>, rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (right.has(i) ? '---:' : '---'))), ...rows.map(line)].join('\n');
}

function more(listed: number, total: number | undefined): string {
  return total === undefined || total <= listed ? '' : `\n\n… and ${exact(total - listed)} more`;
}

function destinations(facts: ReportFacts): string {
  if (facts.top.length === 0) return '';
  const tokens = facts.top.some((d) => d.inputTokens !== undefined || d.outputTokens !== undefined);
  const count = (n: number | undefined): string => (n === undefined ? '' : short(n));
  const head = ['destination', 'requests', 'out', 'in', ...(tokens ? ['tokens in', 'tokens out'] : [])];
  const rows = facts.top.map((d) => [
    code(placeOf(d)),
    d.failed === undefined ? exact(d.requests) : `${exact(d.requests)} (${exact(d.failed)} failed)`,
    amount(d.requestBytes),
    amount(d.responseBytes),
    ...(tokens ? [count(d.inputTokens), count(d.outputTokens)] : []),
  ]);
  return table(head, new Set([1, 2, 3, 4, 5]), rows) + more(facts.top.length, facts.destinations);
}

function news(facts: ReportFacts): string {
  const { told, first } = splitNew(facts);
  const parts: string[] = [];
  if (told.length > 0) {
    const rows = told.map((n) => [code(placeOf(n)), code(noveltyOf(n)), code(n.agent), markOf(n)]);
    parts.push(table(['where', 'what', 'agent', ''], new Set(), rows) + more(told.length, facts.totals?.new));
  }
  const total = Math.max(first.length, facts.totals?.firstContacts ?? 0);
  if (total > 0) {
    const hosts = [...new Set(first.map((n) => code(placeOf(n))))].slice(0, FIRST_NAMED).join(', ');
    parts.push(`${many(total, 'first contact')} while learning: ${hosts}${total > FIRST_NAMED ? ', …' : ''}`);
  }
  return parts.length === 0 ? '' : `### New\n\n${parts.join('\n\n')}`;
}

function leaving(facts: ReportFacts): string {
  if (facts.leaving.length === 0) return '';
  const rows = facts.leaving.map((l) => [
    code(l.rule),
    `${l.incoming === true ? 'the answer to ' : ''}${code(`${l.method} ${l.host}${l.path}`)}`,
    exact(l.count),
    markOf(l),
  ]);
  const list = table(['rule', 'in', 'times', ''], new Set([2]), rows);
  const title = facts.leaving.some((l) => l.incoming === true) ? 'Leaving and coming in' : 'Leaving';
  return `### ${title}\n\n${list}${more(facts.leaving.length, facts.totals?.leaving)}`;
}

function unseen(facts: ReportFacts): string {
  const parts: string[] = [];
  if (facts.direct.length > 0) {
    const rows = facts.direct.map((d) => [code(d.program), code(hostPort(d.address, d.port)), exact(d.count)]);
    parts.push(
      `Connections around Weir, sampled 4×/s. Sampling proves these; it cannot prove that there were no others.\n\n${table(['program', 'to', 'sockets'], new Set([2]), rows)}`,
    );
  }
  if (facts.unread.length > 0)
    parts.push(facts.unread.map((u) => `- ${code(unreadWords(u).join(' '), 400)}`).join('\n'));
  return parts.length === 0 ? '' : `### Unseen\n\n${parts.join('\n\n')}`;
}

function enforce(facts: ReportFacts): string {
  const sentence = enforceSentence(facts);
  if (sentence === undefined) return '';
  const command = enforceCommand(facts);
  return `**enforce**: ${sentence}${command === undefined ? '' : ` (${code(command)})`}`;
}
