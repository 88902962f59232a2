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
  blocked_categories: z
    .array(z.string().min(1))
    .default([])
    .meta({ description: 'finding categories that block for this agent' }),
  rate_limit: count.default(0).meta({ description: 'requests per rate_window; 0 = no limit' }),
  rate_window: z.int().min(1).default(60).meta({ description: 'seconds' }),
  scan: z
    .strictObject({ requests: z.boolean().default(true), responses: z.boolean().default(true) })
    .prefault({})
    .meta({ description: 'which directions are read' }),
  baseline: nullable(z.enum(['as-one'])).meta({ description: 'as-one: all names a glob matches share one baseline' }),
});
