import { printable } from '../model/printable.ts';
import type { ReportDestination, ReportFacts, ReportLeaving, ReportNew } from '../model/report.ts';
import {
  amount,
  directWords,
  endingOf,
  enforceCommand,
  enforceSentence,
  exact,
  isSilent,
  many,
  markOf,
  noveltyOf,
  placeOf,
  remarksOn,
  splitNew,
  subjectOf,
  unreadWords,
  wrap,
} from './receipt-words.ts';
import { period } from './time.ts';

/** Colours a piece; padding is done before. */
export type ReceiptStyle = (name: 'bold' | 'dim' | 'red' | 'green' | 'yellow', text: string) => string;

export interface ReceiptOptions {
  /** Columns of the terminal; under 60 counts as 60. */
  readonly width: number;
  /** Epoch ms; times of another day carry their date. Default: the end of what is covered. */
  readonly now?: number;
  readonly style?: ReceiptStyle;
}

/** product.md §9: a receipt is at most 20 lines. */
const MAX_LINES = 20;
const MIN_WIDTH = 60;
/** Marks and the mode stand no further right than here, however wide the terminal. */
const LAYOUT = 90;
const MARK_COLUMN = 75;
const COMMAND_COLUMN = 60;
/** After `weir  `. */
const NAME_COLUMN = 6;
const NAME_MAX = 24;
/** Columns of margin and label. */
const MARGIN = 12;
/** Column of hosts, their gap included. */
const HOSTS = 24;
const HOSTS_MIN = 14;
const GAP = 2;
const NOTHING = 'nothing left this command through Weir';
const NOTHING_SHORT = 'nothing left through Weir';
const NOTHING_RECORDED = 'nothing was recorded';

interface Line {
  readonly label?: string;
  readonly text: string;
  readonly mark?: string;
}

/** Columns of this receipt. */
interface Frame {
  readonly width: number;
  readonly hosts: number;
  readonly marks: number;
}

/** How many lines each part may take. */
interface Caps {
  top: number;
  new: number;
  leaving: number;
  unread: number;
  remarks: number;
}

const WANTED: Readonly<Caps> = { top: 5, new: 6, leaving: 5, unread: 3, remarks: 3 };
const LEAST: Readonly<Caps> = { top: 2, new: 2, leaving: 2, unread: 1, remarks: 1 };

/** The receipt of a run and the text of `weir report` (product.md §9), at most 20 lines; one when there is nothing to say. Pure. */
export function receiptLines(facts: ReportFacts, options: ReceiptOptions): string[] {
  const style: ReceiptStyle = options.style ?? ((_name, text) => text);
  const width = Math.max(MIN_WIDTH, Math.floor(options.width) || 0);
  const left = headLeft(facts, options.now ?? facts.to);
  const end = NAME_COLUMN + subjectOf(facts, NAME_MAX).length;
  const bold = (text: string): string =>
    text.slice(0, NAME_COLUMN) + style('bold', text.slice(NAME_COLUMN, end)) + text.slice(end);
  if (isSilent(facts)) return [bold(silence(facts, left, width))];
  const head = headLines(left, `${facts.mode} · ${facts.containment}`, Math.min(width, LAYOUT));
  const frame = frameOf(facts, width);
  const caps: Caps = { ...WANTED };
  let lines = body(facts, frame, caps);
  while (head.length + lines.length > MAX_LINES && shrink(caps)) lines = body(facts, frame, caps);
  const all = [...head.map((text, i) => (i === 0 ? bold(text) : text)), ...lines.map((l) => render(l, frame, style))];
  return all.length <= MAX_LINES ? all : [...all.slice(0, MAX_LINES - 1), `${margin()}… more: weir report --json`];
}

function headLeft(facts: ReportFacts, now: number): string {
  const parts = ['weir', subjectOf(facts, NAME_MAX), period(facts.from, facts.to, now), endingOf(facts)];
  return parts.filter((part) => part !== '').join('  ');
}

function headLines(left: string, right: string, width: number): string[] {
  const room = width - left.length - right.length;
  return room >= GAP ? [`${left}${' '.repeat(room)}${right}`] : [left, `      ${right}`];
}

function silence(facts: ReportFacts, left: string, width: number): string {
  if (facts.run === undefined) return `${left}   ${NOTHING_RECORDED}`;
  const line = `${left}   ${NOTHING}`;
  return line.length <= width ? line : `${left}   ${NOTHING_SHORT}`;
}

