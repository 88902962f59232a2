import type { LlmApiKind, LlmResponseFacts } from '../model/llm.ts';
import type { JsonScalar, JsonSink } from './json-paths.ts';
import type { ResponseField, UsageField } from './response-fields.ts';
import { usageOf } from './response-usage.ts';

const MOST_NAMES = 64;
const MOST_CHOICES = 64;
const MOST_CALLS_TOLD_APART = 4096;

const USAGE = new Set<ResponseField>([
  'input',
  'output',
  'total',
  'cacheRead',
  'cacheCreation',
  'reasoning',
  'outerInput',
  'outerOutput',
  'outerCacheRead',
  'outerCacheCreation',
] satisfies UsageField[]);

const WORDS = new Set<ResponseField>(['responseId', 'model', 'serviceTier', 'systemFingerprint', 'conversationId']);

/** Events that say a stream is over: Anthropic's, Responses'. */
const LAST = new Set([
  'message_stop',
  'response.completed',
  'response.incomplete',
  'response.failed',
  'response.cancelled',
]);
/** Responses' states that are no end. */
const UNDER_WAY = new Set(['in_progress', 'queued']);
/** Names for errors are identifiers; anything else is a text, and texts are content. */
const ERROR_NAME = /^[A-Za-z][A-Za-z0-9_.:-]{0,63}$/;
/** The types of items that are calls; others are texts, thoughts and results. */
const CALL_TYPE = /(?:_call|tool_use)$|^(?:function|custom)$/;

interface Call {
  index: number | undefined;
  id: string | undefined;
  name: string | undefined;
  type: string | undefined;
}

/** Gathers what an answer says, one document or many. */
export class ResponseNotes implements JsonSink<ResponseField> {
  /** The stream said itself that it is over. */
  over = false;
  /** A document said that more come: it is one of a stream. */
  goesOn = false;
  /** Output came since this was last cleared. */
  token = false;
  /** Documents read. */
  documents = 0;
  /** An envelope's inside; `null`: too long to be kept. */
  envelope: string | null | undefined;
  readonly #words = new Map<ResponseField, string>();
  readonly #usage = new Map<UsageField, number>();
  /** Counters of the document under way: counters are added up, and of half a document no sum is right. */
  readonly #counting = new Map<UsageField, number>();
  readonly #finish = new Map<number, string>();
  readonly #callNames: string[] = [];
  readonly #seenCalls = new Set<string>();
  #calls = 0;
  #status: string | undefined;
  #failed = false;
  #error: string | undefined;
  #errorCode: string | undefined;
  #inChoice = false;
  #choices = 0;
  #choiceIndex = 0;
  #choiceFinish: string | undefined;
  #choiceCalls: Call[] = [];
  #call: Call | undefined;

  /** Something said why or how the answer ended. */
  get finished(): boolean {
    return this.#finish.size > 0 || this.#status !== undefined;
  }

  get failed(): boolean {
    return this.#failed;
  }

  value(field: ResponseField, value: JsonScalar): void {
    if (field === 'token') this.token ||= value === undefined;
    else if (field === 'envelope') this.envelope = typeof value === 'string' ? value : null;
    else if (field === 'error' || field === 'errorCode') this.#fail(field, value);
    else if (typeof value === 'string') this.#text(field, value);
    else if (typeof value === 'number') this.#number(field, value);
    else if (field === 'over' && typeof value === 'boolean') {
      this.over = value;
      this.goesOn ||= !value;
    }
  }

  enter(field: ResponseField): void {
    if (field === 'choice') this.#beginChoice();
    else if (field === 'call') this.#call = { index: undefined, id: undefined, name: undefined, type: undefined };
    else if (field === 'token') this.token = true;
    else if (field === 'over') this.over = true;
    else if (field === 'error') this.#failed = true;
  }

