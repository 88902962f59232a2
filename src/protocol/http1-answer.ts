import type { Answer } from '../model/answer.ts';

/** How an {@link Answer} is put on the wire. */
export interface AnswerForm {
  /** The request was HEAD: no body follows the head. */
  readonly headOnly: boolean;
  /** The connection ends after it. */
  readonly close: boolean;
}

/** An answer of ours as HTTP/1.1 bytes. */
export function renderAnswer(answer: Answer, form: AnswerForm): Buffer {
  let head = `HTTP/1.1 ${answer.status} ${answer.reason}\r\n`;
  for (const [name, value] of answer.headers) head += `${name}: ${value}\r\n`;
  head += form.close ? 'connection: close\r\n\r\n' : '\r\n';
  const bytes = Buffer.from(head, 'latin1');
  return form.headOnly ? bytes : Buffer.concat([bytes, Buffer.from(answer.body, 'utf8')]);
}
