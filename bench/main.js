/**
 * npm run bench -- algorithms|control|lm|align|library|feedback|oversight|people|real|serve|studio|site|worlds|cluster|scale|tinker|trust [--only SECTION,…] [--seeds N] [--pairs N] [--env NAME] [--json FILE]
 *
 * Measures this project, and its Python peers in the same run where their packages are installed (bench/peers/README.md;
 * HEED_PEERS_PYTHON names the interpreter). Machines are noisy: medians and ratios are printed, with the load average.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { algorithms } from './algorithms.js';
import { align } from './align.js';
import { cluster } from './cluster.js';
import { control } from './control.js';
import { feedback } from './feedback.js';
import { library } from './library.js';
import { lm } from './lm.js';
import { oversight } from './oversight.js';
import { people } from './people.js';
import { real } from './real.js';
import { scale } from './scale.js';
import { serve } from './serve.js';
import { site } from './site.js';
import { studio } from './studio.js';
import { tinker } from './tinker.js';
import { trust } from './trust.js';
import { worlds } from './worlds.js';

const suites = {
  algorithms,
  control,
  lm,
  align,
  library,
  feedback,
  oversight,
  people,
  real,
  serve,
  studio,
  site,
  worlds,
  cluster,
  scale,
  tinker,
  trust,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    seeds: { type: 'string', default: '10' },
    pairs: { type: 'string', default: '3' },
    inputs: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    kills: { type: 'string', default: '10' },
    minutes: { type: 'string', default: '2' },
    env: { type: 'string' },
    device: { type: 'string' },
    shapes: { type: 'string', default: '10M,135M' },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
const name = positionals[0];
const suite = Object.hasOwn(suites, name ?? '') ? suites[name] : undefined;
if (values.help || !suite) {
  console.error(`npm run bench -- ${Object.keys(suites).join('|')} [--only SECTION,…] [--seeds N] [--pairs N] [--env NAME] [--json FILE]

${Object.entries(suites)
  .map(([suite, { sections }]) => `sections of ${suite}: ${Object.keys(sections).join(', ')}`)
  .join('\n')}
--inputs, --seed: of trust's inputs, how many of each kind, and what draws them; --kills: of trust's kills, how many of each kind; --minutes: of trust's soak, on each store
--env: of rates, strangers, preferences, pebble, async, bridge, behaviors, inputs, disks, networks, soak and crowd, this one alone
--device, --shapes: of lm's section device, which GPU (webgpu or cuda), and which models (tiny, 1M, 10M, 135M)
example: npm run bench -- control --only ppo,steps`);
  process.exit(values.help ? 0 : 2);
}
const only =
  values.only?.split(',') ??
  (values.device === undefined ? Object.keys(suite.sections).filter((section) => section !== 'device') : ['device']);
const unknown = only.filter((section) => !Object.hasOwn(suite.sections, section));
const seeds = Number(values.seeds);
const pairs = Number(values.pairs);
const [inputs, seed, kills, minutes] = [values.inputs, values.seed, values.kills, values.minutes].map(Number);
if (unknown.length > 0 || ![seeds, pairs, inputs, seed, kills, minutes].every((n) => Number.isInteger(n) && n >= 1)) {
  console.error(
    unknown.length > 0
      ? `no section "${unknown[0]}": ${Object.keys(suite.sections).join(', ')}`
      : '--seeds, --pairs, --inputs, --seed, --kills and --minutes want whole numbers from 1 up',
  );
  process.exit(2);
}

const machine = {
  cpu: cpus()[0]?.model,
  threads: availableParallelism(),
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
};
const results = { suite: name, machine, started: new Date().toISOString(), load: loadavg()[0], rows: [] };
console.log(`${machine.cpu}, ${machine.threads} threads, Node ${machine.node}, load ${results.load.toFixed(2)}\n`);
for (const section of only) {
  console.log(`## ${section}`);
  for await (const row of suite.sections[section]({
    seeds,
    pairs,
    inputs,
    seed,
    kills,
    minutes,
    peer,
    env: values.env,
    device: values.device,
    shapes: values.shapes,
  })) {
    results.rows.push({ section, load: loadavg()[0], ...row });
    console.log(`| ${row.name} | ${row.value} | ${row.target ?? ''} | ${row.note ?? ''} |`);
  }
  console.log();
}
if (values.json) writeFileSync(values.json, `${JSON.stringify(results, null, 2)}\n`);
else console.log(JSON.stringify(results));

/** Runs a peer script; its JSON, or undefined (with a line on stderr) where Python or a package is missing. */
function peer(script, ...args) {
  const python = process.env.HEED_PEERS_PYTHON ?? 'python3';
  const path = new URL(`./peers/${script}`, import.meta.url).pathname;
  const run = spawnSync(python, [path, ...args.map(String)], { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (run.status === 0) return JSON.parse(run.stdout.trim().split('\n').at(-1));
  console.error(`peer ${script}: ${run.error?.message ?? run.stderr.trim().split('\n').at(-1)}`);
  return undefined;
}