  leave(field: ResponseField): void {
    if (field === 'choice') this.#endChoice();
    if (field !== 'call' || this.#call === undefined) return;
    if (!this.#inChoice) this.#addCall(this.#call, 0);
    else if (this.#choiceCalls.length < MOST_NAMES) this.#choiceCalls.push(this.#call);
    this.#call = undefined;
  }

  document(): void {
    this.documents++;
    for (const [field, count] of this.#counting) this.#usage.set(field, count);
    this.begin();
  }

  /** A document begins; the one before may have broken off. */
  begin(): void {
    this.#counting.clear();
    this.#choices = 0;
    this.#inChoice = false;
    this.#call = undefined;
  }

  /** Something outside the documents names an error. */
  fail(name: string | undefined): void {
    this.#fail('error', name);
  }

  #text(field: ResponseField, value: string): void {
    if (value === '') return;
    if (WORDS.has(field)) this.#words.set(field, value);
    else if (field === 'type') this.over ||= LAST.has(value);
    else if (field === 'status' && !UNDER_WAY.has(value)) this.#status = value;
    else if (field === 'finish') {
      if (this.#inChoice) this.#choiceFinish = value;
      else this.#finish.set(0, value);
    } else if (this.#call !== undefined) {
      if (field === 'callId') this.#call.id = value;
      else if (field === 'callName') this.#call.name = value;
      else if (field === 'callType') this.#call.type = value;
    }
  }

  #number(field: ResponseField, value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) return;
    if (USAGE.has(field)) this.#counting.set(field as UsageField, value);
    else if (field === 'choiceIndex') this.#choiceIndex = value;
    else if (field === 'callIndex' && this.#call !== undefined) this.#call.index = value;
  }

  #fail(field: 'error' | 'errorCode', value: JsonScalar): void {
    if (value === null) return;
    this.#failed = true;
    const name = typeof value === 'number' ? String(value) : value;
    if (typeof name !== 'string' || !(typeof value === 'number' || ERROR_NAME.test(name))) return;
    // OpenAI's code says more than its type, Google's and Anthropic's type or status more than a number.
    if (field === 'errorCode' && typeof value === 'string') this.#errorCode = name;
    else if (field === 'error') this.#error = name;
    else this.#error ??= name;
  }

  #beginChoice(): void {
    this.#inChoice = true;
    this.#choiceIndex = this.#choices++;
    this.#choiceFinish = undefined;
    this.#choiceCalls = [];
  }

  /** The index may stand behind what it is for. */
  #endChoice(): void {
    this.#inChoice = false;
    const known = this.#finish.has(this.#choiceIndex) || this.#finish.size < MOST_CHOICES;
    if (this.#choiceFinish !== undefined && known) this.#finish.set(this.#choiceIndex, this.#choiceFinish);
    for (const call of this.#choiceCalls) this.#addCall(call, this.#choiceIndex);
  }

  /** A stream tells a call several times: its beginning, its end, the whole answer. It is one call. */
  #addCall(call: Call, choice: number): void {
    if (call.type !== undefined && !CALL_TYPE.test(call.type)) return;
    // Tools the provider runs have no name but their type: `web_search_call`.
    const name = call.name ?? (call.type?.endsWith('_call') ? call.type.slice(0, -'_call'.length) : undefined);
    if (name === undefined) return;
    this.token = true;
    const byPlace = call.index === undefined ? undefined : `${choice}:${call.index}`;
    const byId = call.id === undefined ? undefined : `#${call.id}`;
    const key = byId ?? byPlace;
    if (key !== undefined && this.#seenCalls.has(key)) return;
    if (this.#seenCalls.size < MOST_CALLS_TOLD_APART) {
      if (byPlace !== undefined) this.#seenCalls.add(byPlace);
      if (byId !== undefined) this.#seenCalls.add(byId);
    }
    this.#calls++;
    if (this.#callNames.length < MOST_NAMES) this.#callNames.push(name);
  }

  /** All that was said, without what only the stream around it knows. */
  facts(kind: LlmApiKind): Omit<LlmResponseFacts, 'streamed' | 'events'> {
    const usage = usageOf(kind, this.#usage);
    const error = this.#errorCode ?? this.#error ?? '_OTHER';
    const finish = [...this.#finish].sort(([a], [b]) => a - b).map(([, reason]) => reason);
    if (finish.length === 0 && this.#status !== undefined) finish.push(this.#status);
    return {
      ...(Object.fromEntries(this.#words) as Partial<LlmResponseFacts>),
      finishReasons: finish,
      ...(usage !== undefined && { usage }),
      toolCalls: this.#calls,
      toolCallNames: this.#callNames,
      ...(this.#failed && { error }),
    };
  }
}
