// Walks a resource along its StructureDefinition.
//
// Yields for each element: `at`, its place with indices; `path`, the FHIRPath expression of all its likes, from the
// root of the resource (names in backticks: `div` and others are also words of FHIRPath); `type`; `value`; `element`, its definition; `name`, the element's own name. Properties that the
// definition does not know are passed over: the other validators name them. Resources inside are not entered.
import { elementsOf, isResource } from './definitions.mjs';

const capitalised = (text) => text[0].toUpperCase() + text.slice(1);

const isObject = (value) => value !== null && typeof value === 'object';

function choiceOf(elements, path, key) {
  for (let end = key.length - 1; end > 0; end--) {
    const element = elements.get(`${path}.${key.slice(0, end)}[x]`);
    const type = element?.type.find((one) => capitalised(one.code) === key.slice(end));
    if (type) return { element, type: type.code, name: key.slice(0, end), choice: true };
  }
  return undefined;
}

function definitionOf(elements, path, key) {
  const element = elements.get(`${path}.${key}`);
  if (!element) return choiceOf(elements, path, key);
  if (element.contentReference) {
    const target = elements.get(element.contentReference.split('#')[1]);
    return { element: target, type: target.type[0].code, name: key, choice: false };
  }
  return { element, type: element.type[0].code, name: key, choice: false };
}

function* inside(node, elements) {
  if (!isObject(node.value) || isResource(node.type)) return;
  const ownParts = ['BackboneElement', 'Element'].includes(node.type);
  if (ownParts) yield* children(node, elements, node.element.path);
  else yield* children(node, elementsOf(node.type), node.type);
}

function* children(parent, elements, elementPath) {
  for (const [key, held] of Object.entries(parent.value)) {
    const bare = key.startsWith('_') ? key.slice(1) : key;
    const found = definitionOf(elements, elementPath, bare);
    if (!found) continue;
    const path = `${parent.path}.\`${found.name}\`` + (found.choice ? `.ofType(${found.type})` : '');
    const type = key === bare ? found.type : 'Element';
    const element = key === bare ? found.element : elementsOf('Element').get('Element');
    for (const [index, value] of (Array.isArray(held) ? held : [held]).entries()) {
      const at = `${parent.at}.${bare}` + (Array.isArray(held) ? `[${index}]` : '');
      const node = { ...found, at, path, type, element, key: bare, value, parent: parent.at };
      yield node;
      yield* inside(node, elements);
    }
  }
}

export function* nodes(resource) {
  const type = resource.resourceType;
  const root = { at: type, path: type, type, value: resource, element: elementsOf(type).get(type), choice: false };
  yield root;
  yield* children(root, elementsOf(type), type);
}

// The resources inside, each with its place in the whole and its `root`: a contained resource is a part of its container,
// one in a Bundle or in Parameters stands for itself.
export function* resourcesInside(value, at, container = value) {
  if (!isObject(value)) return;
  for (const [key, held] of Object.entries(value)) {
    const place = Array.isArray(value) ? `${at}[${key}]` : `${at}.${key}`;
    if (!isResource(held?.resourceType)) {
      yield* resourcesInside(held, place, container);
      continue;
    }
    const root = /\.contained\[\d+\]$/.test(place) ? container : held;
    yield { resource: held, at: place, root };
    yield* resourcesInside(held, place, root);
  }
}
