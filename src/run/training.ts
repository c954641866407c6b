/** A training as a value: await it for its result, or iterate it for its steps. */
import { CallError, HeedError, messageOf } from '../error.ts';
import { errorForPrograms } from '../library-words.ts';
import { breathe, turnIsDue } from '../node.ts';

/**
 * What a verb such as `dpo(…)` returns: a promise of the result that can also be iterated. Nothing runs until it is
 * awaited (or `then`, `catch` or `finally` is called) or iterated, and it runs once.
 *
 *     const { model, metrics } = await dpo({ model, data });
 *     for await (const step of dpo({ model, data })) console.log(step.loss);
 *
 * Breaking out of the loop ends the training; awaiting it then gives the result as it stands. When the signal aborts, the
 * loop ends, and the result rejects with an `AbortError`. `await using` ends the training with its block.
 */
export interface Training<Step, Result> extends Promise<Result>, AsyncIterable<Step, void, undefined> {
  /** Ends the training after its current step, if it runs, and waits for that. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A training's result when its signal aborted. */
export class AbortError<Result = unknown> extends Error {
  override readonly name = 'AbortError';
  /** As in Node's own errors. */
  readonly code = 'ABORT_ERR';
  /** The result as it stands: the model so far, and its metrics. Undefined if the first step had not begun. */
  readonly partial: Result | undefined;

  /** @param reason The signal's. It becomes the error's cause. */
  constructor(message: string, reason: unknown, partial?: Result) {
    super(message, { cause: reason });
    this.partial = partial;
  }
}

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
export function createTraining<
  Step extends { step: number; done: boolean },
  Learner extends Steps<Step>,
  Result extends object,
>(
  open: () => Learner | Promise<Learner>,
  result: (learner: Learner, last: Step | undefined) => Result | Promise<Result>,
  signal?: AbortSignal,
): Training<Step, Result> {
  if (signal !== undefined && typeof signal?.throwIfAborted !== 'function') {
    const fault = new HeedError('signal: expected an AbortSignal', {
      hint: 'pass controller.signal of an AbortController, or AbortSignal.timeout(60_000)',
    });
    return createTraining<Step, Learner, Result>(() => Promise.reject(fault), result);
  }
  let settle: Settle<Result>;
  return new LazyTraining<Step, Result>(
    (resolve, reject) => {
      settle = { resolve, reject };
    },
    () => stepsOf(open, result, signal, settle),
  );
}

interface Settle<Result> {
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/** The steps of a training; at its end, the promise of its result is settled. */
async function* stepsOf<Step extends { step: number; done: boolean }, Learner extends Steps<Step>, Result>(
  open: () => Learner | Promise<Learner>,
  result: (learner: Learner, last: Step | undefined) => Result | Promise<Result>,
  signal: AbortSignal | undefined,
  { resolve, reject }: Settle<Result>,
): AsyncGenerator<Step, void, undefined> {
  let last: Step | undefined;
  let learner: Learner | undefined;
  let failed = true;
  try {
    signal?.throwIfAborted();
    learner = await open();
    while (!last?.done && !signal?.aborted) {
      failed = true;
      last = await learner.next(signal);
      failed = false; // leaving the loop during a step is not a failure
      yield last;
      if (turnIsDue()) await breathe(); // signals and requests arrive between steps
    }
    failed = false;
  } catch (error) {
    if (!signal?.aborted || error !== signal.reason) {
      const named = errorForPrograms(learner && error instanceof CallError ? await withPartial(error, learner) : error);
      reject(named);
      throw named;
    }
    failed = false;
    if (!learner) reject(new AbortError('The training was aborted before its first step.', error));
  } finally {
    if (learner) await conclude(learner);
  }

  /** A failed call of a reward, a judge or a teacher: what was learned before is not lost. */
  async function withPartial(error: CallError, learner: Learner): Promise<CallError> {
    const advice = error.hint ? `${error.hint.replace(/\.$/, '')}. ` : '';
    const hint = `${advice}The error's "partial" has the result as of step ${last?.step ?? 0}, to continue from.`;
    const kept = new CallError(error.message, { hint, cause: error.cause });
    return Object.assign(kept, { partial: await result(learner, last) });
  }

  async function conclude(learner: Learner): Promise<void> {
    try {
      if (failed) return;
      const made = await result(learner, last);
      if (!signal?.aborted || last?.done) return resolve(made);
      const why = signal.reason instanceof Error && signal.reason.name !== 'AbortError' ? signal.reason : undefined;
      const after = `The training was aborted after step ${last?.step ?? 0}`;
      reject(new AbortError(why ? `${after}: ${messageOf(why)}` : `${after}.`, signal.reason, made));
    } catch (error) {
      const named = errorForPrograms(error);
      reject(named);
      throw named;
    } finally {
      learner[Symbol.dispose]();
    }
  }
}

/** A promise whose work begins when somebody waits for it. */
class LazyTraining<Step, Result> extends Promise<Result> implements Training<Step, Result> {
  #begin: () => AsyncGenerator<Step, void, undefined>;
  #steps: AsyncGenerator<Step, void, undefined> | undefined;

  constructor(
    executor: ConstructorParameters<typeof Promise<Result>>[0],
    begin: () => AsyncGenerator<Step, void, undefined>,
  ) {
    super(executor);
    this.#begin = begin;
    super.then(undefined, () => {}); // an error that the iterator throws is not unhandled
  }

  /** What `then` returns is a plain promise. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: a training is awaited for its result
  override then<A = Result, B = never>(
    fulfilled?: ((result: Result) => A | PromiseLike<A>) | null,
    rejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (!this.#steps) drain(this[Symbol.asyncIterator]());
    return super.then(fulfilled, rejected);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Step, void, undefined> {
    if (this.#steps) {
      throw new HeedError('This training has already begun: it can be iterated only once.', {
        hint: 'Call the function again for another training.',
      });
    }
    this.#steps = this.#begin();
    return this.#steps;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#steps?.return().catch(() => {}); // who waits for the result gets the error
  }
}

/** Takes all steps; nobody needs them. The result gets the error. */
async function drain(steps: AsyncIterable<unknown>): Promise<void> {
  try {
    for await (const _ of steps);
  } catch {}
}
