import * as z from 'zod';
import { NOTIFY_EVENTS } from '../model/notify.ts';
import { nullable, path, value } from './entries.ts';
import { parseSecureUrl } from './values.ts';

/** `policies:`. */
export const policies = z.strictObject({
  files: z
    .array(path)
    .default([])
    .meta({ description: 'YAML or JSON files of policies (CEL); a change is taken over at once' }),
  receiver: nullable(value(parseSecureUrl)).meta({
    description:
      'base URL of a Strathon receiver, https, or http on loopback; asked every 30 s with the key in STRATHON_API_KEY',
  }),
  accept_shrink: z.boolean().default(false).meta({
    description: 'take over what a receiver sends also when it suddenly allows much more; false = weir policy accept',
  }),
  on_absent: z.enum(['not-applicable', 'block']).default('not-applicable').meta({
    description: 'a policy reads an attribute this request does not have: passed over and counted, or it blocks',
  }),
  throttle_status: z
    .union([z.literal(429), z.literal(403)])
    .default(429)
    .meta({ description: 'status of a throttled request; 403 as Strathon’s own proxy' }),
});

/** `notify:`. */
export const notify = z
  .array(
    z.strictObject({
      url: value(parseSecureUrl).meta({ description: 'https, or http on loopback' }),
      secret: nullable(z.string().min(8)).meta({
        description: 'whsec_… of Standard Webhooks: signs what is sent; null = not signed',
      }),
      on: z.array(z.enum(NOTIFY_EVENTS)).min(1).default(['block', 'first-seen']).meta({
        description: 'what is told: block, would-block, redact, first-seen, finding, audit',
      }),
    }),
  )
  .default([]);
