/** What heed survives: changed inputs, kills at random moments, and disks and clocks that fail. */
import { join } from 'node:path';
import { keptResults } from './kept.js';
import { path } from './sides.js';
import { attack, keptFindings } from './trust/attack.js';
import { faults } from './trust/disks.js';
import { killed } from './trust/kills.js';
import { kinds } from './trust/kinds.js';

export const trust = { sections: { corpus, inputs: changed, kills: killed, disks: faults } };

const DIST = path('../dist');
const CORPUS = path('../test/fixtures/corpus');

const described = (name, { inputs, accepted, refused, findings, hangs, deaths, slowest, megabytes }, found) => ({
  name,
  value: `${findings} findings in ${inputs} inputs`,
  target: '0',
  note: `${accepted} accepted, ${refused} refused with file and place; ${hangs} hangs, ${deaths} ends of the process; at most ${megabytes} MB and ${slowest} ms${found.map(({ what, file }) => `; ${what} (${file})`).join('')}`,
  ...{ inputs, accepted, refused, findings },
});

/** What was found before, and mended. */
async function* corpus() {
  for (const { name, files } of keptFindings(CORPUS)) {
    const { counts, found } = await attack(name, { files, dist: DIST, findings: CORPUS });
    yield described(name, counts, found);
  }
}

/** Valid inputs, changed. With HEED_BENCH_FOLDER, a bench that was stopped goes on, and what it found stays there. */
async function* changed({ inputs, seed }) {
  const kept = keptResults('trust-inputs.jsonl');
  try {
    for (const [name, { share = 1 }] of Object.entries(kinds)) {
      const { counts, found } = await attack(name, {
        ...{ inputs: Math.ceil(share * inputs), seed, dist: DIST, findings: join(kept.folder, 'findings', name) },
        onFinding: ({ what, file }) => console.error(`${name}: ${what}\n  ${file}`),
        result: (key, run) => kept.result(key, run),
      });
      yield described(name, counts, found);
    }
  } finally {
    kept[Symbol.dispose]();
  }
}
