// Parses and validates resources again and again with Medplum, for benchmarks/validators.py. Each line of its input is
// a number of passes and a folder of resources; the line that it prints then has the processor time of the whole
// process in seconds, and the files that have a fault.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { medplumProblems } from '../tests/validators/medplum.mjs';

const folders = new Map();

const bodiesOf = (folder) =>
  readdirSync(folder)
    .sort()
    .map((name) => [name, readFileSync(join(folder, name), 'utf8')]);
const isFaulty = ([, body]) => medplumProblems(JSON.parse(body)).length > 0;

for await (const line of createInterface({ input: process.stdin })) {
  const [passes, folder] = line.split(' ');
  if (!folders.has(folder)) {
    folders.set(folder, bodiesOf(folder));
  }
  let faulty = [];
  const before = process.cpuUsage();
  for (let pass = Number(passes); pass > 0; pass--) {
    faulty = folders.get(folder).filter(isFaulty);
  }
  const used = process.cpuUsage(before);
  const seconds = (used.user + used.system) / 1e6;
  console.log(JSON.stringify({ seconds, faulty: faulty.map(([name]) => name) }));
}
