/** A training as a value: await it for its result, or iterate it for its steps. */
import { HeedError } from '../error.ts';

/**
 * What a verb such as `dpo(…)` returns. Nothing runs until it is awaited or iterated, and it runs once.
 *
 *     const { model, metrics } = await dpo({ model, data });
 *     for await (const step of dpo({ model, data })) console.log(step.loss);
 *
 * Breaking out of the loop, or aborting the signal, ends the training. Awaiting it then gives the result as it stands.
 */
export interface Training<Step, Result> extends PromiseLike<Result>, AsyncIterable<Step, void, undefined> {}

/** A learner that takes one step at a time. */
export interface Steps<Step> extends Disposable {
  /** Takes one step. Rejects with the signal's reason if the signal aborts a wait. */
  next(signal?: AbortSignal): Promise<Step>;
}

/**
 * Makes a training from a learner.
 *
 * @param open Opens the learner. Called once, when the training begins; the learner is disposed of at the end.
 * @param result Makes the result from the learner and its last step, which is undefined if there was none. Called once,
 *   before the learner is disposed of.
 * @param signal Ends the training after the current step.
 */
export function createTraining<Step extends { done: boolean }, Learner extends Steps<Step>, Result>(
  open: () => Learner | Promise<Learner>,
  result: (learner: Learner, last: Step | undefined) => Result | Promise<Result>,
  signal?: AbortSignal,
): Training<Step, Result> {
  let begun = false;
  let resolve: (result: Result) => void;
  let reject: (error: unknown) => void;
  const outcome = new Promise<Result>((yes, no) => {
    [resolve, reject] = [yes, no];
  });
  outcome.catch(() => {}); // the iterator throws the error

  async function* steps(): AsyncGenerator<Step, void, undefined> {
    let failed = true;
    let last: Step | undefined;
    let learner: Learner | undefined;
    try {
      learner = await open();
      while (!last?.done && !signal?.aborted) {
        failed = true;
        last = await learner.next(signal);
        failed = false; // leaving the loop during a step is not a failure
        yield last;
      }
      failed = false;
    } catch (error) {
      if (learner && signal?.aborted && error === signal.reason) failed = false;
      else {
        reject(error);
        throw error;
      }
    } finally {
      if (learner) await conclude(learner, last, failed);
    }
  }

  async function conclude(learner: Learner, last: Step | undefined, failed: boolean): Promise<void> {
    try {
      if (!failed) resolve(await result(learner, last));
    } catch (error) {
      reject(error);
      throw error;
    } finally {
      learner[Symbol.dispose]();
    }
  }

  function begin(): AsyncGenerator<Step, void, undefined> {
    if (begun) {
      throw new HeedError('This training has already begun: it can be iterated only once.', {
        hint: 'Call the function again for another training.',
      });
    }
    begun = true;
    return steps();
  }

  async function drain(): Promise<void> {
    for await (const _ of begin()); // nobody needs the steps
  }

  return {
    [Symbol.asyncIterator]: begin,
    // biome-ignore lint/suspicious/noThenProperty: a training is awaited for its result
    then(fulfilled, rejected) {
      if (!begun) drain().catch(() => {}); // the result rejects too
      return outcome.then(fulfilled, rejected);
    },
  };
}
