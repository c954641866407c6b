/** Each sentence of the lessons that states a number or a cause, against a run of what it is about. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as bradleyTerry from '../course/lessons/01-bradley-terry/solution.ts';
import * as preferenceLoss from '../course/lessons/02-preference-loss/solution.ts';
import * as statistics from '../course/lessons/03-reward-normalization/solution.ts';
import * as words from '../course/lessons/06-text-reward-model/solution.ts';
import { advantages } from '../course/lessons/07-kl-and-gae/solution.ts';
import { surrogate } from '../course/lessons/08-ppo-loss/solution.ts';
import { dpoLoss, implicitReward } from '../course/lessons/09-dpo/solution.ts';
import { curve, pessimistic, turn } from '../course/lessons/10-over-optimization/solution.ts';
import { base, gold, kinds, rewardModels } from '../course/lessons/10-over-optimization/world.ts';
import { random } from '../src/random.ts';

const text = (lesson: string) =>
  readFileSync(new URL(`../course/lessons/${lesson}/lesson.md`, import.meta.url), 'utf8');
/** The sentence stands in the lesson: a number that changes there has to change here. */
const says = (lesson: string, ...sentences: string[]) => {
  const plain = text(lesson).replaceAll(/\s+/g, ' ').replaceAll('*', '');
  for (const sentence of sentences) expect(plain).toContain(sentence);
};
const percent = (p: number) => Math.round(100 * p);

it('lesson 1: how sure differences make a choice', () => {
  says('01-bradley-terry', 'One point of difference is 73 to 27; two points are 88 to 12; five points are 99 to 1.');
  expect([1, 2, 5].map((d) => percent(bradleyTerry.probability(d, 0)))).toEqual([73, 88, 99]);
  says('01-bradley-terry', 'The first clip earns 2.0 and the second 1.2.', 'Of a hundred people, 69 would take');
  expect(percent(bradleyTerry.probability(2, 1.2))).toBe(69);
  expect(bradleyTerry.probability(101, 100)).toBeCloseTo(bradleyTerry.probability(1, 0), 12);
});

it('lesson 2: what a surprise costs', () => {
  says('02-preference-loss', 'it pays −log 0.9 = 0.11. If it gave 10 %, it pays 2.3', 'with r₁ − r₂ = 10 it costs 10');
  const { loss } = preferenceLoss;
  const odds = (p: number) => Math.log(p / (1 - p));
  expect(loss(odds(0.9), 0, [1, 0])).toBeCloseTo(0.11, 2);
  expect(loss(odds(0.1), 0, [1, 0])).toBeCloseTo(2.3, 2);
  expect(loss(0, 0, [1, 0])).toBeCloseTo(0.69, 2);
  expect(loss(10, 0, [0, 1])).toBeCloseTo(10, 3);
  expect(10 / Math.LN2).toBeCloseTo(14, 0); // "as much as fourteen coin flips"
  says('02-preference-loss', 'With e = 0.1, the worst case costs −log 0.05 = 3.0.');
  expect(loss(1000, 0, [0, 1], 0.1)).toBeCloseTo(3, 1);
  says('02-preference-loss', 'the loss is −log 0.881 = 0.127', 'it would be −log 0.119 = 2.127', 'half of both: 1.127');
  expect([[1, 0] as const, [0, 1] as const, [0.5, 0.5] as const].map((p) => loss(2, 0, p).toFixed(3))).toEqual([
    '0.127',
    '2.127',
    '1.127',
  ]);
});

