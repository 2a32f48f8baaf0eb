// The constraints of R4 at level error, each as `<path>.all(<expression>)` on the whole resource: detached nodes lose
// their types and give wrong answers.
import fhirpath from 'fhirpath';
import r4 from 'fhirpath/fhir-context/r4/index.js';
import { elementsOf } from './definitions.mjs';

// Constraints that fhirpath.js denies, or cannot evaluate, on a right resource: what is asked in their place, and why.
const FALSE_ALARMS = {
  'que-7': {
    // The answer is a FHIR boolean; `Boolean` is the type of FHIRPath itself, which no element of a resource has.
    instead: (stated) => stated.replace('is Boolean', 'is boolean'),
  },
  'dom-3': {
    // Here `as` takes one value only; R4 applies it to all descendants, as ofType does.
    instead: (stated) => stated.replaceAll('.as(', '.ofType('),
  },
  'ref-1': {
    // Without a reference (an identifier or a display stands alone) the answer is empty, and all() takes that for false.
    instead: (stated) => `reference.empty() or ${stated}`,
  },
  'ele-1': {
    // hasValue() is false for the text of a narrative; txt-1 and txt-2 judge that text.
    instead: (stated) => `${stated} or $this is xhtml`,
  },
  'eld-16': {
    // A regular expression of JavaScript refuses an escape that it does not need.
    instead: (stated) => stated.replace(String.raw`\\@`, '@'),
  },
  'eld-19': {
    // As eld-16.
    instead: (stated) => stated.replaceAll(String.raw`\\\'`, String.raw`\'`).replaceAll(String.raw`\\:`, ':'),
  },
};

const compiled = new Map();

function evaluate(expression, resource, rootResource) {
  if (!compiled.has(expression)) {
    compiled.set(expression, fhirpath.compile(expression, r4, { traceFn: () => undefined }));
  }
  return compiled.get(expression)(resource, { resource, rootResource, ucum: 'http://unitsofmeasure.org' });
}

const ofElement = (node) => [
  ...(node.element.constraint ?? []),
  ...(elementsOf(node.type).get(node.type)?.constraint ?? []),
];

function likes(walked) {
  const byPath = new Map();
  for (const node of walked) {
    const like = byPath.get(node.path) ?? { places: new Set(), constraints: new Map() };
    like.places.add(node.at);
    for (const constraint of ofElement(node)) like.constraints.set(constraint.key, constraint);
    byPath.set(node.path, like);
  }
  return byPath;
}

function* asked(path, constraints) {
  for (const { key, severity, expression, human } of constraints.values()) {
    const stated = FALSE_ALARMS[key]?.instead(expression) ?? expression;
    if (severity === 'error') yield { text: `${path}.all(${stated})`, says: `${key}: ${human}` };
  }
}

// A path that finds nothing would fulfil every constraint. It may find more: ofType(string) takes its subtypes too.
const found = (path, { size }) => ({ text: `${path}.count() >= ${size}`, says: 'not all elements were found' });

function wrong({ text }, resource, rootResource) {
  try {
    const [answer, ...more] = evaluate(text, resource, rootResource);
    return answer === true && more.length === 0 ? undefined : '';
  } catch (error) {
    return ` (could not be evaluated: ${error.message})`;
  }
}

export function constraintProblems(walked, resource, rootResource) {
  const problems = [];
  for (const [path, { places, constraints }] of likes(walked)) {
    for (const question of [found(path, places), ...asked(path, constraints)]) {
      const why = wrong(question, resource, rootResource);
      if (why !== undefined) problems.push(`${path.replaceAll('`', '')}: ${question.says}${why}`);
    }
  }
  return problems;
}
