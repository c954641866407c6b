import { allNear, checks, near, number } from 'heed/course';

type Exercise = typeof import('./exercise.ts');

const untrained = { chosen: [-1, -2], rejected: [-3], referenceChosen: [-1, -2], referenceRejected: [-3] };

/**
 * Trains a policy over three completions by the exercise's slope, on endless pairs that a teacher of these rewards
 * judges, and gives its probabilities.
 */
function trained({ dpoSlope }: Exercise, rewards: number[], reference: number[], beta: number): number[] {
  const logits = reference.map(Math.log);
  for (let step = 0; step < 4000; step++) {
    const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
    const logProbs = logits.map((x) => x - Math.log(total));
    const change = logits.map(() => 0);
    for (const [i, j] of [
      [0, 1],
      [1, 0],
      [0, 2],
      [2, 0],
      [1, 2],
      [2, 1],
    ]) {
      const share = 1 / (1 + Math.exp(rewards[j] - rewards[i])); // how often i is chosen over j
      const slope = number(
        dpoSlope(
          {
            chosen: [logProbs[i]],
            rejected: [logProbs[j]],
            referenceChosen: [Math.log(reference[i])],
            referenceRejected: [Math.log(reference[j])],
          },
          beta,
        ),
      );
      // log-probabilities differ by what the logits differ by
      change[i] -= share * slope;
      change[j] += share * slope;
    }
    for (const [i, by] of change.entries()) logits[i] += 0.5 * by;
  }
  const total = logits.reduce((sum, x) => sum + Math.exp(x), 0);
  return logits.map((x) => Math.exp(x) / total);
}

export default checks<Exercise>({
  'the reward inside of the policy': ({ implicitReward }) => {
    near(implicitReward([-1, -2], [-1, -2], 0.5), 0, 'A completion as likely as under the reference has a reward of 0');
    near(
      implicitReward([-1], [-3], 0.5),
      1,
      'Two nats likelier than under the reference, with β = 0.5, is a reward of 1',
    );
    near(
      implicitReward([-1, -1, -1], [-2, -2, -2], 0.5),
      1.5,
      'Three tokens that are a nat likelier each add up to 3 nats, so 1.5',
    );
  },
  'before training': ({ dpoLoss }) => {
    near(dpoLoss(untrained, 0.1), Math.LN2, 'Where the policy is the reference, each pair costs log 2 = 0.693');
  },
  'the right direction': ({ dpoLoss }) => {
    near(
      dpoLoss({ ...untrained, chosen: [-1, -1] }, 1),
      0.3132617,
      'With the chosen a nat likelier than before, the loss is −log σ(1) = 0.313',
    );
    near(
      dpoLoss({ ...untrained, rejected: [-2] }, 1),
      1.3132617,
      'With the rejected a nat likelier than before, the loss is 1.313',
    );
    near(dpoLoss({ ...untrained, chosen: [-1, -1] }, 0.1), 0.6443967, 'The same with β = 0.1 is −log σ(0.1) = 0.644');
  },
  'far apart': ({ dpoLoss }) => {
    near(dpoLoss({ ...untrained, chosen: [-1000, -3] }, 1), 1000, 'A thousand nats in the wrong direction cost 1000');
    near(dpoLoss({ ...untrained, rejected: [-1003] }, 1), 0, 'A thousand nats in the right direction cost 0');
  },
  'the slope': ({ dpoLoss, dpoSlope }) => {
    near(dpoSlope(untrained, 0.1), -0.05, 'Before training the slope is −β/2');
    for (const shift of [-3, 0.5, 4]) {
      const at = (h: number) => number(dpoLoss({ ...untrained, chosen: [-1, -2 + shift + h] }, 0.5));
      const pair = { ...untrained, chosen: [-1, -2 + shift] };
      near(
        dpoSlope(pair, 0.5),
        (at(1e-5) - at(-1e-5)) / 2e-5,
        `With the chosen ${shift} nats from the reference, the slope must be the loss's own`,
        1e-3,
      );
    }
  },
  'training finds the policy that a reward and a price on KL would give': (exercise) => {
    const [rewards, reference, beta] = [[1, 0, -1], [0.2, 0.3, 0.5], 0.5];
    const tilted = reference.map((p, i) => p * Math.exp(rewards[i] / beta));
    const total = tilted.reduce((sum, x) => sum + x, 0);
    allNear(
      trained(exercise, rewards, reference, beta),
      tilted.map((x) => x / total),
      'Trained on a teacher’s pairs, the policy should become π_ref · exp(r/β), normalized',
      1e-2,
    );
  },
});
