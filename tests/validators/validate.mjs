// Reads one FHIR R4 resource a line from stdin and writes one JSON array of problems a line to stdout; empty: none.
import { createInterface } from 'node:readline';
import { bindingProblems, choiceProblems } from './bindings.mjs';
import { constraintProblems } from './constraints.mjs';
import { isResource } from './definitions.mjs';
import { medplumProblems } from './medplum.mjs';
import { nodes, resourcesInside } from './walk.mjs';

console.log = console.error; // stdout belongs to the answers

const named = (validator, problems) => problems.map((problem) => `${validator}: ${problem}`);

function ownProblems(resource, root) {
  const walked = [...nodes(resource)];
  return [
    ...named('fhirpath', constraintProblems(walked, resource, root)),
    ...named('binding', bindingProblems(walked)),
    ...named('choice', choiceProblems(walked)),
  ];
}

function problemsOf(resource) {
  if (!isResource(resource.resourceType)) return ['resourceType: R4 has no such resource'];
  const parts = [...resourcesInside(resource, resource.resourceType)];
  return [
    ...named('medplum', medplumProblems(resource)),
    ...ownProblems(resource, resource),
    ...parts.flatMap((part) => ownProblems(part.resource, part.root).map((problem) => `${part.at}: ${problem}`)),
  ];
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(problemsOf(JSON.parse(line)))}\n`);
}
