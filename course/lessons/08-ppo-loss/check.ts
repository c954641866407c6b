import { checks, fields, near, number } from 'heed/course';

/** An action whose probability has changed by this ratio. */
const sample = (ratio: number, advantage: number) => ({ logProb: Math.log(ratio) - 2, oldLogProb: -2, advantage });

export default checks<typeof import('./exercise.ts')>({
  'an unchanged policy': ({ surrogate }) => {
    near(
      surrogate(sample(1, 3), 0.2),
      3,
      'Where nothing has changed, the ratio is 1 and the surrogate is the advantage',
    );
    near(surrogate(sample(1.1, 2), 0.2), 2.2, 'A ratio of 1.1 is within 0.2: the surrogate is 1.1 · 2');
  },
  'enough is enough': ({ surrogate }) => {
    near(surrogate(sample(2, 1), 0.2), 1.2, 'A good action that is already twice as likely earns no more than 1.2');
    near(surrogate(sample(0.5, -1), 0.2), -0.8, 'A bad action that is already half as likely costs no less than 0.8');
  },
  'what went wrong is never clipped': ({ surrogate }) => {
    near(surrogate(sample(2, -1), 0.2), -2, 'A bad action that became twice as likely must cost all of 2');
    near(surrogate(sample(0.5, 1), 0.2), 0.5, 'A good action that became half as likely must earn only 0.5');
  },
  'the slope': ({ slope, surrogate }) => {
    near(slope(sample(1, 3), 0.2), 3, 'At a ratio of 1 the slope is the advantage');
    near(slope(sample(2, 1), 0.2), 0, 'A good action that is likely enough must not be pushed on: its slope is 0');
    near(slope(sample(0.5, -1), 0.2), 0, 'A bad action that is unlikely enough must not be pushed on: its slope is 0');
    near(slope(sample(2, -1), 0.2), -2, 'A bad action that became likelier must be pushed back');
    for (const [ratio, advantage] of [
      [1.1, 1],
      [1.5, 1],
      [0.7, 1],
      [0.9, -2],
      [0.6, -2],
      [1.3, -2],
    ]) {
      const one = sample(ratio, advantage);
      const [up, down] = [1e-5, -1e-5].map((h) => number(surrogate({ ...one, logProb: one.logProb + h }, 0.2)));
      near(
        slope(one, 0.2),
        (up - down) / 2e-5,
        `For a ratio of ${ratio} and an advantage of ${advantage}, the slope must be the surrogate's own`,
        1e-3,
      );
    }
  },
  'the loss of a minibatch': ({ ppoLoss }) => {
    near(
      fields(ppoLoss([sample(1, 3)], 0.2), 'loss', 'clipFraction').loss,
      -3,
      'The loss falls where the surrogate rises: for a surrogate of 3 it is −3',
    );
    const { loss, clipFraction } = ppoLoss([sample(2, 1), sample(0.5, 1), sample(1, 3), sample(2, -1)], 0.2);
    near(loss, -(1.2 + 0.5 + 3 - 2) / 4, 'The loss is less the mean of the surrogates 1.2, 0.5, 3 and −2');
    near(clipFraction, 0.25, 'Only the first of these four samples is clipped');
  },
});
