/** What tests of learning from preferences share. */
import { expect } from 'vitest';
import type { Learner, LearnStep } from '../../src/control/learner.ts';

export async function finish(learner: Learner): Promise<LearnStep[]> {
  const steps: LearnStep[] = [];
  do steps.push(await learner.next());
  while (!steps.at(-1)!.done);
  return steps;
}

/** As a checkpoint on the disk would give it back. */
export function checkpointOf(learner: Learner): ReturnType<Learner['save']> {
  const { state, tensors } = learner.save();
  return structuredClone({ state: JSON.parse(JSON.stringify(state)), tensors });
}

export const tensorsOf = (learner: Learner) => structuredClone(learner.save().tensors);

/** All that happened, without the episodes, which a resumed run knows only as far as its checkpoint. */
export const summaries = (steps: readonly LearnStep[]) =>
  steps.map((step) => ({
    ...step,
    comparisons: step.comparisons.map(({ segments, ...comparison }) => ({
      ...comparison,
      segments: segments.map(({ episode, ...segment }) => ({ ...segment, episode: episode!.seed })),
    })),
  }));

/**
 * A learner restored from a checkpoint of any step goes on as one that never stopped, and comes to the next checkpoint; from
 * every fourth one on it goes to the end. So many checkpoints there are.
 */
export async function expectResumable(start: () => Learner): Promise<number> {
  const whole = start();
  const checkpoints: ReturnType<typeof checkpointOf>[] = [];
  const steps: LearnStep[] = [];
  do {
    checkpoints.push(checkpointOf(whole));
    steps.push(await whole.next());
  } while (!steps.at(-1)!.done);
  // the state numbers episodes from those of the checkpoint on
  const ends = [...checkpoints.slice(1), checkpointOf(whole)].map(({ tensors }) => tensors);
  for (const [at, checkpoint] of checkpoints.entries()) {
    const resumed = start();
    if (at % 2) await resumed.next(); // whatever it knew before is forgotten
    resumed.restore(checkpoint);
    const until = at % 4 === 0 ? steps.length : at + 1;
    const taken: LearnStep[] = [];
    while (taken.length < until - at) taken.push(await resumed.next());
    expect(summaries(taken), `from checkpoint ${at}`).toEqual(summaries(steps.slice(at, until)));
    expect(tensorsOf(resumed), `from checkpoint ${at}`).toEqual(ends[until - 1]);
    if (until === steps.length) expect(await resumed.compareRewards(10)).toEqual(await whole.compareRewards(10));
  }
  return checkpoints.length;
}
