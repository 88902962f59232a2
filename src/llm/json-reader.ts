import { bareValue, type JsonNode, type JsonSink, stepInto } from './json-paths.ts';

/** Deeper text is given up: tool schemas reach 30. */
const MOST_DEPTH = 256;
/** Longer keys are none we ask for. */
const KEY_BYTES = 64;
/** No number anybody means is longer. */
const BARE_BYTES = 40;

const OBJECT = 1;
const ARRAY = 2;
/** The outermost array of `rows`: each element is a document. */
const ROWS = 3;

const VALUE = 0;
const FIRST_ITEM = 1;
const FIRST_KEY = 2;
const KEY = 3;
const COLON = 4;
const AFTER = 5;
const STRING = 6;
const BARE = 7;
const OVER = 8;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Reads JSON (RFC 8259) as its bytes come and reports only the wanted paths. Everything else is skipped over, not kept: memory is
 * bounded by the depth and by what one wanted string may keep, and how the bytes are cut makes no difference.
 * Strings that nobody wants are not held to the grammar of escapes. After `broken` nothing more is read.
 */
export class JsonReader<F extends string> {
  /** The text is no JSON, or nested too deep. */
  broken = false;
  readonly #root: JsonNode<F>;
  readonly #sink: JsonSink<F>;
  readonly #rows: boolean;
  readonly #kinds = new Uint8Array(MOST_DEPTH);
  readonly #nodes: (JsonNode<F> | undefined)[] = [];
  #depth = 0;
  #state = VALUE;
  /** What the next value is for. */
  #node: JsonNode<F> | undefined;
  #isKey = false;
  #escape = false;
  #escaped = false;
  #long = false;
  #keep = 0;
  #text: Buffer = Buffer.alloc(KEY_BYTES);
  #length = 0;
  #documents = 0;

  /** `rows`: a sequence of documents, or one array of them, instead of one document. */
  constructor(root: JsonNode<F>, sink: JsonSink<F>, rows = false) {
    this.#root = root;
    this.#sink = sink;
    this.#rows = rows;
    this.#node = root;
  }

