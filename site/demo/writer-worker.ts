/** Runs the demo of writer.ts in a worker: loads the model, and passes questions and choices between page and training. */
import { loadEmbeddedModel } from '../elements/embedded-model.ts';
import type { Choice } from './messages.ts';
import { PAIRS, saidOf, teachWriter } from './writer.ts';

/** To the worker: which seed to begin with, or the reader's choice. */
export type WriterCommand = { seed: number } | { choice: Choice };

/** From the worker. */
export type WriterReport =
  | { stage: string }
  | { texts: readonly [string, string]; number: number; of: number }
  | { when: 'before' | 'after'; text: string }
  | { done: string; seconds: number }
  | { failure: string };

const report = (message: WriterReport) => postMessage(message);
let answer: ((choice: Choice) => void) | undefined;

addEventListener('message', ({ data }: MessageEvent<WriterCommand>) => {
  if ('choice' in data) answer?.(data.choice);
  else run(data.seed).catch(({ message, hint }) => report({ failure: [message, hint].filter(Boolean).join(': ') }));
});

async function run(seed: number): Promise<void> {
  report({ stage: 'The engine and the model load …' });
  const model = await loadEmbeddedModel();
  let began = performance.now();
  let seconds = 0; // without those in which the reader decides
  const result = await teachWriter(model, seed, {
    stage: (stage) => report({ stage }),
    sample: (when, text) => report({ when, text }),
    async choose(texts, number) {
      seconds += (performance.now() - began) / 1000;
      report({ texts, number, of: PAIRS });
      const choice = await new Promise<Choice>((resolve) => {
        answer = resolve;
      });
      began = performance.now();
      return choice;
    },
  });
  report({ done: saidOf(result), seconds: seconds + (performance.now() - began) / 1000 });
}
