import { editHead } from '../codec/http1-edit.ts';
import type { ResponseHead } from '../codec/http1-head.ts';
import type { Answer } from '../model/answer.ts';
import type { Exchange } from '../model/exchange.ts';
import type { Corridor } from '../model/ports.ts';

/** A final response head after its judgement: `end` is the first byte after it in `bytes`. */
export type JudgedHead = { readonly bytes: Buffer; readonly end: number } | { readonly answer: Answer };

/** Notes the facts of a final head on its exchange and has it judged; what was found in it is taken out of the bytes. */
export function judgeHead(corridor: Corridor, exchange: Exchange, head: ResponseHead, bytes: Buffer): JudgedHead {
  exchange.headMono = performance.now();
  exchange.status = head.status;
  exchange.responseFields = head.fields;
  const checked = corridor.checkResponse(exchange);
  if (!checked.forward) return { answer: checked.answer };
  if (checked.edits === undefined) return { bytes, end: head.end };
  const edited = editHead(bytes.subarray(0, head.end), checked.edits);
  return { bytes: Buffer.concat([edited, bytes.subarray(head.end)]), end: edited.length };
}
