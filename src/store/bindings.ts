import { createRequire } from 'node:module';
import type { DuckDBDataChunk } from '@duckdb/node-api';

/** A column of a data chunk, and a value, as the native library knows them. */
type NativeVector = { readonly vector: unique symbol };
type NativeValue = { readonly value: unique symbol };

/**
 * The native calls that write a whole column at once. `@duckdb/node-api` writes cell by cell, with BigInt arithmetic for
 * every NULL, which costs ten times as much.
 */
interface Bindings {
  data_chunk_get_vector(chunk: DuckDBDataChunk['chunk'], column: number): NativeVector;
  /** Every row of the column has this value; it must be of the column's type. */
  vector_reference_value(vector: NativeVector, value: NativeValue): void;
  vector_assign_string_element(vector: NativeVector, row: number, text: string): void;
  copy_data_to_vector(vector: NativeVector, to: number, from: ArrayBufferLike, at: number, bytes: number): void;
  vector_ensure_validity_writable(vector: NativeVector): void;
  copy_data_to_vector_validity(
    vector: NativeVector,
    to: number,
    from: ArrayBufferLike,
    at: number,
    bytes: number,
  ): void;
  create_varchar(text: string): NativeValue;
}

/** Found the way `@duckdb/node-api` finds it: handles mean something only to the library that made them. */
export const bindings = createRequire(import.meta.resolve('@duckdb/node-api'))('@duckdb/node-bindings') as Bindings;