describe('lesson 3: who notices the scale of a reward', () => {
  const draws = random(0, 'lesson 3');
  const rewards = Array.from({ length: 50 }, () => draws.uniform());
  const values = Array.from({ length: 51 }, () => draws.uniform());
  const times = (numbers: number[], scale: number) => numbers.map((x) => scale * x);
  const advantagesOf = (scale: number) =>
    advantages(times(rewards, scale), times(values, scale).slice(0, 50), 0.99, 0.95);
  const normalized = (numbers: readonly number[]) => {
    const all = numbers.reduce(statistics.update, statistics.empty);
    return numbers.map((x) => statistics.normalize(all, x));
  };

  it('the policy of a PPO with normalized advantages does not', () => {
    says('03-reward-normalization', 'the advantages are ten times as large, and so is the deviation');
    for (const scale of [10, 100]) {
      for (const [i, x] of advantagesOf(scale).entries()) expect(x).toBeCloseTo(scale * advantagesOf(1)[i], 6);
      for (const [i, x] of normalized(advantagesOf(scale)).entries()) {
        expect(x).toBeCloseTo(normalized(advantagesOf(1))[i], 9);
      }
    }
  });

  it('its critic does: Adam needs more steps to a target ten times as far, and errors are a hundred times as large', () => {
    says('03-reward-normalization', 'the critic needs more steps to get there', 'a hundred times as large');
    const steps = (target: number) => {
      let [weight, m, v, t] = [0, 0, 0, 0];
      while (Math.abs(weight - target) > 0.1 * target) {
        const gradient = weight - target;
        t++;
        m = 0.9 * m + 0.1 * gradient;
        v = 0.999 * v + 0.001 * gradient ** 2;
        weight -= (0.01 * (m / (1 - 0.9 ** t))) / Math.sqrt(v / (1 - 0.999 ** t));
      }
      return t;
    };
    expect(steps(10)).toBeGreaterThan(5 * steps(1));
    expect((10 - 0) ** 2 / (1 - 0) ** 2).toBe(100);
  });

  it('the textbook shortcut drowns near a billion', () => {
    says(
      '03-reward-normalization',
      'Neighboring floating-point numbers there are 128 apart',
      'a variance of 1 is lost',
    );
    expect(1e18 + 128 - 1e18).toBe(128);
    expect(1e18 + 63 - 1e18).toBe(0);
    const large = [1e9 - 1, 1e9 + 1];
    expect(statistics.deviation(large.reduce(statistics.update, statistics.empty))).toBeCloseTo(1, 6);
    const mean = (numbers: number[]) => numbers.reduce((a, b) => a + b) / numbers.length;
    expect(mean(large.map((x) => x * x)) - mean(large) ** 2).not.toBeCloseTo(1, 1);
  });
});

it('lesson 4: a forgetful teacher', () => {
  says('04-oracle', 'prefers the second with probability σ(0.5) = 0.62', '0.9 · 0.62 + 0.1 · 0.38 = 0.60');
  const p = bradleyTerry.probability(2, 1.5);
  expect(p).toBeCloseTo(0.62, 2);
  expect(0.9 * p + 0.1 * (1 - p)).toBeCloseTo(0.6, 2);
});

it('lesson 5: which pair to ask about', () => {
  says('05-the-loop', 'the mean is 0.85 and the variance is 0.0017', 'the variance is 0.107');
  const variance = (p: number[]) => {
    const mean = p.reduce((a, b) => a + b) / p.length;
    return p.reduce((sum, x) => sum + (x - mean) ** 2, 0) / p.length;
  };
  expect(variance([0.9, 0.8, 0.85])).toBeCloseTo(0.0017, 4);
  expect(variance([0.9, 0.1, 0.5])).toBeCloseTo(0.107, 3);
});

it('lesson 6: the surprise shrinks, and praise adds up', () => {
  says('06-text-reward-model', 'P = σ(1) = 0.73, and the step is only 0.27', 'It scores "good good good good" higher');
  const once = words.learn({}, 'good food', 'bad food', 1);
  expect([once.good, once.bad, once.food ?? 0]).toEqual([0.5, -0.5, 0]);
  const twice = words.learn(once, 'good food', 'bad food', 1);
  expect(twice.good - once.good).toBeCloseTo(0.27, 2);
  expect(words.score(twice, 'good good good good')).toBeGreaterThan(words.score(twice, 'good food'));
});

