/**
 * Fits the reward ensemble on a thread of its own, while the agent acts and learns. A fit is a function of its message:
 * weights, optimizer and random state go there and come back with the result. So the thread holds nothing that a
 * checkpoint would miss.
 */

import { type CarriedError, HeedError, messageOf, revived } from '../../error.ts';
import { broughtFile, extname, NodeWorker } from '../../node.ts';
import type { EnsembleSettings, RewardEnsemble } from './ensemble.ts';
import type { Fit, FitCall, FitComparison } from './fit.ts';
import type { InputScale } from './inputs.ts';

/** A fit to run. */
export interface FitJob extends FitCall {
  /** What the fit begins with. */
  ensemble: ReturnType<RewardEnsemble['save']>;
  scale: InputScale;
  comparisons: readonly FitComparison[];
}

/** The result of a fit: its metrics and the ensemble after it. */
export interface FitOutcome {
  fit: Fit;
  ensemble: ReturnType<RewardEnsemble['save']>;
}

/** What the thread sends back. */
export type FitMessage = FitOutcome | { failed: CarriedError };

/** A thread that fits ensembles. */
export interface RewardThread {
  /** Runs one fit at a time. Rejects with the fit's error, or if the thread has ended. */
  fit(job: FitJob): Promise<FitOutcome>;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** Starts the thread. */
export function startRewardThread(settings: EnsembleSettings): RewardThread {
  const worker = new NodeWorker(broughtFile(`./worker${extname(import.meta.url)}`, import.meta.url), {
    workerData: settings,
  });
  let settle: { resolve(outcome: FitOutcome): void; reject(error: unknown): void } | undefined;
  let dead: HeedError | undefined;
  const die = (why: string) => {
    dead ??= new HeedError(`the thread that fits the reward ended: ${why}`, {
      hint: 'leave out --async: the error then shows where it happens',
    });
    settle?.reject(dead);
  };
  worker.on('message', (message: FitMessage) => {
    worker.unref();
    if ('failed' in message) settle?.reject(revived(message.failed));
    else settle?.resolve(message);
  });
  worker.once('error', (error) => die(messageOf(error)));
  worker.once('exit', (code) => die(`exit code ${code}`));
  worker.unref(); // a program that forgets to dispose of its learner still ends
  return {
    fit: (job) =>
      new Promise((resolve, reject) => {
        if (dead) return reject(dead);
        settle = { resolve, reject };
        worker.ref();
        worker.postMessage(job);
      }),
    [Symbol.dispose]: () => worker.postMessage(undefined),
  };
}
