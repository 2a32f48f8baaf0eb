// What validateResource of Medplum finds, with the R4 definitions of HL7 loaded.
import { bundles } from './definitions.mjs';

globalThis.WebSocket ??= class extends EventTarget {}; // @medplum/core names it at load; Node 20 has none
const { indexStructureDefinitionBundle, validateResource } = await import('@medplum/core');

bundles.forEach(indexStructureDefinitionBundle);

const text = (issue) => `${(issue.expression ?? []).join(', ')}: ${issue.details?.text ?? issue.diagnostics}`;

export function medplumProblems(resource) {
  try {
    return validateResource(resource).map(text); // warnings: two values of one choice, a reference to a wrong type
  } catch (error) {
    return error.outcome ? error.outcome.issue.map(text) : [`Medplum failed: ${error.message}`];
  }
}
