/** npm fhir-kit-client: every interaction that the service offers, and discovery of what it does not. */
import { randomUUID } from 'node:crypto';
import { Client } from 'fhir-kit-client';
import { base, bodies, step } from './steps.mjs';

const client = new Client({ baseUrl: base });
const resourceType = 'QuestionnaireResponse';
const patient = bodies.first.subject.reference;
const { system, value } = bodies.conditional.identifier;
const post = (resource) => ({ fullUrl: `urn:uuid:${randomUUID()}`, resource, request: { method: 'POST', url: resourceType } });
const bundle = (type, ...entry) => ({ resourceType: 'Bundle', type, entry });
/** The body and, beside it, the status that the client hides in a symbol. */
const whole = async (promise) => {
  const body = await promise;
  const { response } = Client.httpFor(body);
  return { body, status: response.status, etag: response.headers.get('etag'), location: response.headers.get('location') };
};

await step('capabilityStatement', () => client.capabilityStatement());
await step('smartAuthMetadata', () => client.smartAuthMetadata());
await step('well-known smart-configuration', () => client.request('.well-known/smart-configuration'));
await step('well-known openid-configuration', () => client.request('.well-known/openid-configuration'));

const made = await step('create', () => whole(client.create({ resourceType, body: bodies.first })));
const id = made?.body.id;
await step('create with return=minimal', () =>
  whole(client.create({ resourceType, body: bodies.second, options: { headers: { Prefer: 'return=minimal' } } })));
await step('read', () => client.read({ resourceType, id }));
await step('vread', () => client.vread({ resourceType, id, version: '1' }));
await step('vread of an unknown version', () => client.vread({ resourceType, id, version: '99' }));
await step('read of an unknown id', () => client.read({ resourceType, id: 'no-such-id' }));
await step('read of an unknown type', () => client.read({ resourceType: 'Patient', id: '1' }));

const amended = { ...made?.body, status: 'amended' };
const against = (etag) => ({ headers: { 'If-Match': etag } });
await step('update', () => whole(client.update({ resourceType, id, body: amended, options: against('W/"1"') })));
await step('update of an old version', () => client.update({ resourceType, id, body: amended, options: against('W/"1"') }));
await step('update with another id', () => client.update({ resourceType, id, body: { ...amended, id: 'another' } }));
await step('history', () => client.history({ resourceType, id }));
await step('history of the result', () => client.history({ resourceType: 'RiskAssessment', id }));

const searchParams = { subject: patient, _count: 1 };
const first = await step('search', () => client.search({ resourceType, searchParams }));
await step('search by POST', () => client.search({ resourceType, searchParams, options: { postSearch: true } }));
await step('next page', () => client.nextPage({ bundle: first }));
await step('search with the result', () =>
  client.search({ resourceType, searchParams: { _id: id, _revinclude: 'RiskAssessment:basis' } }));
await step('strict search', () =>
  client.search({ resourceType, searchParams: { shoe: 44 }, options: { headers: { Prefer: 'handling=strict' } } }));
await step('resolve', async () => {
  const found = await client.search({ resourceType: 'RiskAssessment', searchParams: { basis: `${resourceType}/${id}` } });
  return client.resolve({ reference: found.entry[0].resource.basis[0].reference });
});

const once = { headers: { 'If-None-Exist': `identifier=${system}|${value}` } };
await step('conditional create', () => whole(client.create({ resourceType, body: bodies.conditional, options: once })));
await step('conditional create again', () => whole(client.create({ resourceType, body: bodies.conditional, options: once })));

await step('$assess', () => client.operation({ name: '$assess', resourceType, input: bodies.first }));
await step('$validate', () => client.operation({ name: '$validate', resourceType, input: bodies.first }));
await step('$validate of what is not valid', () =>
  client.operation({ name: 'validate', resourceType, input: { ...bodies.first, status: 'done' } }));
await step('$expand', () => client.operation({ name: '$expand', resourceType: 'ValueSet', id: bodies.valueSet, method: 'GET' }));

const read = { request: { method: 'GET', url: `${resourceType}/${id}` } };
const bad = post({ resourceType, status: 'completed' });
await step('batch', () => client.batch({ body: bundle('batch', read, post(bodies.batched), bad) }));
await step('transaction', () => client.transaction({ body: bundle('transaction', post(bodies.transacted), read) }));
await step('transaction with a fault', () =>
  client.transaction({ body: bundle('transaction', post(bodies.undone), bad) }));
await step('search for what was undone', () =>
  client.search({ resourceType, searchParams: { subject: bodies.undone.subject.reference } }));
await step('delete', () => client.delete({ resourceType, id }));
