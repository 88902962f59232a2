import type { MessageEnds } from './message-ends.ts';
import { Redactor } from './redactor.ts';
import type { RedactorOptions } from './redactor-contract.ts';

/** A stream of messages: each by itself, so that nothing waits once it is there. */
export class MessageRedactor extends Redactor {
  readonly #ends: MessageEnds;

  constructor(options: RedactorOptions, ends: MessageEnds) {
    super(options);
    this.#ends = ends;
  }

  override write(payload: Buffer): void {
    let from = 0;
    for (const end of this.#ends.of(payload)) {
      super.write(payload.subarray(from, end));
      this.settle();
      from = end;
      if (this.over) return;
    }
    if (from < payload.length) super.write(payload.subarray(from));
  }
}
