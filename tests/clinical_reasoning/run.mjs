// Runs the main library of a guidance on responses: cql-execution and cql-exec-fhir as they come from npm.
// Arguments: the folder of the ELM, the name of the library. Input: a QuestionnaireResponse of a person, or an
// array of several, a line; output: what the library says of each person, a line each.
import { createInterface } from "node:readline";
import { readFileSync, readdirSync } from "node:fs";
import cql from "cql-execution";
import fhir from "cql-exec-fhir";

const [folder, main] = process.argv.slice(2);
const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
const elm = Object.fromEntries(
  files.map((file) => [file.slice(0, -5), JSON.parse(readFileSync(`${folder}/${file}`))]),
);
const executor = new cql.Executor(new cql.Library(elm[main], new cql.Repository(elm)));
const source = fhir.PatientSource.FHIRv401();
const patient = { resourceType: "Patient", id: "example" };

for await (const line of createInterface({ input: process.stdin })) {
  const entry = [patient, JSON.parse(line)].flat().map((resource) => ({ resource }));
  source.reset();
  source.loadBundles([{ resourceType: "Bundle", type: "collection", entry }]);
  const { Patient, ...said } = (await executor.exec(source)).patientResults.example;
  console.log(JSON.stringify(said));
}
