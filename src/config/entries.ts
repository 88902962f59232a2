import * as z from 'zod';
import {
  AGENT_NAME,
  type DestinationRule,
  parseCidr,
  parseDestination,
  parseHostGlob,
  parseHostPort,
  parseMethod,
} from './values.ts';

/** A string checked and rewritten by one of the functions of values.ts; their message becomes the error's. */
export function value<T>(parse: (text: string) => T) {
  return z.string().transform((text, ctx): T => {
    try {
      return parse(text);
    } catch (error) {
      ctx.addIssue({ code: 'custom', message: (error as Error).message });
      return z.NEVER;
    }
  });
}

/** Absent and null both mean undefined inside. */
export function nullable<S extends z.ZodType>(schema: S) {
  return schema.nullish().transform((v): z.output<S> | undefined => v ?? undefined);
}

export const mode = z.enum(['monitor', 'redact', 'enforce']);
export const agentName = z
  .string()
  .regex(AGENT_NAME, 'is not an agent name: letters, digits, . _ -, at most 63, first a letter or digit');
export const path = z.string().min(1);
export const bytes = z.int().min(0);
export const count = z.int().min(0);
export const hostGlob = value(parseHostGlob);

const destinationRule = z.union([
  value(parseDestination),
  z
    .strictObject({
      host: hostGlob,
      ports: z.array(z.int().min(1).max(65535)).default([]),
      methods: z.array(value(parseMethod)).default([]),
      paths: z.array(z.string().startsWith('/')).default([]),
      mode: mode.optional(),
    })
    .transform((rule): DestinationRule => rule),
]);
export const destinationList = z.array(destinationRule).default([]);

export const listenEntry = z.union([
  value(parseHostPort).transform((at) => ({ ...at, agent: undefined, tls: undefined })),
  z
    .strictObject({
      address: value(parseHostPort).meta({ description: 'host:port, IPv6 in brackets' }),
      agent: nullable(agentName).meta({ description: 'the port is bound to this agent (evidence "listener")' }),
      tls: nullable(
        z.strictObject({
          cert: path.meta({ description: 'PEM file: certificate and chain' }),
          key: path.meta({ description: 'PEM file: private key' }),
          client_ca: nullable(path).meta({ description: 'PEM file: only clients with a certificate of this CA' }),
        }),
      ).meta({ description: 'listen with TLS' }),
    })
    .transform(({ address, agent, tls }) => ({ ...address, agent, tls })),
]);

const disposition = z.enum(['allow', 'flag', 'redact', 'block']);
const bySeverity = z.union([
  disposition,
  z.strictObject({
    critical: disposition.optional(),
    high: disposition.optional(),
    medium: disposition.optional(),
    low: disposition.optional(),
    info: disposition.optional(),
  }),
]);
const kinds = z.strictObject({
  credential: bySeverity.optional(),
  pii: bySeverity.optional(),
  financial: bySeverity.optional(),
  injection: bySeverity.optional(),
  categories: z
    .record(z.string().min(1), bySeverity)
    .optional()
    .meta({ description: 'by category of a pattern (weir patterns list), before its kind' }),
});
/** What finds ask for, at any level. */
export const dispositions = {
  requests: kinds.optional().meta({
    description:
      'what finds in what leaves ask for: allow | flag | redact | block for all that is told of a kind, or by severity; default: credential block from high, flag medium; pii and financial flag from high; injection allow',
  }),
  responses: kinds.optional().meta({
    description:
      'the same of what comes in; default: credential redact from high, flag medium; pii and financial redact from high; injection flag from medium',
  }),
};

/** Finds of known and accepted things. */
export const suppressEntry = z
  .strictObject({
    fingerprint: z
      .string()
      .regex(/^[0-9a-f]{16}$/, 'is not a fingerprint: 16 digits of hex, as findings tell it')
      .optional(),
    rule: z.string().min(1).optional().meta({ description: 'id of a pattern' }),
    host: hostGlob.optional(),
    path: z
      .string()
      .startsWith('/')
      .optional()
      .meta({ description: 'of the request; that path and all below it, or with *' }),
    reason: z.string().min(1).optional().meta({ description: 'for people' }),
  })
  .refine(({ fingerprint, rule, host }) => fingerprint !== undefined || rule !== undefined || host !== undefined, {
    error: 'needs a fingerprint, a rule or a host: a path or a reason alone would keep everything quiet',
  });

export const agentConfig = z.strictObject({
  token: nullable(z.string().min(8)).meta({
    description: 'secret the agent sends as proxy password (at least 8 characters)',
  }),
  token_file: nullable(path).meta({ description: 'file that holds the token (first line)' }),
  sources: z.array(value(parseCidr)).default([]).meta({ description: 'CIDRs whose connections are this agent' }),
  mode: nullable(mode).meta({ description: 'mode for this agent; null = the global one' }),
  allowed_domains: destinationList.meta({
    description: 'added to destinations.allowed; once one list has an entry only the union passes',
  }),
  blocked_domains: destinationList.meta({ description: 'added to destinations.blocked, which always wins' }),
  blocked_categories: z.array(z.string().min(1)).default([]).meta({
    description:
      'kinds (credential, pii, financial, injection) and categories of patterns that ask for a block, both ways',
  }),
  rate_limit: count.default(0).meta({ description: 'requests per rate_window; 0 = no limit' }),
  rate_limit_per_destination: count.default(0).meta({
    description: 'requests per rate_window to any one host and port; 0 = no limit',
  }),
  rate_window: z.int().min(1).default(60).meta({ description: 'seconds' }),
  budget: z
    .strictObject({
      bytes_out: bytes.default(0).meta({ description: 'bytes the agent may send in a window; 0 = no limit' }),
      bytes_out_per_destination: bytes
        .default(0)
        .meta({ description: 'bytes it may send to any one host and port; 0 = no limit' }),
      window: z.int().min(1).default(86_400).meta({ description: 'seconds' }),
    })
    .prefault({})
    .meta({ description: 'what may leave: beyond it is the finding data-budget; kept over a restart' }),
  scan: z
    .strictObject({
      requests: z.boolean().default(true),
      responses: z.boolean().default(true),
      dispositions: z.strictObject(dispositions).prefault({}).meta({ description: 'as scan, for this agent' }),
    })
    .prefault({})
    .meta({ description: 'which directions are read, and what finds ask for' }),
  baseline: nullable(z.enum(['as-one'])).meta({ description: 'as-one: all names a glob matches share one baseline' }),
});
