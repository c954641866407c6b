/**
 * The process that trains a job: the server goes on, and survives whatever happens here. It ends when the server does,
 * with a checkpoint.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { policyReport } from '../../align/policies/report.ts';
import { trainPolicy } from '../../align/policies/train.ts';
import { createGrpo } from '../../align/policy-gradient/grpo.ts';
import { createDpo } from '../../align/preferences/dpo.ts';
import { offlinePreferenceReport } from '../../align/preferences/report.ts';
import { trainPreferences } from '../../align/preferences/train.ts';
import type { Completion } from '../../align/reward-functions/reward-function.ts';
import { languageReport } from '../../align/supervised/report.ts';
import { createSft } from '../../align/supervised/sft.ts';
import { trainLanguageModel } from '../../align/supervised/train.ts';
import { carried, revived } from '../../error.ts';
import type { TrainParts } from '../../run/drive.ts';
import type { Report } from '../../run/report.ts';
import { writeReport } from '../../run/report.ts';
import { createRun, openRun } from '../../run/run.ts';
import type { ChildJob, FromChild, ToChild } from './train.ts';

interface Learner extends Disposable {
  name: string;
  steps: number;
  options: { seed: number };
}

/** A command: how its learner is opened, trained and saved, and its run reported. Each takes what its `open` gives. */
interface Training {
  open(settings: object): Promise<Learner>;
  train(learner: Learner, parts: TrainParts<{ step: number; done: boolean }>): Promise<{ model: string } | undefined>;
  save(learner: Learner, folder: string): void;
  report(folder: string): Report;
}

const savePolicy = ({ policy }: Learner & { policy: { save(folder: string): void } }, folder: string) =>
  policy.save(folder);

const trainings: Record<ChildJob['command'], Training> = {
  sft: {
    open: createSft,
    train: trainLanguageModel,
    save: ({ saveModel }: Learner & { saveModel(folder: string): void }, folder: string) => saveModel(folder),
    report: languageReport,
  },
  dpo: { open: createDpo, train: trainPreferences, save: savePolicy, report: offlinePreferenceReport },
  grpo: { open: createGrpo, train: trainPolicy, save: savePolicy, report: policyReport },
};

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
  const input = { ...settings, onNotice, ...(command === 'grpo' && { reward }) };
  const resumed = existsSync(join(folder, 'config.json'));
  // a wait for the grader has nothing to do with the learner, so the learner comes first
  using learner = await training.open(input);
  const { name, steps, options } = learner;
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
      onStep({ step, done }: { step: number; done: boolean }) {
        if (done || !saved.has(step)) return;
        const model = join(folder, 'steps', `step-${step}`, 'model');
        training.save(learner, model);
        send({ kind: 'checkpoint', step, folder: model });
      },
    });
    if (result) {
      writeReport(run, training.report(folder));
      send({ kind: 'finished', model: result.model });
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
