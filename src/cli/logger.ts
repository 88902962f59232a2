import { type Logger, pino } from 'pino';
import { safe } from './context.ts';

export type LogFormat = 'human' | 'json';

const LEVELS: Readonly<Record<number, string>> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO',
  40: 'WARN',
  50: 'ERROR',
  60: 'FATAL',
};
const OWN = new Set(['level', 'time', 'pid', 'hostname', 'msg', 'name']);

/**
 * The collector's log: pino JSON lines, or lines for people, always on stderr (stdout belongs to command output).
 * @param colour whether levels may be coloured
 */
export function createLogger(stderr: NodeJS.WritableStream, format: LogFormat, level: string, colour: boolean): Logger {
  const base = { level, base: { name: 'weir', pid: process.pid } };
  const destination = {
    write: (line: string): void => void stderr.write(format === 'json' ? line : humanLine(line, colour)),
  };
  return pino(base, destination);
}

/** One pino line as `14:02:31 WARN  message  key=value`. Exported for its test. */
export function humanLine(line: string, colour: boolean): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return `${safe(line, 2000)}\n`;
  }
  const time = new Date(Number(entry['time'])).toTimeString().slice(0, 8);
  const level = (LEVELS[Number(entry['level'])] ?? '').padEnd(5);
  const rest = Object.entries(entry)
    .filter(([key]) => !OWN.has(key))
    .map(([key, value]) => `${safe(key, 40)}=${safe(typeof value === 'string' ? value : errorText(value), 300)}`)
    .join(' ');
  const shown = colour && Number(entry['level']) >= 40 ? `\u001b[33m${level}\u001b[0m` : level;
  return `${time} ${shown} ${safe(String(entry['msg'] ?? ''), 500)}${rest === '' ? '' : `  ${rest}`}\n`;
}

/** An error keeps its message; the stack stays in the JSON form. */
function errorText(value: unknown): string {
  const message = (value as { message?: unknown } | null)?.message;
  return typeof message === 'string' ? message : (JSON.stringify(value) ?? '');
}
