/** What is learned about an expression while it is compiled. */
export interface Notes {
  /** The source without its texts and comments, for what the tree does not tell. */
  readonly skeleton: string;
  /** Attributes it names. */
  readonly reads: Set<string>;
  /** It also reads attributes whose names it computes (`attrs[x]`, `attrs.exists(k, …)`). */
  computed: boolean;
  /** Names and functions nobody knows: an ERROR at run time, never at load (strathon-compat §1.6). */
  readonly unknown: Set<string>;
  nodes: number;
}

/** An expression that cannot be compiled at all. */
export class CompileError extends Error {
  /** Offset in the expression, UTF-16 units. */
  readonly position: number;
  constructor(message: string, position: number) {
    super(message);
    this.name = 'CompileError';
    this.position = position;
  }
}
