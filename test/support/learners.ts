/** What tests of learning from preferences share. */
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
export const told = (steps: readonly LearnStep[]) =>
  steps.map((step) => ({
    ...step,
    asked: step.asked.map(({ segments, ...asked }) => ({
      ...asked,
      segments: segments.map(({ episode, ...segment }) => ({ ...segment, episode: episode!.seed })),
    })),
  }));
