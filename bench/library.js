/** The library inside an application: for how long each verb keeps others from their turn. */
import { verbs } from './library-job.js';
import { lastLine, node, path } from './sides.js';

const LONGEST = 50; // ms

function* blocking() {
  for (const verb of Object.keys(verbs)) {
    const figures = JSON.parse(lastLine(node(path('./library-job.js'), [verb])));
    yield {
      name: `${verb}: longest time without a turn of the event loop, ms of its thread`,
      value: figures.longest,
      target: `≤ ${LONGEST}`,
      note: `${figures.over} longer than ${LONGEST}; ${figures.steps} steps, ${figures.cpuMs} ms of processor time in all`,
      figures,
    };
  }
}

export const library = { sections: { blocking } };
