import type { BodyScanned, PartScanPort } from '../model/scan.ts';
import { DeltaFilter, together } from './delta-filter.ts';
import { Window, type WindowOptions } from './window.ts';

/** An event stream on a copy: as it stands, and the texts that its events make together. */
export class EventWindow extends Window {
  readonly #deltas: DeltaFilter;

  constructor(options: WindowOptions, scan: PartScanPort) {
    super(options);
    this.#deltas = new DeltaFilter({
      scan,
      budget: options.budget,
      agent: options.agent,
      now: options.now,
      holdMs: 0,
      act: () => 'pass',
      data: () => undefined,
      stopped: () => undefined,
      onError: () => undefined,
    });
  }

  override push(payload: Uint8Array): void {
    super.push(payload);
    // Parts of an event are kept, the caller's bytes are his.
    if (!this.stopped) this.#deltas.write(Buffer.from(payload));
  }

  override finish(): BodyScanned {
    this.#deltas.end();
    return together(super.finish(), this.#deltas);
  }
}
