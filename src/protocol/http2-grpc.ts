import type { Answer } from '../model/answer.ts';
import type { Exchange } from '../model/exchange.ts';
import { fieldOf } from './http2-fields.ts';

/** `application/grpc`, with any format; not grpc-web, which reads HTTP statuses. */
const GRPC = /^application\/grpc(?:$|[+; \t])/i;
/** HTTP statuses of our answers as gRPC codes; anything else is UNKNOWN (2). */
const CODES: ReadonlyMap<number, string> = new Map([
  [400, '3'], // INVALID_ARGUMENT
  [403, '7'], // PERMISSION_DENIED
  [407, '16'], // UNAUTHENTICATED
  [429, '8'], // RESOURCE_EXHAUSTED
  [502, '14'], // UNAVAILABLE
  [503, '14'],
  [504, '14'],
  [508, '9'], // FAILED_PRECONDITION
]);
/** What speaks about the body that a gRPC answer of ours does not have. */
const BODY = new Set(['content-type', 'content-length']);

/** Whether an exchange is a gRPC call. */
export function isGrpc({ request }: Exchange): boolean {
  return GRPC.test(fieldOf(request.fields, 'content-type') ?? '');
}

/**
 * An answer as a gRPC client reads it: its libraries show `grpc-message` and neither status line nor body of HTTP. Percent-encoded
 * as gRPC over HTTP/2 wants it; the reason is printable ASCII.
 */
export function grpcTrailers({ status, reason }: Answer): string[] {
  return ['grpc-status', CODES.get(status) ?? '2', 'grpc-message', reason.replaceAll('%', '%25')];
}

/** Fields of a whole answer: "Trailers-Only". */
export function grpcFields(answer: Answer): string[] {
  const fields = [':status', '200', 'content-type', 'application/grpc', ...grpcTrailers(answer)];
  for (const [name, value] of answer.headers) {
    if (!BODY.has(name.toLowerCase())) fields.push(name.toLowerCase(), value);
  }
  return fields;
}
