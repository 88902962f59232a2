/** Who is told what an event stream says. */
export interface SseSink {
  /** Some of the data of the event under way; lines are joined by LF as the standard wants. */
  data(bytes: Uint8Array): void;
  /** An event with data ended. `head`: its data when it has at most 16 bytes, such as `[DONE]`. `type`: its `event` field. */
  event(type: string, head: string | undefined): void;
}

const LF = 0x0a;
const CR = 0x0d;
const FIELD_BYTES = 8;
const TYPE_BYTES = 64;
const HEAD_BYTES = 16;
const LINE_END = new Uint8Array([LF]);

const NAME = 0;
const SPACE = 1;
const DATA = 2;
const TYPE = 3;
const OTHER = 4;

/**
 * Reads server-sent events (WHATWG HTML §9.2.6) as their bytes come. Data is handed on and not kept. An event the stream ends in
 * the middle of is told all the same, by `end`: whoever reads the data knows whether it was whole.
 */
export class SseReader {
  readonly #sink: SseSink;
  #part = NAME;
  #afterCr = false;
  #name = '';
  #type = '';
  #head = '';
  #dataBytes = 0;
  #hasData = false;
  #bom = 0;

  constructor(sink: SseSink) {
    this.#sink = sink;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const byte = bytes[at] as number;
      if (byte === LF && this.#afterCr) {
        this.#afterCr = false;
        at++;
        continue;
      }
      this.#afterCr = byte === CR;
      if (byte === LF || byte === CR) {
        this.#endLine();
        at++;
      } else if (this.#part === NAME) {
        this.#nameByte(byte);
        at++;
      } else {
        at = this.#valueBytes(bytes, at);
      }
    }
  }

  /** No more comes. */
  end(): void {
    if (this.#part !== NAME || this.#name !== '') this.#endLine();
    this.#endEvent();
  }

  #nameByte(byte: number): void {
    // One byte order mark may begin the stream: EF BB BF.
    if (this.#bom >= 0 && this.#bom < 3) {
      if (byte === [0xef, 0xbb, 0xbf][this.#bom]) {
        this.#bom++;
        return;
      }
      this.#bom = -1;
    }
    if (byte !== 0x3a) {
      if (this.#name.length <= FIELD_BYTES) this.#name += String.fromCharCode(byte);
      return;
    }
    if (this.#name === 'data') this.#beginData();
    if (this.#name === 'event') this.#type = '';
    this.#part = SPACE;
  }

  #beginData(): void {
    if (this.#hasData) {
      this.#sink.data(LINE_END);
      if (this.#dataBytes++ < HEAD_BYTES) this.#head += '\n';
    }
    this.#hasData = true;
  }

  #valueBytes(bytes: Uint8Array, from: number): number {
    let at = from;
    if (this.#part === SPACE) {
      this.#part = this.#name === 'data' ? DATA : this.#name === 'event' ? TYPE : OTHER;
      if (bytes[at] === 0x20) at++;
    }
    const start = at;
    while (at < bytes.length && bytes[at] !== LF && bytes[at] !== CR) at++;
    if (at === start) return at;
    const value = bytes.subarray(start, at);
    if (this.#part === DATA) {
      if (this.#dataBytes < HEAD_BYTES) this.#head += latin1(value, HEAD_BYTES - this.#dataBytes);
      this.#dataBytes += value.length;
      this.#sink.data(value);
    } else if (this.#part === TYPE) {
      this.#type += latin1(value, TYPE_BYTES - this.#type.length);
    }
    return at;
  }

  #endLine(): void {
    if (this.#part === NAME) {
      if (this.#name === '') this.#endEvent();
      else if (this.#name === 'data') this.#beginData();
    }
    this.#name = '';
    this.#part = NAME;
  }

  #endEvent(): void {
    if (this.#hasData) this.#sink.event(this.#type, this.#dataBytes <= HEAD_BYTES ? this.#head : undefined);
    this.#hasData = false;
    this.#type = '';
    this.#head = '';
    this.#dataBytes = 0;
  }
}

const latin1 = (bytes: Uint8Array, most: number): string =>
  String.fromCharCode(...bytes.subarray(0, Math.max(0, most)));
