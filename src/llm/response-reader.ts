import type { LlmApi, LlmResponseFacts } from '../model/llm.ts';
import { EventStreamReader } from './event-stream-reader.ts';
import { JsonReader } from './json-reader.ts';
import { RESPONSE_FIELDS, type ResponseField } from './response-fields.ts';
import { ResponseNotes } from './response-notes.ts';
import { SseReader } from './sse-reader.ts';

/** Reads an answer on a copy. */
export interface LlmResponseReader {
  /** More of it, content encodings undone. `now`: a clock's value in any unit; it only comes back in the facts. */
  push(bytes: Uint8Array, now: number): void;
  /** No more comes. `cut`: it ended before its framing said so. The same facts each time. */
  end(cut?: boolean): LlmResponseFacts;
}

/** One way an answer is written. */
interface Form {
  readonly streamed: boolean;
  push(bytes: Uint8Array): void;
  /** No more comes: false when something is left open or was no such form. */
  end(): boolean;
}

/** Begins to read the answer of `api`. Its form (JSON, JSON lines, SSE, AWS event stream) is told by its first byte: media types lie. */
export function createLlmResponse(api: LlmApi): LlmResponseReader {
  return new ResponseReader(api);
}

class ResponseReader implements LlmResponseReader {
  readonly #api: LlmApi;
  readonly #notes = new ResponseNotes();
  #form: Form | undefined;
  #now = 0;
  #events = 0;
  #firstEventAt: number | undefined;
  #firstTokenAt: number | undefined;
  #facts: LlmResponseFacts | undefined;

  constructor(api: LlmApi) {
    this.#api = api;
  }

  push(bytes: Uint8Array, now: number): void {
    if (this.#facts !== undefined) return;
    this.#now = now;
    if (this.#form !== undefined) {
      this.#form.push(bytes);
      return;
    }
    const at = bytes.findIndex((byte) => !isSpace(byte));
    if (at === -1) return;
    this.#form = this.#formOf(bytes[at] as number);
    this.#form.push(bytes.subarray(at));
  }

  end(cut = false): LlmResponseFacts {
    this.#facts ??= this.#finish(cut);
    return this.#facts;
  }

  #finish(cut: boolean): LlmResponseFacts {
    const whole = this.#form?.end() ?? false;
    const notes = this.#notes;
    const streamed = this.#form?.streamed ?? false;
    // A stream has no end of its own: it is whole when it says so, or when it told why it ended and was not cut.
    const complete = whole && (!streamed || notes.over || (!cut && notes.finished));
    return {
      ...notes.facts(this.#api.kind),
      streamed,
      events: streamed ? this.#events : 0,
      ...(streamed && this.#firstEventAt !== undefined && { firstEventAt: this.#firstEventAt }),
      ...(streamed && this.#firstTokenAt !== undefined && { firstTokenAt: this.#firstTokenAt }),
      ...(!complete && { incomplete: true }),
    };
  }

  #formOf(first: number): Form {
    // No message of an AWS event stream is as long as 16 MiB, so its length begins with a zero.
    if (first === 0) return this.#eventStream();
    // `data`, `event`, `id`, `retry`, a comment, a byte order mark.
    if ([0x64, 0x65, 0x69, 0x72, 0x3a, 0xef].includes(first)) return this.#sse();
    return this.#json();
  }

  #ended(): void {
    this.#events++;
    this.#firstEventAt ??= this.#now;
    if (this.#notes.token) this.#firstTokenAt ??= this.#now;
    this.#notes.token = false;
  }

  /** Gemini without `alt=sse` streams one array, Ollama one document a line; both answer one document when not streaming. */
  #json(): Form {
    const { kind } = this.#api;
    const rows = kind === 'gemini.generate' || kind.startsWith('ollama.');
    const notes = this.#notes;
    const sink = {
      value: notes.value.bind(notes),
      enter: notes.enter.bind(notes),
      leave: notes.leave.bind(notes),
      document: () => {
        notes.document();
        this.#ended();
      },
    };
    const json = new JsonReader(RESPONSE_FIELDS[kind], sink, rows);
    const asked = this.#api.stream === true;
    return {
      get streamed() {
        return rows && (notes.documents > 1 || notes.goesOn || (asked && !notes.failed));
      },
      push: (bytes) => json.push(bytes),
      end: () => {
        json.end();
        return json.complete;
      },
    };
  }

  #sse(): Form {
    const notes = this.#notes;
    const json = new JsonReader(RESPONSE_FIELDS[this.#api.kind], notes);
    let whole = true;
    const sse = new SseReader({
      data: (bytes) => json.push(bytes),
      event: (type, head) => {
        json.end();
        if (head === '[DONE]') notes.over = true;
        else if (head !== '') {
          if (!json.complete) whole = false;
          if (type === 'error') notes.fail(undefined);
          this.#ended();
        }
        json.reset();
        notes.begin();
      },
    });
    return {
      streamed: true,
      push: (bytes) => sse.push(bytes),
      end: () => {
        sse.end();
        return whole;
      },
    };
  }

  #eventStream(): Form {
    const notes = this.#notes;
    const fields = RESPONSE_FIELDS[this.#api.kind];
    const json = new JsonReader(fields, notes);
    const inner = new JsonReader(fields, notes);
    let whole = true;
    let last = false;
    const stream = new EventStreamReader({
      headers: (headers) => {
        if (headers.get(':message-type') !== 'event')
          notes.fail(headers.get(':exception-type') ?? headers.get(':error-code'));
        // ConverseStream's last event; Invoke's says so inside.
        last = headers.get(':event-type') === 'metadata';
      },
      payload: (bytes) => json.push(bytes),
      message: () => {
        json.end();
        if (!json.complete) whole = false;
        if (notes.envelope !== undefined && !opened(notes, inner)) whole = false;
        notes.envelope = undefined;
        notes.over ||= last;
        this.#ended();
        json.reset();
        notes.begin();
      },
    });
    return {
      streamed: true,
      push: (bytes) => stream.push(bytes),
      end: () => whole && !stream.open && !stream.broken,
    };
  }
}

/** Reads what Invoke's stream wraps in base64. */
function opened(notes: ResponseNotes, json: JsonReader<ResponseField>): boolean {
  if (typeof notes.envelope !== 'string') return false;
  notes.begin();
  json.reset();
  json.push(Buffer.from(notes.envelope, 'base64'));
  json.end();
  return json.complete;
}

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
