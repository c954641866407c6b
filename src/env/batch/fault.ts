/**
 * Faults of an environment that somebody else wrote: what it threw, or a number that is not finite. They are named
 * where they happen, before a reward model or a policy learns from them.
 */

import { type CarriedError, carried, HeedError, messageOf, revived } from '../../error.ts';
import type { Environment, StepResult } from '../environment.ts';

/** What went wrong in one copy of an environment. */
interface Fault {
  /** The environment's name, or its file. */
  environment: string;
  /** What it did, such as `gave NaN as its reward`. */
  did: string;
  /** What it threw. */
  thrown?: string;
  /** Which step of its episode it was, from 1; 0 for the reset. */
  episodeStep: number;
  /** Which of a batch's copies it was. */
  copy?: number;
}

/** Where in a run a fault happened. Episodes and steps are counted from 1, copies too. */
interface Place {
  /** Environment step of the run; unknown in a run that was resumed from an old checkpoint. */
  step?: number;
  episode: number;
  /** Only where there are several. */
  copy?: number;
}

/** The error of a fault. `message` says which environment did what and, once a run knows, where. */
export class EnvironmentFault extends HeedError {
  readonly fault: Fault;

  constructor(fault: Fault, cause: unknown, place?: Place) {
    super(messageFor(fault, place), {
      hint: (cause as HeedError | undefined)?.hint ?? 'mend the environment; --verbose shows where it threw',
      cause,
    });
    this.fault = fault;
  }
}

function messageFor({ environment, did, thrown, episodeStep }: Fault, place: Place | undefined): string {
  const what = `the environment "${environment}" ${did}`;
  const why = thrown === undefined ? '' : `: ${thrown}`;
  const at = episodeStep === 0 ? 'at its reset' : `step ${number(episodeStep)}`;
  if (!place) return `${what} ${episodeStep === 0 ? at : `at ${at} of an episode`}${why}`;
  const copy = place.copy === undefined ? '' : ` of copy ${place.copy}`;
  const episode = `episode ${number(place.episode)}${copy}, ${at}`;
  return `${what} ${place.step === undefined ? `in ${episode}` : `at step ${number(place.step)} (${episode})`}${why}`;
}

const number = (n: number): string => n.toLocaleString('en-US');

/** The same environment, whose faults are an `EnvironmentFault` each. */
export function guarded(environment: Environment, name: string = environment.id): Environment {
  const { id, observationSpace, actionSpace, maxEpisodeSteps, rewardThreshold, framesPerSecond } = environment;
  let episodeStep = 0;
  const threw = (cause: unknown) =>
    cause instanceof EnvironmentFault
      ? cause
      : new EnvironmentFault({ environment: name, did: 'threw', thrown: messageOf(cause), episodeStep }, cause);
  const checkFinite = (value: number, what: () => string) => {
    if (Number.isFinite(value)) return;
    throw new EnvironmentFault({ environment: name, did: `gave ${value} as ${what()}`, episodeStep }, undefined);
  };
  const checkObservation = (observation: Float32Array) => {
    for (let i = 0; i < observation.length; i++) checkFinite(observation[i], () => `number ${i} of its observation`);
  };
  return {
    id,
    observationSpace,
    actionSpace,
    maxEpisodeSteps,
    rewardThreshold,
    framesPerSecond,
    reset(seed, observation) {
      episodeStep = 0;
      try {
        environment.reset(seed, observation);
      } catch (cause) {
        throw threw(cause);
      }
      checkObservation(observation);
    },
    step(action, observation) {
      episodeStep++;
      let outcome: StepResult;
      try {
        outcome = environment.step(action, observation);
      } catch (cause) {
        throw threw(cause);
      }
      checkFinite(outcome.reward, () => 'its reward');
      checkObservation(observation);
      return outcome;
    },
    frame() {
      try {
        return environment.frame();
      } catch (cause) {
        throw threw(cause);
      }
    },
    [Symbol.dispose]: () => environment[Symbol.dispose]?.(),
  };
}

/** What a copy threw; a fault then says which copy it was. */
export const ofCopy = (error: unknown, copy: number): unknown =>
  error instanceof EnvironmentFault && error.fault.copy === undefined
    ? new EnvironmentFault({ ...error.fault, copy }, error.cause)
    : error;

/** A fault that says where in the run it happened; any other error as it is. */
export const placed = (error: unknown, placeOf: (fault: Fault & { copy: number }) => Place): unknown =>
  error instanceof EnvironmentFault && error.fault.copy !== undefined
    ? new EnvironmentFault(error.fault, error.cause, placeOf({ ...error.fault, copy: error.fault.copy }))
    : error;

/** An error on its way from a thread that steps environments. */
export interface CarriedFault extends CarriedError {
  fault?: Fault;
}

/** An error as plain data that crosses threads. */
export const carriedFault = (error: unknown): CarriedFault => ({
  ...carried(error),
  ...(error instanceof EnvironmentFault && {
    fault: error.fault,
    stack: error.cause instanceof Error ? error.cause.stack : error.stack,
  }),
});

/** The error again; `first` is the batch's copy that is the thread's first. */
export function revivedFault({ fault, ...error }: CarriedFault, first = 0): HeedError {
  const revival = revived(error);
  if (!fault) return revival;
  const copy = fault.copy === undefined ? undefined : first + fault.copy;
  const cause = Object.assign(new Error(fault.thrown ?? error.message), { stack: error.stack, hint: error.hint });
  return new EnvironmentFault({ ...fault, copy }, cause);
}
