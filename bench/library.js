/** The library inside an application: for how long each verb keeps others from their turn. */
import { verbs } from './library-job.js';
import { lastLine, node } from './sides.js';

const LONGEST = 50; // ms

function* blocking() {
  for (const verb of Object.keys(verbs)) {
    const name = `${verb}: longest time without a turn of the event loop, ms of its thread`;
    const { status, stdout, stderr } = node('./library-job.js', [verb]);
    if (status !== 0) {
      yield { name, value: 'failed', note: lastLine(stderr) };
      continue;
    }
    const figures = JSON.parse(lastLine(stdout));
    yield {
      name,
      value: figures.longest,
      target: `≤ ${LONGEST}`,
      note: `${figures.over} longer than ${LONGEST}; ${figures.steps} steps, ${figures.cpuMs} ms of processor time in all`,
      figures,
    };
  }
}

export const library = { sections: { blocking } };
