import { allNear, checks, fields, near, numbers, ok } from 'heed/course';
import { base, gold, kinds, rewardModels } from './world.ts';

type Exercise = typeof import('./exercise.ts');

const strengths = Array.from({ length: 61 }, (_, i) => i / 10);
const [half, mixed] = [
  [0.5, 0.5],
  [0.2, 0.3, 0.5],
];

/** What eight reward models say, trained on a hundred comparisons. */
const members = rewardModels(100, 8, 5);
const mean = kinds.map((_, i) => members.reduce((sum, scores) => sum + scores[i], 0) / members.length);

export default checks<Exercise>({
  'a policy that follows a score': ({ tilt }) => {
    allNear(tilt(mixed, [1, 2, 3], 0), mixed, 'With a strength of 0, the policy is the base');
    allNear(tilt(half, [1, 0], 1), [0.7310586, 0.2689414], 'One point ahead, with a strength of 1, is 73 to 27');
    allNear(
      tilt([0.2, 0.8], [1, 0], 1),
      [0.4046097, 0.5953903],
      'What is rare in the base needs more than a point to catch up',
    );
    allNear(tilt(half, [0, 1000], 1), [0, 1], 'A thousand points ahead takes all of the probability');
  },
  'the distance from the base': ({ kl }) => {
    near(kl(mixed, mixed), 0, 'The base itself has a distance of 0');
    near(kl([1, 0], half), Math.LN2, 'All probability on one of two costs log 2 = 0.693');
    near(
      kl([0.9, 0.1], half),
      0.3680642,
      'KL(policy ‖ base) of [0.9, 0.1] and [0.5, 0.5] is 0.368: the mean is over the policy',
    );
  },
  'a curve': ({ curve }) => {
    const points = curve(half, [1, 0], [0, 1], [0, 1]);
    ok(Array.isArray(points) && points.length === 2, 'Two strengths must give two points.');
    const [, second] = points.map((point) => fields(point, 'kl', 'proxy', 'gold'));
    near(second.proxy, 0.7310586, 'At strength 1, the mean proxy score of this policy is 0.731');
    near(second.gold, 0.2689414, 'At strength 1, the mean of gold under the same policy is 0.269');
    near(second.kl, 0.1109443, 'At strength 1, the distance of this policy is 0.111');
  },
  'the turn': ({ turn }) => {
    const points = [0, 3, 2, -1].map((value, i) => ({ kl: i, proxy: 2 * i, gold: value }));
    near(fields(turn(points), 'kl', 'gold').gold, 3, 'The turn of gold 0, 3, 2, −1 is at 3');
  },
  'gold turns over': ({ curve, turn }) => {
    const points = curve(base, mean, gold, strengths);
    near(turn(points).kl, 2.2, 'With a hundred comparisons, gold turns at 2.2 nats', 0.1);
    ok(points[60].proxy > points[30].proxy, 'The proxy should go on rising after the turn.');
    ok(points[60].gold < points[0].gold, 'At the end, gold should be below where it began.');
  },
  'the lowest of the members': ({ pessimistic }) => {
    allNear(
      pessimistic([
        [1, 5, 3],
        [2, 4, 0],
      ]),
      [1, 4, 0],
      'The lowest of [1, 5, 3] and [2, 4, 0] are [1, 4, 0]',
    );
  },
  'pessimism moves the turn': ({ curve, turn, pessimistic }) => {
    const careful = numbers(pessimistic(members), kinds.length);
    const [before, after] = [mean, careful].map((score) => turn(curve(base, score, gold, strengths)));
    ok(after.kl > 2 * before.kl, 'With the lowest of eight members, the turn should be more than twice as far out.');
    ok(
      after.gold > before.gold + 1,
      'With the lowest of eight members, gold should come out more than a point higher.',
    );
  },
  'more comparisons move it, too': ({ curve, turn }) => {
    const many = rewardModels(1000, 8, 5);
    const score = kinds.map((_, i) => many.reduce((sum, scores) => sum + scores[i], 0) / many.length);
    near(
      turn(curve(base, score, gold, strengths)).kl,
      9.24,
      'With a thousand comparisons, gold rises up to 9.2 nats',
      0.1,
    );
  },
});