it('lesson 7: backward through two steps', () => {
  says('07-kl-and-gae', 'Rewards 1, 1; values 0.7, 0.2; γ = 0.9, λ = 0.5.');
  const [first, second] = advantages([1, 1], [0.7, 0.2], 0.9, 0.5);
  expect(second).toBeCloseTo(0.8, 9);
  expect(first).toBeCloseTo(0.84, 9);
});

it('lesson 8: four corners', () => {
  says('08-ppo-loss', 'With ρ = 0.5, it is min(−0.5, −0.8) = −0.8.', 'With ρ = 2, it is min(2, 1.2) = 1.2.');
  const at = (ratio: number, advantage: number) =>
    surrogate({ logProb: Math.log(ratio), oldLogProb: 0, advantage }, 0.2);
  for (const [ratio, advantage, expected] of [
    [1.1, 1, 1.1],
    [2, 1, 1.2],
    [0.5, 1, 0.5],
    [2, -1, -2],
    [0.5, -1, -0.8],
  ]) {
    expect(at(ratio, advantage)).toBeCloseTo(expected, 9);
  }
});

it('lesson 9: a margin of 0.5', () => {
  says('09-dpo', 'the loss is −log σ(0.5) = 0.474', 'At the start it was 0.693');
  expect(0.1 * (-38 + 42)).toBeCloseTo(0.4, 9);
  expect(-Math.log(bradleyTerry.probability(0.4, -0.1))).toBeCloseTo(0.474, 3);
  expect(implicitReward([-38], [-42], 0.1)).toBeCloseTo(0.4, 9);
  expect(dpoLoss).toBeTypeOf('function');
});

describe('lesson 10: where gold turns', () => {
  const strengths = Array.from({ length: 61 }, (_, i) => i / 10);
  const meanOf = (members: number[][]) =>
    kinds.map((_, i) => members.reduce((sum, scores) => sum + scores[i], 0) / members.length);
  const hundred = rewardModels(100, 8, 5);

  it('with a hundred comparisons', () => {
    says('10-over-optimization', 'gold is 1.39. It rises to 2.56, at a distance of 2.2 nats.');
    says('10-over-optimization', 'At a strength of 6, the policy is 22.5 nats away, and gold is −4.15');
    const points = curve(base, meanOf(hundred), gold, strengths);
    expect(points[0].gold).toBeCloseTo(1.39, 2);
    expect(turn(points).gold).toBeCloseTo(2.56, 2);
    expect(turn(points).kl).toBeCloseTo(2.2, 1);
    expect(points[60].kl).toBeCloseTo(22.5, 1);
    expect(points[60].gold).toBeCloseTo(-4.15, 2);
    for (const [i, { proxy }] of points.slice(1).entries()) expect(proxy).toBeGreaterThanOrEqual(points[i].proxy);
  });

  it('with a thousand, and with the lowest of eight', () => {
    says('10-over-optimization', 'Gold rises to 5.35, and the turning point moves to 9.2 nats.');
    const many = turn(curve(base, meanOf(rewardModels(1000, 8, 5)), gold, strengths));
    expect(many.gold).toBeCloseTo(5.35, 2);
    expect(many.kl).toBeCloseTo(9.2, 1);
    says('10-over-optimization', 'the turning point moves to 5.7 nats, and gold rises to 3.9');
    const careful = turn(curve(base, pessimistic(hundred), gold, strengths));
    expect(careful.kl).toBeCloseTo(5.7, 1);
    expect(careful.gold).toBeCloseTo(3.9, 1);
  });

  it('in a world of 117 kinds of texts, where one in 270 is an advertisement', () => {
    says(
      '10-over-optimization',
      'Our world has 117 kinds of texts',
      'only one text in 270 has more than four words of praise',
    );
    expect(kinds).toHaveLength(117);
    const share = kinds.reduce((sum, { praise }, i) => sum + (praise > 4 ? base[i] : 0), 0);
    expect(1 / share).toBeGreaterThan(265);
    expect(1 / share).toBeLessThan(275);
  });
});
