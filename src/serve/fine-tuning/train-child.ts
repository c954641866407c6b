/**
 * The process that trains a job: the server goes on, and survives whatever happens here. It ends when the server does,
 * with a checkpoint.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { grpo } from '../../align/policy-gradient/records.ts';
import { dpo } from '../../align/preferences/records.ts';
import type { Completion } from '../../align/reward-functions/reward-function.ts';
import { sft } from '../../align/supervised/records.ts';
import { carried, revived } from '../../error.ts';
import { writeReport } from '../../run/report.ts';
import { createRun, openRun } from '../../run/run.ts';
import { byName } from '../../run/training-record.ts';
import type { ChildJob, FromChild, ToChild } from './training-process.ts';

const trainings = byName([sft, dpo, grpo]);

const send = (message: FromChild) => void (process.connected && process.send!(message));

const stopped = new AbortController();
for (const event of ['disconnect', 'SIGTERM']) process.on(event, () => stopped.abort());
process.on('SIGINT', () => {}); // Ctrl-C in the server's terminal: the server says when to stop

const requests = new Map<number, { resolve(scores: number[]): void; reject(error: Error): void }>();
let next = 0;

/** The job's grader, which the server runs. */
const reward = {
  name: 'grader',
  score: (completions: readonly Completion[]): Promise<number[]> =>
    new Promise((resolve, reject) => {
      const id = next++;
      requests.set(id, { resolve, reject });
      send({ kind: 'grade', id, completions: completions.map(({ text, row }) => ({ text, item: row?.item })) });
    }),
};

process.on('message', (message: ToChild) => {
  if (message.kind === 'train') {
    train(message.job).then(
      () => process.disconnect?.(),
      (error: unknown) => {
        send({ kind: 'failed', error: carried(error) });
        process.disconnect?.();
      },
    );
  } else if (message.kind === 'stop') stopped.abort();
  else {
    const waiting = requests.get(message.id);
    requests.delete(message.id);
    if (message.kind === 'scores') waiting?.resolve(message.scores);
    else waiting?.reject(revived(message.error));
  }
});

async function train({ command, settings, folder, epochs, checkpointSeconds }: ChildJob): Promise<void> {
  const training = trainings[command];
  const onNotice = (text: string) => send({ kind: 'notice', text });
  const input = { ...settings, ...(command === 'grpo' && { reward }) };
  const resumed = existsSync(join(folder, 'config.json'));
  // a wait for the grader has nothing to do with the learner, so the learner comes first
  using learner = await training.open(input, { onNotice });
  const { options } = learner;
  const { name, steps } = training.about(learner);
  const run = resumed
    ? openRun(folder, options)
    : createRun(folder, { name, command, config: options, seed: options.seed });
  try {
    const saved = savedSteps(steps, epochs);
    send({ kind: 'started', steps });
    run.observe({ metrics: (row) => send({ kind: 'metrics', row }), sample() {} });
    const result = await training.train(learner, {
      run,
      checkpointSeconds,
      onWarning: onNotice,
      signal: stopped.signal,
      onStep({ step, done }) {
        if (done || !saved.has(step)) return;
        const model = join(folder, 'steps', `step-${step}`, 'model');
        training.save!(learner, model);
        send({ kind: 'checkpoint', step, folder: model });
      },
    });
    if (result) {
      writeReport(run, training.report(folder));
      send({ kind: 'finished', model: result.model! });
    } else send({ kind: 'stopped' });
  } finally {
    run.close();
  }
}

/** Epochs after which the model is saved, at most, besides the last ones. */
const MOST_SAVED = 10;

/** The steps after which the model is saved: the ends of epochs; of many, some and the last three. */
function savedSteps(steps: number, epochs: number): Set<number> {
  const every = Math.ceil(epochs / MOST_SAVED);
  const ends = Array.from({ length: epochs }, (_, i) => Math.round(((i + 1) * steps) / epochs));
  return new Set(ends.filter((_, i) => (i + 1) % every === 0 || i >= epochs - 3));
}
