import { checks, fail, near, ok } from 'heed/course';
import { type Comparison, createParts, type Parts, type Preference, type Rollout, type Segment } from './parts.ts';

type Exercise = typeof import('./exercise.ts');
type Call =
  | { kind: 'fit'; comparisons: Comparison[] }
  | { kind: 'ask'; pair: [Segment, Segment]; completion: Preference; disagreement: number }
  | { kind: 'rollout' | 'predict'; rollout: Rollout }
  | { kind: 'update'; rollout: Rollout; progress: number };

const budget = { rollouts: 12, labels: 12, rounds: 3, every: 2 };

/** Runs the loop on parts that learn nothing and write down who called them. */
function watch({ learn }: Exercise): { calls: Call[]; drawn: number; typical: number } {
  const calls: Call[] = [];
  const places = new Map<Segment, number>();
  const seen: number[] = [];
  const disagreement = (a: Segment, b: Segment) => {
    if (!places.has(a) || !places.has(b)) fail('disagreement takes two segments from drawSegment.');
    return ((7 * places.get(a)! + 3 * places.get(b)!) % 31) / 31;
  };
  const rewards = new Map<Rollout, Float32Array>();
  const parts: Parts = {
    rollOut() {
      const rollout = { observations: [] };
      calls.push({ kind: 'rollout', rollout });
      if (calls.length > 10_000) fail('The loop goes on after all rollouts of the budget.');
      return rollout;
    },
    drawSegment() {
      const segment = { observations: [] };
      places.set(segment, places.size);
      return segment;
    },
    disagreement(a, b) {
      seen.push(disagreement(a, b));
      return disagreement(a, b);
    },
    judge(a, b) {
      const completion: Preference = calls.length % 3 === 0 ? [0, 1] : [1, 0];
      calls.push({ kind: 'ask', pair: [a, b], completion, disagreement: disagreement(a, b) });
      return completion;
    },
    fitEnsemble: (comparisons) => void calls.push({ kind: 'fit', comparisons: [...comparisons] }),
    predictRewards(rollout) {
      calls.push({ kind: 'predict', rollout });
      rewards.set(rollout, new Float32Array(256));
      return rewards.get(rollout)!;
    },
    updatePolicy(rollout, by, progress) {
      if (by !== rewards.get(rollout))
        fail('updatePolicy must get the rewards that predictRewards gave for this rollout.');
      calls.push({ kind: 'update', rollout, progress });
    },
  };
  learn(parts, budget);
  return { calls, drawn: places.size, typical: seen.reduce((sum, x) => sum + x, 0) / Math.max(1, seen.length) };
}

const only = <K extends Call['kind']>(calls: readonly Call[], kind: K) =>
  calls.filter((call): call is Extract<Call, { kind: K }> => call.kind === kind);

export default checks<Exercise>({
  'every rollout is learned from': (exercise) => {
    const { calls } = watch(exercise);
    near(only(calls, 'rollout').length, 12, 'The budget has 12 rollouts');
    near(only(calls, 'update').length, 12, 'Each of the 12 rollouts must be followed by one update of the policy');
    const progress = only(calls, 'update').map((call) => call.progress);
    ok(
      progress[0] >= 0 && progress[11] <= 1 && progress[11] > 0.8,
      'progress should go from 0 to nearly 1 over the rollouts.',
    );
  },
  'the teacher is asked in rounds': (exercise) => {
    const { calls, drawn } = watch(exercise);
    near(only(calls, 'ask').length, 12, 'The budget has 12 labels');
    const before = calls.map(({ kind }, i) => (kind === 'ask' ? only(calls.slice(0, i), 'rollout').length : 0));
    const rounds = [...new Set(before.filter((count) => count > 0))];
    ok(
      rounds.join() === '1,3,5',
      `With every = 2, the rounds are due after rollouts 1, 3 and 5: yours are after ${rounds.join(', ')}.`,
    );
    near(drawn, 2 * 5 * 12, 'For 12 questions, 60 pairs are drawn, which is 120 segments');
  },
  'about pairs on which the ensemble disagrees': (exercise) => {
    const { calls, typical } = watch(exercise);
    const disagreement = only(calls, 'ask').reduce((sum, query) => sum + query.disagreement, 0) / 12;
    ok(
      disagreement > typical + 0.2,
      'The pairs that are asked about should be those with the most disagreement; yours have no more than all pairs.',
    );
  },
  'the ensemble learns from all comparisons': (exercise) => {
    const { calls } = watch(exercise);
    const fits = only(calls, 'fit');
    near(fits.length, 3, 'The ensemble is fitted once after each of the 3 rounds');
    for (const [i, { comparisons }] of fits.entries()) {
      near(comparisons.length, 4 * (i + 1), `Fit ${i + 1} must get all ${4 * (i + 1)} comparisons so far`);
    }
    const queries = only(calls, 'ask');
    for (const { segments, preference } of fits[2].comparisons) {
      const call = queries.find(({ pair }) => pair[0] === segments[0] && pair[1] === segments[1]);
      if (!call) fail('A comparison must hold the two segments in the order in which the teacher saw them.');
      ok(
        call.completion[0] === preference[0] && call.completion[1] === preference[1],
        'A comparison must hold what the teacher said.',
      );
    }
  },
  'rewards come from an ensemble that has learned': (exercise) => {
    const kinds = watch(exercise).calls.map(({ kind }) => kind);
    ok(
      kinds.indexOf('fit') < kinds.indexOf('predict'),
      'The first rewards were predicted by an ensemble that had not been fitted yet.',
    );
    for (const [i, kind] of kinds.entries()) {
      if (kind === 'fit' && kinds[i - 1] !== 'ask')
        fail('The ensemble should be fitted right after a round of questions.');
    }
  },
  'CartPole is learned from 40 comparisons': ({ learn }) => {
    const found: number[] = [];
    for (const seed of [3, 2]) {
      const { parts, evaluate } = createParts(seed);
      const before = evaluate();
      learn(parts, { rollouts: 120, labels: 40, rounds: 4, every: 15 });
      const after = evaluate();
      if (after > 100 && after > 3 * before) return;
      found.push(after);
    }
    fail(
      `After 30,000 steps the pole should stay up for 100 steps and more: yours falls after ${found.map(Math.round)}.`,
    );
  },
});