  /** One whole document was read, or with `rows` some, and nothing is left open. Ask after `end`. */
  get complete(): boolean {
    if (this.broken || this.#depth !== 0) return false;
    return this.#rows ? this.#state === VALUE && this.#documents > 0 : this.#state === OVER;
  }

  /** Begins again with a new text. */
  reset(): void {
    this.broken = false;
    this.#depth = 0;
    this.#documents = 0;
    this.#state = VALUE;
    this.#node = this.#root;
  }

  push(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length && !this.broken) {
      if (this.#state === STRING) at = this.#string(bytes, at);
      else if (this.#state === BARE) at = this.#bare(bytes, at);
      else this.#structure(bytes[at++] as number);
    }
  }

  /** No more comes. A number the text breaks off in is not told: digits may be missing. */
  end(): void {
    if (this.#state === BARE && this.#depth === 0 && !this.broken) this.#endBare();
  }

  #structure(byte: number): void {
    if (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) return;
    switch (this.#state) {
      case FIRST_ITEM:
        if (byte === 0x5d) this.#close(byte);
        else this.#begin(byte);
        return;
      case FIRST_KEY:
        if (byte === 0x7d) this.#close(byte);
        else this.#beginKey(byte);
        return;
      case VALUE:
        this.#begin(byte);
        return;
      case KEY:
        this.#beginKey(byte);
        return;
      case COLON:
        if (byte === 0x3a) this.#state = VALUE;
        else this.broken = true;
        return;
      case AFTER:
        if (byte === 0x2c) this.#next();
        else this.#close(byte);
        return;
      default:
        this.broken = true;
    }
  }

  #begin(byte: number): void {
    if (byte === 0x7b) this.#open(OBJECT);
    else if (byte === 0x5b) this.#open(this.#rows && this.#depth === 0 ? ROWS : ARRAY);
    else if (byte === QUOTE) this.#beginText(STRING, this.#node?.as === undefined ? -1 : this.#node.keep);
    else if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39) || byte === 0x74 || byte === 0x66 || byte === 0x6e) {
      this.#beginText(BARE, this.#node?.as === undefined ? -1 : BARE_BYTES);
      this.#take(byte);
    } else this.broken = true;
  }

  #beginKey(byte: number): void {
    if (byte !== QUOTE) {
      this.broken = true;
      return;
    }
    this.#isKey = true;
    this.#beginText(STRING, this.#nodes[this.#depth - 1] === undefined ? -1 : KEY_BYTES);
  }

  /** `keep` -1: nobody asks. */
  #beginText(state: number, keep: number): void {
    this.#state = state;
    this.#keep = keep;
    this.#length = 0;
    this.#long = false;
    this.#escape = false;
    this.#escaped = false;
  }

  #open(kind: number): void {
    if (this.#depth === MOST_DEPTH) {
      this.broken = true;
      return;
    }
    const node = this.#node;
    if (node?.as !== undefined) this.#sink.enter(node.as);
    this.#kinds[this.#depth] = kind;
    this.#nodes[this.#depth++] = node;
    if (kind === ARRAY) this.#node = node?.element;
    this.#state = kind === OBJECT ? FIRST_KEY : FIRST_ITEM;
  }

  #next(): void {
    const kind = this.#kinds[this.#depth - 1];
    const parent = this.#nodes[this.#depth - 1];
    if (kind === ARRAY) this.#node = parent?.element;
    else if (kind === ROWS) this.#node = this.#root;
    this.#state = kind === OBJECT ? KEY : VALUE;
  }

  #close(byte: number): void {
    const kind = this.#kinds[this.#depth - 1] as number;
    if (byte !== (kind === OBJECT ? 0x7d : 0x5d)) {
      this.broken = true;
      return;
    }
    const node = this.#nodes[--this.#depth];
    if (kind === ROWS) {
      this.#state = VALUE;
      this.#node = this.#root;
      return;
    }
    if (node?.as !== undefined) this.#sink.leave(node.as);
    this.#ended();
  }

  /** A value ended. */
  #ended(): void {
    this.#state = AFTER;
    const row = this.#depth === 1 && this.#kinds[0] === ROWS;
    if (this.#depth !== 0 && !row) return;
    this.#documents++;
    if (!row) this.#state = this.#rows ? VALUE : OVER;
    this.#node = this.#root;
    this.#sink.document();
  }

  #string(bytes: Uint8Array, from: number): number {
    if (this.#keep < 0 || this.#long) return this.#skip(bytes, from);
    let at = from;
    while (at < bytes.length) {
      const byte = bytes[at++] as number;
      if (this.#escape) this.#escape = false;
      else if (byte === QUOTE) {
        this.#endString();
        return at;
      } else if (byte === BACKSLASH) {
        this.#escape = true;
        this.#escaped = true;
      }
      this.#take(byte);
      if (this.#long) return at;
    }
    return at;
  }

  /** Most bytes of most bodies pass here: prompts, images, schemas. */
  #skip(bytes: Uint8Array, from: number): number {
    let escaping = this.#escape;
    let at = from;
    while (at < bytes.length) {
      const byte = bytes[at++] as number;
      if (escaping) escaping = false;
      else if (byte === QUOTE) {
        this.#endString();
        return at;
      } else escaping = byte === BACKSLASH;
    }
    this.#escape = escaping;
    return at;
  }

  #take(byte: number): void {
    if (this.#length >= this.#keep) {
      this.#long = true;
      return;
    }
    if (this.#length === this.#text.length) this.#text = Buffer.concat([this.#text], this.#text.length * 2);
    this.#text[this.#length++] = byte;
  }

  #endString(): void {
    if (this.#isKey) {
      this.#isKey = false;
      this.#state = COLON;
      this.#node = this.#keep < 0 || this.#long ? undefined : this.#step();
      return;
    }
    const text = this.#keep < 0 || this.#long ? undefined : this.#unescaped();
    if (this.broken) return;
    if (this.#node?.as !== undefined) this.#sink.value(this.#node.as, text);
    this.#ended();
  }

  #step(): JsonNode<F> | undefined {
    const parent = this.#nodes[this.#depth - 1] as JsonNode<F>;
    return this.#escaped ? parent.keys.get(this.#unescaped() ?? '') : stepInto(parent, this.#text, this.#length);
  }

  #unescaped(): string | undefined {
    const raw = this.#text.toString('utf8', 0, this.#length);
    if (!this.#escaped) return raw;
    try {
      return JSON.parse(`"${raw}"`) as string;
    } catch {
      this.broken = true;
      return undefined;
    }
  }

  #bare(bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.length) {
      const byte = bytes[at] as number;
      const letter = byte | 0x20;
      const more =
        (byte >= 0x2b && byte <= 0x39 && byte !== 0x2c && byte !== 0x2f) || (letter >= 0x61 && letter <= 0x7a);
      if (!more) {
        this.#endBare();
        return at;
      }
      if (this.#keep >= 0 && !this.#long) this.#take(byte);
      at++;
    }
    return at;
  }

  #endBare(): void {
    if (this.#keep >= 0) {
      const text = this.#text.toString('latin1', 0, this.#length);
      const value = this.#long ? undefined : bareValue(text);
      if (value === undefined && !this.#long) {
        this.broken = true;
        return;
      }
      if (this.#node?.as !== undefined) this.#sink.value(this.#node.as, value);
    }
    this.#ended();
  }
}
