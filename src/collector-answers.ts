import type { Scanning } from './collector-scan.ts';
import type { Shown } from './collector-shown.ts';
import type { Containment } from './model/admin.ts';
import type { Exchange } from './model/exchange.ts';
import type { Finding } from './model/finding.ts';
import { refOf } from './model/ulid.ts';
import type { Stages } from './pipeline/stages.ts';
import type { ModeFor } from './verdict/enforce.ts';
import { verifyAnswer } from './verdict/failure.ts';
import { deciding } from './verdict/judge.ts';
import { refusal } from './verdict/refusal.ts';

/** What answers are made of beside the exchange. */
export interface AnswerInputs {
  readonly shown: Shown;
  readonly scan: Scanning;
  readonly containment: () => Containment;
}

const UNNAMED: Finding = {
  inspector: 'verdict',
  rule: 'blocked',
  severity: 'high',
  disposition: 'block',
  message: 'blocked',
};

/** The refusal of an exchange, by the finding that decides. */
export function refuse(exchange: Exchange, { shown, scan }: AnswerInputs): ReturnType<Stages['refuse']> {
  const finding = deciding(exchange.findings) ?? UNNAMED;
  return refusal({
    finding: { ...finding, message: shown.text(finding.message) },
    destination: { host: shown.host(exchange.destination.host), port: exchange.destination.port },
    agent: exchange.identity.agent,
    mode: exchange.ruling.mode,
    ref: refOf(exchange.id),
    ...(finding.blockReason === 'credential-leak' ? { patterns: patternNames(exchange.findings, scan) } : {}),
  });
}

/** Display names of what was found, for clients that show them (strathon-compat §1.3). */
function patternNames(findings: readonly Finding[], scan: Scanning): string[] {
  const rules = new Set(findings.filter((one) => one.blockReason === 'credential-leak').map((one) => one.rule));
  return [...rules].map((rule) => scan.nameOf(rule) ?? rule);
}

/** What `verify.weir.invalid` answers to this agent. */
export function verify(exchange: Exchange, modeFor: ModeFor, inputs: AnswerInputs): ReturnType<typeof verifyAnswer> {
  return verifyAnswer({
    through: 'weir',
    agent: exchange.identity.agent,
    identified_by: exchange.identity.by,
    visibility: exchange.connection.visibility,
    mode: modeFor(exchange.identity.agent, exchange.destination, exchange.connection.run?.mode),
    containment: inputs.containment(),
  });
}
