import { ATTR } from './semconv.ts';

type Intervention = readonly [state: string, flag: string];

const BLOCKED: Intervention = ['blocked', ATTR.STRATHON_POLICY_BLOCKED];
const OTHERS: ReadonlyMap<string, Intervention> = new Map([
  ['throttle', ['throttled', ATTR.STRATHON_POLICY_THROTTLED]],
  ['steer', ['steered', ATTR.STRATHON_POLICY_STEERED]],
  ['require_approval', ['approval_requested', ATTR.STRATHON_POLICY_APPROVAL_REQUESTED]],
]);

/** What Strathon calls an intervention, by the action of the policy that decided (strathon-compat §6.19). */
export function interventionOf(action: string | undefined): Intervention {
  return OTHERS.get(action ?? '') ?? BLOCKED;
}
