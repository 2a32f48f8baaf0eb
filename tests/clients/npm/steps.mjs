/**
 * Runs interactions of a client one after the other, each with a name, and prints what came of it.
 *
 *   node CLIENT.mjs BASE < BODIES
 *
 * BASE is the FHIR base; standard input holds the bodies to send as one JSON document. Each step is one line
 * of JSON: {step, result or error, sent}. `sent` lists the requests as they went out, with the answer's status
 * and headers: they are taken from Node itself, so that no client is changed for it.
 */
import { readFileSync } from 'node:fs';
import { subscribe } from 'node:diagnostics_channel';

export const base = process.argv[2];
export const bodies = JSON.parse(readFileSync(0, 'utf8'));

let sent = [];
const open = new Map();

function started(request, method, path, headers) {
  const entry = { method, path, headers };
  open.set(request, entry);
  sent.push(entry);
}

function answered(request, status, headers) {
  Object.assign(open.get(request) ?? {}, { status, answer: headers });
}

/** Names in lower case and values of headers that come as one list, or as lines of one string. */
function pairs(flat) {
  const list = typeof flat === 'string' ? flat.split('\r\n').flatMap((line) => line.split(/: (.*)/s, 2)) : flat.map(String);
  return Object.fromEntries(list.flatMap((name, i) => (i % 2 ? [] : [[name.toLowerCase(), list[i + 1]]])));
}

// The fetch of Node, which is undici.
subscribe('undici:request:create', ({ request }) => {
  started(request, request.method, request.path, pairs(request.headers));
});
subscribe('undici:request:headers', ({ request, response }) => {
  answered(request, response.statusCode, pairs(response.headers));
});
// The older module http.
subscribe('http.client.request.start', ({ request }) => {
  started(request, request.method, request.path, pairs(Object.entries(request.getHeaders()).flat()));
});
subscribe('http.client.response.finish', ({ request, response }) => {
  answered(request, response.statusCode, response.headers);
});

/** What a client throws: each names the status and the body of the answer in its own way. */
function refusal(error) {
  const status = error.status ?? error.statusCode ?? error.response?.status;
  return { message: error.message, status, body: error.response?.data ?? error.outcome ?? error.body };
}

/** Runs one interaction, prints its line and returns its result; undefined where the client threw. */
export async function step(name, action) {
  sent = [];
  const line = { step: name };
  try {
    line.result = await action();
  } catch (error) {
    line.error = refusal(error);
  }
  console.log(JSON.stringify({ ...line, sent }));
  return line.result;
}
