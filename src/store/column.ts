import {
  BOOLEAN,
  DOUBLE,
  DuckDBDataChunk,
  DuckDBListValue,
  type DuckDBType,
  ENUM,
  INTEGER,
  LIST,
  TIMESTAMPTZ,
  VARCHAR,
} from '@duckdb/node-api';
import { bindings } from './bindings.ts';
import { numberOf } from './convert.ts';
import type { Cell, Row } from './row.ts';
import type { Column, ColumnType } from './schema.ts';

/** Rows of one chunk: DuckDB's vector size. */
export const CHUNK_ROWS = 2048;
/** A column of strings is handed over as a dictionary while its members are at most this many and a quarter of the rows. */
const FEW = 16;
/** Members an ENUM of one byte can have; DuckDB uses two bytes for more. */
const BYTE_MEMBERS = 255;

/** Collects rows and makes chunks of them, in the form that is cheapest for each column. */
export class ChunkBuilder {
  readonly #fills: readonly Fill[];
  #rows = 0;

  constructor(columns: readonly Column[]) {
    this.#fills = columns.map(({ type }) => fillOf(type));
  }

  /** How many rows wait, at most `CHUNK_ROWS`. */
  get rows(): number {
    return this.#rows;
  }

  /** Takes cells as `toDuckDB` does; never throws for their sake. */
  add(row: Row): void {
    const fills = this.#fills;
    const at = this.#rows++;
    for (let c = 0; c < fills.length; c++) (fills[c] as Fill).add(at, row[c] ?? null);
  }

  /** The rows as a chunk for an appender, which casts each column to the type of the table; the builder is empty then. */
  take(): DuckDBDataChunk {
    const count = this.#rows;
    this.#rows = 0;
    const types = this.#fills.map((fill) => fill.close(count));
    const chunk = DuckDBDataChunk.create(types, count);
    this.#fills.forEach((fill, c) => {
      fill.write(chunk, c);
    });
    return chunk;
  }
}

/** One column: cells come in row by row, then it says its type, then it writes them. */
interface Fill {
  add(row: number, cell: Cell): void;
  close(count: number): DuckDBType;
  write(chunk: DuckDBDataChunk, index: number): void;
}

function fillOf(type: ColumnType): Fill {
  switch (type) {
    case 'VARCHAR':
      return new TextFill();
    case 'VARCHAR[]':
      return new ListFill();
    case 'BOOLEAN':
      return new BooleanFill();
    default:
      return new NumberFill(type);
  }
}

/** One bit per row, 1 = not NULL, the first row lowest; in words of 64. */
class Validity {
  readonly #bits = new Uint8Array(CHUNK_ROWS / 8).fill(0xff);
  #nulls = false;

  clear(row: number): void {
    this.#nulls = true;
    this.#bits[row >> 3] = (this.#bits[row >> 3] as number) & ~(1 << (row & 7));
  }

  clearAll(): void {
    this.#nulls = true;
    this.#bits.fill(0);
  }