/** Takes a line from the longest part that can spare one. */
function shrink(caps: Caps): boolean {
  const names = Object.keys(caps) as (keyof Caps)[];
  const spare = names.filter((name) => caps[name] > LEAST[name]).sort((a, b) => caps[b] - caps[a]);
  const [first] = spare;
  if (first === undefined) return false;
  caps[first]--;
  return true;
}

function margin(label = ''): string {
  return label === '' ? ' '.repeat(MARGIN) : `  ${label.padEnd(MARGIN - 2)}`;
}

/** The column of hosts is as wide as the longest of them, as long as what stands beside it is not cut for it. */
function frameOf(facts: ReportFacts, width: number): Frame {
  const { told } = splitNew(facts);
  const top = facts.top.slice(0, WANTED.top);
  const news = told.filter((n) => n.host !== '').slice(0, WANTED.new);
  const marks = Math.min(
    MARK_COLUMN,
    width - Math.max(0, ...[...told, ...facts.leaving].map((item) => markOf(item).length)),
  );
  const longest = Math.max(0, ...[...top, ...news].map((item) => shown(item).length)) + GAP;
  const room = Math.min(
    ...counts(top).map((text) => width - MARGIN - text.length),
    ...news.map((n) => marks - GAP - MARGIN - noveltyOf(n).length),
    width,
  );
  const least = Math.min(longest, HOSTS);
  return { width, marks, hosts: Math.max(HOSTS_MIN, least, Math.min(Math.max(longest, HOSTS), room)) };
}

function shown(item: Parameters<typeof placeOf>[0]): string {
  return printable(placeOf(item), 253);
}

/** Host or party in its column; of a host the end is what names its owner, so a long one loses its beginning. */
function inColumn(item: Parameters<typeof placeOf>[0], column: number): string {
  const text = shown(item);
  const room = column - GAP;
  if (text.length <= room) return text.padEnd(column);
  const cut = text.includes('/') ? printable(text, room) : `…${tail(text, room - 1)}`;
  return cut.padEnd(column);
}

/** The last units of a text, never half a pair. */
function tail(text: string, length: number): string {
  const end = text.slice(text.length - length);
  const first = end.charCodeAt(0);
  return first >= 0xdc00 && first <= 0xdfff ? end.slice(1) : end;
}

/** Requests, bytes and tokens of each destination, in columns. */
function counts(top: readonly ReportDestination[]): string[] {
  const requests = top.map((d) => exact(d.requests));
  const out = top.map((d) => `${amount(d.requestBytes)} out`);
  const wide = [requests, out].map((cells) => Math.max(3, ...cells.map((cell) => cell.length)));
  return top.map((d, i) => {
    const cells = [requests[i]?.padStart(wide[0] ?? 0), out[i]?.padEnd(wide[1] ?? 0), remarksOn(d)];
    return cells.join('   ').trimEnd();
  });
}

function body(facts: ReportFacts, frame: Frame, caps: Readonly<Caps>): Line[] {
  return [
    ...wentTo(facts, frame, caps.top),
    ...labelled('new', news(facts, frame, caps.new)),
    ...leaving(facts, frame, caps.leaving),
    ...labelled('unseen', unseen(facts, frame, caps.unread)),
    ...enforce(facts, frame),
    ...labelled('note', remarks(facts, frame, caps.remarks)),
  ];
}

function labelled(label: string, lines: readonly Line[]): Line[] {
  return lines.map((line, i) => (i === 0 ? { label, ...line } : line));
}

/** As many as there is room for; the last line then says how many are left out. */
function cut<T>(items: readonly T[], total: number, cap: number, line: (item: T) => Line): Line[] {
  const all = Math.max(items.length, total);
  if (all <= cap && items.length === all) return items.map((item) => line(item));
  const kept = items.slice(0, Math.max(0, cap - 1));
  return [...kept.map((item) => line(item)), { text: `… and ${exact(all - kept.length)} more` }];
}

function wentTo(facts: ReportFacts, frame: Frame, cap: number): Line[] {
  if (facts.requests === 0) return [];
  const sums = [
    many(facts.destinations, 'destination'),
    many(facts.requests, 'request'),
    `${amount(facts.requestBytes)} out`,
    `${amount(facts.responseBytes)} in`,
  ];
  // The first line tells how many there are: what is left out needs no line of its own.
  const top = facts.top.slice(0, cap);
  const beside = counts(top);
  const rows = top.map((d, i) => ({ text: inColumn(d, frame.hosts) + (beside[i] ?? '') }));
  const joined = sums.map((sum, i) => (i < sums.length - 1 ? `${sum} ·` : sum));
  const lines = wrap(joined, frame.width - MARGIN).map((text) => ({ text }));
  return [...labelled('went to', lines), ...rows];
}

