import { type BenignCase, casesOf } from './case.ts';
import { dataCases } from './data.ts';
import { benignTexts } from './first.ts';
import { installCases } from './installs.ts';
import { llmCases } from './llm.ts';
import { operationsCases } from './operations.ts';
import { proseCases } from './prose.ts';
import { repositoryCases } from './repositories.ts';
import { telemetryCases } from './telemetry.ts';
import { toolCases } from './tools.ts';
import { webCases } from './web.ts';

/** All everyday traffic there is; the same in every run. */
export function benignCases(): BenignCase[] {
  const first = benignTexts().map(({ name, text }, i) => {
    const { ask, answer } = casesOf(name.replace(/ \d+$/, ''));
    return i % 2 === 0 ? ask('collect.acme.dev', text, 'text/plain') : answer('www.acme.dev', text, 'text/plain');
  });
  return [
    ...first,
    ...llmCases(),
    ...dataCases(),
    ...repositoryCases(),
    ...toolCases(),
    ...installCases(),
    ...webCases(),
    ...telemetryCases(),
    ...operationsCases(),
    ...proseCases(),
  ];
}
