/**
 * A reader of the site's first page, in Node: node site-reader-job.js SEED [wasm]. Runs the demo's own worker; a reader
 * answers who prefers the pole upright, and afterwards tilted. Prints what both ended with. The engine is Node's, or with
 * wasm the page's, which takes four times as long; they differ in rounding.
 */
import { readFileSync } from 'node:fs';
import { transform } from 'sucrase';

process.env.HEED_THREADS = '1';
const [seed, engine] = process.argv.slice(2);
const STEPS = 60_000;
/** How good a clip is to the reader, by what its text says. */
const tastes = {
  upright: ({ steps, degrees, falls }) => (falls ? steps - 100 : 0) - degrees,
  tilted: ({ degrees }) => degrees,
};

let hear;
const results = {};
let taste = 'upright';
let answers = 0;
globalThis.addEventListener = (_, listen) => {
  hear = (data) => listen({ data });
};
globalThis.postMessage = (report) => {
  if (report.kind === 'failed') throw new Error(report.message);
  if (report.kind === 'query') {
    answers++;
    const [left, right] = report.texts.map((text) => {
      const [steps, degrees] = text.match(/[\d.]+/g).map(Number);
      return tastes[taste]({ steps, degrees, falls: text.includes('falls') });
    });
    const better = left > right ? 'left' : 'right';
    setImmediate(() =>
      hear({ kind: 'choice', id: report.id, choice: Math.abs(left - right) < 0.5 ? 'equal' : better }),
    );
  } else if (report.kind === 'done') {
    results[taste] = { ...report, answers };
    if (taste === 'tilted') return console.log(JSON.stringify(results));
    taste = 'tilted';
    answers = 0;
    setImmediate(() => hear({ kind: 'change' }));
  }
};

const source = readFileSync(new URL('../site/demo/worker.ts', import.meta.url), 'utf8');
const { code } = transform(source, { transforms: ['typescript'] });
const own = engine === 'wasm' ? code : code.replace('await startEngine();', '');
const found = own.replace(/'(heed\/[a-z]+)'/g, (_, name) => JSON.stringify(import.meta.resolve(name)));
await import(`data:text/javascript,${encodeURIComponent(found)}`);
hear({ kind: 'start', seed: Number(seed), steps: STEPS });