function news(facts: ReportFacts, frame: Frame, cap: number): Line[] {
  const { told, first } = splitNew(facts);
  const room = frame.marks - GAP - MARGIN;
  const line = (n: ReportNew): Line => {
    const place = n.host === '' ? '' : inColumn(n, frame.hosts);
    return { text: place + printable(noveltyOf(n), room - place.length), mark: markOf(n) };
  };
  const lines = cut(told, facts.totals?.new ?? 0, cap, line);
  const total = Math.max(first.length, facts.totals?.firstContacts ?? 0);
  if (total > 0) lines.push({ text: folded(first, total, frame.width - MARGIN) });
  return lines;
}

/** `6 first contacts while learning: a, b, …` on one line. */
function folded(first: readonly ReportNew[], total: number, room: number): string {
  const head = `${many(total, 'first contact')} while learning`;
  const hosts = [...new Set(first.map(shown))].filter((host) => host !== '');
  let text = '';
  for (const [i, host] of hosts.entries()) {
    const next = text === '' ? `: ${host}` : `${text}, ${host}`;
    const more = i < hosts.length - 1 || total > first.length ? 3 : 0;
    if (head.length + next.length + more > room) return `${head}${text}${text === '' ? '' : ', …'}`;
    text = next;
  }
  return `${head}${text}${total > first.length && text !== '' ? ', …' : ''}`;
}

function leaving(facts: ReportFacts, frame: Frame, cap: number): Line[] {
  const line = (l: ReportLeaving): Line => {
    const times = l.count > 1 ? `, ${exact(l.count)} times` : '';
    const where = `${l.method} ${l.host}${l.path}`.trim();
    const rule = printable(l.rule, 40);
    const room = frame.marks - GAP - MARGIN - times.length;
    const place = where === '' ? rule : `${rule} in ${l.incoming === true ? 'the answer to ' : ''}${where}`;
    return { text: `${printable(place, room)}${times}`, mark: markOf(l) };
  };
  // What leaves comes first, and what came in begins with a label of its own.
  const lines = cut(facts.leaving, facts.totals?.leaving ?? 0, cap, line);
  const first = facts.leaving.findIndex((l) => l.incoming === true);
  const split = first < 0 ? lines.length : Math.min(first, lines.length);
  return [...labelled('leaving', lines.slice(0, split)), ...labelled('incoming', lines.slice(split))];
}

function unseen(facts: ReportFacts, frame: Frame, cap: number): Line[] {
  const room = frame.width - MARGIN;
  const direct = facts.direct.length === 0 ? [] : wrap(directWords(facts.direct, facts.directTotal), room);
  const unread = cut(facts.unread, 0, cap, (u) => ({ text: wrap(unreadWords(u), room).join('\n') }));
  return [...direct.map((text) => ({ text })), ...unread.flatMap(({ text }) => apart(text))];
}

function remarks(facts: ReportFacts, frame: Frame, cap: number): Line[] {
  const room = frame.width - MARGIN;
  const said = cut(facts.remarks, 0, cap, (remark) => ({
    text: wrap(printable(remark, 2 * room).split(' '), room).join('\n'),
  }));
  return said.flatMap(({ text }) => apart(text));
}

function apart(text: string): Line[] {
  return text.split('\n').map((part) => ({ text: part }));
}

function enforce(facts: ReportFacts, { width }: Frame): Line[] {
  const text = enforceSentence(facts);
  if (text === undefined) return [];
  const command = enforceCommand(facts);
  if (command === undefined) return [{ label: 'enforce', text }];
  const column = Math.min(COMMAND_COLUMN, width - command.length) - MARGIN;
  if (column < text.length + GAP) return [{ label: 'enforce', text }, { text: command }];
  return [{ label: 'enforce', text: text.padEnd(column) + command }];
}

function render(line: Line, frame: Frame, style: ReceiptStyle): string {
  const label = margin(line.label);
  const start = line.label === undefined ? label : style('dim', label);
  if (line.mark === undefined) return start + line.text;
  const colour = line.mark === 'blocked' ? 'red' : line.mark === 'redacted' ? 'green' : 'yellow';
  return `${start}${line.text.padEnd(frame.marks - MARGIN)}${style(colour, line.mark)}`;
}
