/** npm fhirclient and npm fhir-kit-client find the authorisation server, and bring a token that it issued. */
import { createServer } from 'node:http';
import fhirclient from 'fhirclient';
import { Client } from 'fhir-kit-client';
import { base, bodies, step } from './steps.mjs';

const app = { client_id: 'the-app', scope: 'launch/patient patient/*.rs', redirect_uri: 'http://127.0.0.1/app', iss: base };
const path = 'QuestionnaireResponse?status=completed';

/** Where fhirclient sends people to sign in: it works on the request and the answer of a server. */
async function place() {
  const kept = new Map();
  const storage = { get: async (key) => kept.get(key), set: async (key, value) => kept.set(key, value), unset: async (key) => kept.delete(key) };
  const server = createServer((request, response) =>
    fhirclient(request, response, storage).authorize({ ...app, noRedirect: true }).then(
      (url) => response.end(String(url)),
      (error) => response.writeHead(500).end(error.message),
    ));
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  try {
    const answer = await fetch(`http://127.0.0.1:${server.address().port}/launch`);
    if (!answer.ok) throw new Error(await answer.text());
    return await answer.text();
  } finally {
    server.close();
  }
}

/** A client of fhirclient as it is after somebody signed in. */
function signedIn(token) {
  const request = { headers: {}, url: '/' };
  return fhirclient(request, {}).client({ serverUrl: base, tokenResponse: token ? { access_token: token } : {} });
}

await step('fhirclient authorize', place);
await step('fhirclient with a token', () => signedIn(bodies.token).request(path));
await step('fhirclient without a token', () => signedIn('').request(path));

const kit = new Client({ baseUrl: base });
await step('fhir-kit-client smartAuthMetadata', () => kit.smartAuthMetadata());
await step('fhir-kit-client without a token', () => kit.request(path));
kit.bearerToken = bodies.token;
await step('fhir-kit-client with a token', () => kit.request(path));
