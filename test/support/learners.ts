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

/** A learner restored from a checkpoint of any step goes on as one that never stopped; so many checkpoints there are. */
export async function expectResumable(start: () => Learner): Promise<number> {
  const whole = start();
  const checkpoints: ReturnType<typeof checkpointOf>[] = [];
  const steps: LearnStep[] = [];
  do {
    checkpoints.push(checkpointOf(whole));
    steps.push(await whole.next());
  } while (!steps.at(-1)!.done);
  const tensors = tensorsOf(whole);
  for (const [at, checkpoint] of checkpoints.entries()) {
    const resumed = start();
    if (at % 2) await resumed.next(); // whatever it knew before is forgotten
    resumed.restore(checkpoint);
    expect(summaries(await finish(resumed)), `from checkpoint ${at}`).toEqual(summaries(steps.slice(at)));
    expect(tensorsOf(resumed), `from checkpoint ${at}`).toEqual(tensors);
    expect(resumed.compareRewards(10)).toEqual(whole.compareRewards(10));
  }
  return checkpoints.length;
}