  /** Writes the bits where there are any to write, and forgets them. */
  write(chunk: DuckDBDataChunk, index: number, count: number): void {
    if (!this.#nulls) return;
    const vector = bindings.data_chunk_get_vector(chunk.chunk, index);
    bindings.vector_ensure_validity_writable(vector);
    bindings.copy_data_to_vector_validity(vector, 0, this.#bits.buffer, 0, Math.ceil(count / 64) * 8);
    this.#bits.fill(0xff);
    this.#nulls = false;
  }
}

type Values = Float64Array | Int32Array | BigInt64Array | BigUint64Array | Uint8Array | Uint16Array;

/** Copies values as they lie in memory. */
function writeValues(chunk: DuckDBDataChunk, index: number, values: Values, length: number): void {
  const vector = bindings.data_chunk_get_vector(chunk.chunk, index);
  bindings.copy_data_to_vector(vector, 0, values.buffer, values.byteOffset, length * values.BYTES_PER_ELEMENT);
}

class NumberFill implements Fill {
  readonly #type: Exclude<ColumnType, 'VARCHAR' | 'VARCHAR[]' | 'BOOLEAN'>;
  readonly #numbers = new Float64Array(CHUNK_ROWS);
  readonly #valid = new Validity();
  #count = 0;

  constructor(type: Exclude<ColumnType, 'VARCHAR' | 'VARCHAR[]' | 'BOOLEAN'>) {
    this.#type = type;
  }

  add(row: number, cell: Cell): void {
    const number = cell === null ? undefined : numberOf(this.#type, cell);
    if (number === undefined) this.#valid.clear(row);
    this.#numbers[row] = number ?? 0;
  }

  close(count: number): DuckDBType {
    this.#count = count;
    if (this.#type === 'TIMESTAMPTZ') return TIMESTAMPTZ;
    // BIGINT goes as DOUBLE: what is counted stays far below 2^53.
    return this.#type === 'INTEGER' ? INTEGER : DOUBLE;
  }

  write(chunk: DuckDBDataChunk, index: number): void {
    const numbers = this.#numbers.subarray(0, this.#count);
    if (this.#type === 'TIMESTAMPTZ') writeValues(chunk, index, BigInt64Array.from(numbers, BigInt), this.#count);
    else if (this.#type === 'INTEGER') writeValues(chunk, index, Int32Array.from(numbers), this.#count);
    else writeValues(chunk, index, numbers, this.#count);
    this.#valid.write(chunk, index, this.#count);
  }
}

class BooleanFill implements Fill {
  readonly #bytes = new Uint8Array(CHUNK_ROWS);
  readonly #valid = new Validity();
  #count = 0;

  add(row: number, cell: Cell): void {
    if (cell === null) this.#valid.clear(row);
    this.#bytes[row] = cell === true ? 1 : 0;
  }

  close(count: number): DuckDBType {
    this.#count = count;
    return BOOLEAN;
  }

  write(chunk: DuckDBDataChunk, index: number): void {
    writeValues(chunk, index, this.#bytes, this.#count);
    this.#valid.write(chunk, index, this.#count);
  }
}

/** Strings: the same in every row, few different ones, or one by one. */
class TextFill implements Fill {
  readonly #cells: (string | null)[] = new Array(CHUNK_ROWS).fill(null);
  readonly #indexes = new Uint16Array(CHUNK_ROWS);
  readonly #valid = new Validity();
  #first: string | null = null;
  #varied = false;
  #members: readonly string[] | undefined;
  #count = 0;

  add(row: number, cell: Cell): void {
    const text = typeof cell === 'string' || cell === null ? cell : String(cell);
    if (!this.#varied) {
      if (row === 0) this.#first = text;
      if (text === this.#first) return;
      this.#varied = true;
      this.#cells.fill(this.#first, 0, row);
    }
    this.#cells[row] = text;
  }

  close(count: number): DuckDBType {
    this.#count = count;
    this.#members = this.#varied ? this.#findMembers() : undefined;
    return this.#members === undefined ? VARCHAR : ENUM(this.#members);
  }

  write(chunk: DuckDBDataChunk, index: number): void {
    const vector = bindings.data_chunk_get_vector(chunk.chunk, index);
    if (!this.#varied) {
      if (this.#first === null) this.#valid.clearAll();
      else bindings.vector_reference_value(vector, bindings.create_varchar(this.#first));
    } else if (this.#members !== undefined) {
      const short = this.#members.length <= BYTE_MEMBERS;
      writeValues(chunk, index, short ? Uint8Array.from(this.#indexes) : this.#indexes, this.#count);
    } else {
      for (let row = 0; row < this.#count; row++) {
        const text = this.#cells[row] as string | null;
        if (text === null) this.#valid.clear(row);
        else bindings.vector_assign_string_element(vector, row, text);
      }
    }
    this.#valid.write(chunk, index, this.#count);
    if (this.#varied) this.#cells.fill(null);
    this.#first = null;
    this.#varied = false;
  }

  /** The different strings with `#indexes` pointing to them; undefined when they are too many or too strange. */
  #findMembers(): readonly string[] | undefined {
    const known = new Map<string, number>();
    for (let row = 0; row < this.#count; row++) {
      const text = this.#cells[row] as string | null;
      if (text === null) continue;
      let index = known.get(text);
      if (index === undefined) {
        index = known.size;
        if (index > FEW + row / 4 || !canBeMember(text)) return undefined;
        known.set(text, index);
      }
      this.#indexes[row] = index;
    }
    for (let row = 0; row < this.#count; row++) if (this.#cells[row] === null) this.#valid.clear(row);
    return [...known.keys()];
  }
}

/** Members of an ENUM end at a NUL and must differ once they are UTF-8. */
function canBeMember(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0');
}

const TEXTS = LIST(VARCHAR);

/** Lists of strings; nearly all are empty. */
class ListFill implements Fill {
  #lists: (DuckDBListValue | null)[] = [];
  #empty = true;

  add(row: number, cell: Cell): void {
    if (this.#empty) {
      if (Array.isArray(cell) && cell.length === 0) return;
      this.#empty = false;
      for (let i = 0; i < row; i++) this.#lists.push(new DuckDBListValue([]));
    }
    this.#lists.push(cell === null ? null : new DuckDBListValue(Array.isArray(cell) ? cell.map(String) : []));
  }

  #count = 0;

  close(count: number): DuckDBType {
    this.#count = count;
    return TEXTS;
  }

  write(chunk: DuckDBDataChunk, index: number): void {
    // An entry of a list is its offset and its length: zeros.
    if (this.#empty) writeValues(chunk, index, new BigUint64Array(this.#count * 2), this.#count * 2);
    else chunk.setColumnValues(index, this.#lists);
    this.#lists = [];
    this.#empty = true;
  }
}
