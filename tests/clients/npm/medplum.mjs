/** MedplumClient of npm @medplum/core: extended mode, conditional create, batches that it makes by itself. */
import { base, bodies, step } from './steps.mjs';

globalThis.WebSocket ??= class extends EventTarget {}; // @medplum/core names it at load; Node 20 has none
const { MedplumClient } = await import('@medplum/core');

const { origin, pathname } = new URL(base);
const options = { baseUrl: origin, fhirUrlPath: pathname, cacheTime: 0 };
const client = new MedplumClient(options);
const form = 'https://guidance.example.org/fhir/Questionnaire/muscle-twitching';
const { system, value } = bodies.conditional.identifier;
const condition = `identifier=${system}|${value}`;
const kind = 'QuestionnaireResponse';
const copy = (resource) => structuredClone(resource);

await step('readResource', () => client.readResource('Questionnaire', 'muscle-twitching'));
await step('readCanonical', () => client.readCanonical('Questionnaire', form));
const made = await step('createResource', () => client.createResource(copy(bodies.first)));
await step('createResourceIfNoneExist', () => client.createResourceIfNoneExist(copy(bodies.conditional), condition));
await step('createResourceIfNoneExist again', () => client.createResourceIfNoneExist(copy(bodies.conditional), condition));
await step('updateResource', () => client.updateResource({ ...made, status: 'amended' }));
await step('readHistory', () => client.readHistory(kind, made?.id));
await step('readHistory of one', () => client.readHistory(kind, made?.id, { count: 1 }));
await step('readVersion', () => client.readVersion(kind, made?.id, '1'));
await step('search', () => client.search(kind, { subject: made?.subject.reference, _revinclude: 'RiskAssessment:basis' }));
await step('searchOne', () => client.searchOne('RiskAssessment', { basis: `${kind}/${made?.id}` }));
await step('searchResourcePages', async () => {
  const pages = [];
  for await (const page of client.searchResourcePages(kind, { questionnaire: form, _count: 1, _sort: 'authored' })) {
    pages.push(page.map((each) => each.id));
  }
  return pages;
});
await step('validateResource', () => client.validateResource(copy(bodies.first)));
await step('validateResource that is not valid', () => client.validateResource({ ...bodies.first, status: 'done' }));
await step('valueSetExpand', () => client.valueSetExpand({ url: bodies.valueSet }));
await step('executeBatch', () =>
  client.executeBatch({
    resourceType: 'Bundle',
    type: 'batch',
    entry: [
      { request: { method: 'GET', url: `${kind}/${made?.id}` } },
      { request: { method: 'POST', url: kind }, resource: bodies.batched },
      { request: { method: 'GET', url: `${kind}/no-such-id` } },
    ],
  }));
await step('executeBatch of a transaction', () =>
  client.executeBatch({
    resourceType: 'Bundle',
    type: 'transaction',
    entry: [{ request: { method: 'POST', url: kind, ifNoneExist: condition }, resource: bodies.conditional }],
  }));
await step('reads that it batches by itself', () => {
  const batching = new MedplumClient({ ...options, autoBatchTime: 5 });
  return Promise.all([
    batching.readResource('Questionnaire', 'muscle-twitching'),
    batching.readResource(kind, made?.id),
    batching.readResource(kind, 'no-such-id').catch((error) => error.outcome),
  ]);
});
await step('deleteResource', () => client.deleteResource(kind, made?.id));
