/**
 * Loads every entry point of the package, then reads programs and looks whether what they import is there, without running
 * them. Prints what is wrong, as a JSON list. On Deno and Bun it only loads the entry points.
 *
 * node --experimental-vm-modules link.js PROGRAMS.json ENTRY…
 */
import { readFileSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { pathToFileURL } from 'node:url';
import * as vm from 'node:vm';

const [path, ...entries] = process.argv.slice(2);
const wrong = [];

for (const entry of entries) {
  const names = Object.keys(await import(entry));
  if (names.length === 0) wrong.push(`${entry} exports nothing`);
}

/** What is imported, as its names alone. */
async function imported(specifier, { identifier }) {
  const at = specifier.startsWith('.') ? new URL(specifier, pathToFileURL(identifier)).href : specifier;
  const module = new vm.SyntheticModule(Object.keys(await import(at)), () => {}, { identifier: specifier });
  await module.link(() => {});
  return module;
}

for (const { place, language, code, withoutTypes } of JSON.parse(readFileSync(path, 'utf8'))) {
  try {
    const strip = language === 'ts' && nodeModule.stripTypeScriptTypes; // as this Node itself does
    const module = new vm.SourceTextModule(strip ? strip(code) : withoutTypes, { identifier: place });
    await module.link(imported);
  } catch (error) {
    wrong.push(`${place}: ${error.message}`);
  }
}
console.log(JSON.stringify(wrong));
