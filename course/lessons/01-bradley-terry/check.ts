import { checks, near } from 'heed/course';

export default checks<typeof import('./exercise.ts')>({
  'equal rewards give one half': ({ probability }) => {
    near(probability(0, 0), 0.5, 'For equal rewards the probability is ½');
    near(probability(3, 3), 0.5, 'For equal rewards the probability is ½, also for 3 and 3');
  },
  'the better option is likelier': ({ probability }) => {
    near(probability(1, 0), 0.7310586, 'One point ahead, the first is preferred in 73 % of cases');
    near(probability(0, 2), 0.1192029, 'Two points behind, the first is preferred in 12 % of cases');
  },
  'the two probabilities sum to 1': ({ probability }) => {
    near(probability(0.3, 1.7) + probability(1.7, 0.3), 1, 'P(first) and P(second) must sum to 1');
  },
  'only the difference counts': ({ probability }) => {
    near(probability(101, 100), 0.7310586, 'Adding 100 to both rewards must change nothing');
  },
  'rewards far apart give no NaN': ({ probability }) => {
    near(probability(1000, 0), 1, 'A thousand points ahead, the probability is 1');
    near(probability(0, 1000), 0, 'A thousand points behind, the probability is 0');
    near(probability(1000, 1000), 0.5, 'For 1000 and 1000 the probability is ½');
  },
  'segments compare by their sums': ({ segmentProbability }) => {
    near(segmentProbability([1, 1, 1], [1, 1, 1]), 0.5, 'Equal segments give ½');
    near(segmentProbability([1, 0, 1], [0, 1, 0]), 0.7310586, 'Two points against one are one point ahead');
    near(segmentProbability([1, 1, 1, 1], [1, 1]), 0.8807971, 'A longer segment earns more: four points against two');
    near(segmentProbability([], [0]), 0.5, 'A segment without steps earns 0');
  },
});
