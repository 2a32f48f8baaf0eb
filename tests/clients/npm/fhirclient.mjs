/** npm fhirclient, the SMART client for JavaScript: it sends and accepts application/json. */
import fhirclient from 'fhirclient';
import { base, bodies, step } from './steps.mjs';

const client = new fhirclient.FhirClient(base);
const form = 'https://guidance.example.org/fhir/Questionnaire/muscle-twitching';
const patient = bodies.first.subject.reference;

await step('release', () => client.getFhirRelease());
await step('read', () => client.fhirRequest('Questionnaire/muscle-twitching'));
await step('search by canonical', () => client.fhirRequest(`Questionnaire?url=${encodeURIComponent(form)}`));
const made = await step('create', () => client.create(bodies.first));
await step('create with return=minimal', () => client.create(bodies.second, { headers: { prefer: 'return=minimal' } }));
await step('read of what is not there', () => client.fhirRequest('QuestionnaireResponse/no-such-id'));
await step('resources over pages', async () => {
  const found = [];
  for await (const each of client.resources(`QuestionnaireResponse?subject=${patient}&_count=1`)) found.push(each.id);
  return found;
});
await step('update', () => client.update({ ...made, status: 'amended' }));
await step('update of an old version', () =>
  client.update({ ...made, status: 'amended' }, { headers: { 'if-match': 'W/"1"' } }));
await step('references', async () => {
  const bundle = await client.fhirRequest(`RiskAssessment?basis=QuestionnaireResponse/${made?.id}`);
  return client.getReferences(bundle.entry[0].resource, ['basis.0']);
});
await step('delete', () => client.delete(`QuestionnaireResponse/${made?.id}`));
