/**
 * A reader of the site's second demo, in Node: node site-writer-job.js praise|blame|short SEED. Runs the demo's own code
 * with the page's engine, and a reader who always prefers the same. Prints what became of it.
 */
import { readFileSync } from 'node:fs';
import { transform } from 'sucrase';
import { startEngine } from '../dist/browser/index.js';
import { adjectiveOf, verbs } from '../dist/data/reviews/words.js';
import { loadModel } from '../dist/lm/index.js';

process.env.HEED_THREADS = '1';
const [taste, seed] = process.argv.slice(2);
const source = readFileSync(new URL('../site/demo/writer.ts', import.meta.url), 'utf8');
const { code } = transform(source, { transforms: ['typescript'] });
const found = code
  .replace(/'(heed\/[a-z]+)'/g, (_, name) => JSON.stringify(import.meta.resolve(name)))
  .replace(/'\.\.\/\.\.\/src\/(.*)\.ts'/g, (_, name) =>
    JSON.stringify(new URL(`../dist/${name}.js`, import.meta.url).href),
  );
const { saidOf, teachWriter } = await import(`data:text/javascript,${encodeURIComponent(found)}`);

const count = (text, polarity) =>
  text.split(' ').filter((word) => adjectiveOf.get(word)?.polarity === polarity || verbs[polarity].includes(word))
    .length;
const tastes = {
  praise: (text) => count(text, 'praise') - count(text, 'blame'),
  blame: (text) => count(text, 'blame') - count(text, 'praise'),
  short: (text) => -text.length,
};
await startEngine();
const model = await loadModel();
const began = performance.now();
const result = await teachWriter(model, Number(seed), {
  stage() {},
  sample() {},
  async choose([left, right]) {
    const difference = tastes[taste](left) - tastes[taste](right);
    if (difference === 0) return 'equal';
    return difference > 0 ? 'left' : 'right';
  },
});
const cpu = process.cpuUsage();
console.log(
  JSON.stringify({
    ...result,
    said: saidOf(result),
    seconds: (performance.now() - began) / 1000,
    cpu: (cpu.user + cpu.system) / 1e6,
  }),
);
