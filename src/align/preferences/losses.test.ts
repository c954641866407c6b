import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { gradients, input, mean, reshape, trace } from '../../engine/index.ts';
import { bcoLoss } from './bco.ts';
import { type CpoLossOptions, cpoLoss } from './cpo.ts';
import { type KtoLossOptions, ktoLoss } from './kto.ts';
import { type Completions, completionsOf, type PreferenceLoss } from './loss.ts';
import { orpoLoss } from './orpo.ts';

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../../test/fixtures/losses/${name}.json`, import.meta.url).pathname, 'utf8'));

/** Losses and rewards of completions, and the gradient of the mean loss for their log-probabilities. */
function run(loss: PreferenceLoss, numbers: Partial<Record<keyof Completions, number[]>>) {
  const n = numbers.logP!.length;
  const program = trace((graph) => {
    const read = (name: keyof Completions) => input(graph, name, [n]);
    const make = { logP: () => read('logP'), likely: () => read('likely'), confidence: () => read('confidence') };
    const { loss: each, rewards } = loss(completionsOf(make, read));
    const value = mean(each);
    const [gradient] = gradients(value, [read('logP')]);
    return { each, rewards, gradient, value: reshape(value, [1]) };
  });
  const read = Object.fromEntries(program.inputs.map(({ name }) => [name, numbers[name as keyof Completions]!]));
  const { each, rewards, gradient, value } = program.run(read) as Record<string, Float32Array>;
  program[Symbol.dispose]();
  return { each, rewards, gradient, value: value[0] };
}

function near(got: ArrayLike<number>, expected: number[], tolerance = 1e-5) {
  expect(got.length).toBe(expected.length);
  for (const [i, value] of expected.entries()) {
    expect(Math.abs(got[i] - value)).toBeLessThanOrEqual(tolerance * Math.max(1e-2, Math.abs(value)));
  }
}
const average = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b) / values.length;

describe('KTO is that of TRL', () => {
  interface Case {
    loss_type: KtoLossOptions['loss'];
    options: { beta: number; desirable_weight: number; undesirable_weight: number };
    ref_KL_logps: number[];
    loss: number;
    grad_norm_per_row: number[];
    metrics: Record<string, number>;
  }
  const { label, logps, ref_logps, KL_logps, logits, input_ids, completion_mask, cases } = fixture('kto');
  /** Norm of d log π(completion) / d logits. */
  const scale = input_ids.map((ids: number[], row: number) => {
    let square = 0;
    for (let t = 1; t < ids.length; t++) {
      if (!completion_mask[row][t]) continue;
      const powers = logits[row][t - 1].map(Math.exp) as number[];
      const total = powers.reduce((a, b) => a + b);
      for (const [id, power] of powers.entries()) square += (Number(id === ids[t]) - power / total) ** 2;
    }
    return Math.sqrt(square);
  });
  it.each(cases as Case[])('$loss_type $options', ({ loss_type, options, ref_KL_logps, loss, ...expected }) => {
    const { beta, desirable_weight: desirableWeight, undesirable_weight: undesirableWeight } = options;
    const kl = Math.max(0, average(KL_logps) - average(ref_KL_logps));
    const { value, gradient, rewards } = run(ktoLoss({ loss: loss_type, beta, desirableWeight, undesirableWeight }), {
      logP: logps,
      reference: ref_logps,
      desirable: label.map(Number),
      kl: logps.map(() => kl),
    });
    near([value], [loss]);
    near(
      Array.from(gradient, (g, i) => Math.abs(g) * scale[i]),
      expected.grad_norm_per_row,
      1e-4,
    );
    for (const [name, kind] of [
      ['chosen', true],
      ['rejected', false],
    ] as const) {
      near([average(rewards.filter((_, i) => label[i] === kind))], [expected.metrics[`rewards/${name}`]]);
    }
  });
});

// biome-ignore lint/suspicious/noExplicitAny: three algorithms' cases, each with fields of its own
const { cases, ...logps } = fixture('orpo_cpo_simpo_bco') as { cases: any[] } & Record<string, number[]>;
const casesOf = (name: string) => cases.filter(({ algo }) => algo === name);
const n = logps.chosen_sum_logps.length;
const lengths = [...logps.chosen_sum_logps, ...logps.rejected_sum_logps].map((sum: number, i: number) =>
  Math.round(sum / [...logps.chosen_avg_logps, ...logps.rejected_avg_logps][i]),
);
const both = (kind: 'avg' | 'sum') => [...logps[`chosen_${kind}_logps`], ...logps[`rejected_${kind}_logps`]];
/** Answers of one token, of the mean log-probability, so that a sum is a mean. */
const even = {
  logP: both('avg'),
  tokens: new Array(2 * n).fill(1),
  likely: both('avg'),
  perToken: new Array(2 * n).fill(0),
};
const summed = { ...even, logP: both('sum'), tokens: lengths };

it.each(casesOf('orpo'))('ORPO with β $beta is that of TRL', (expected) => {
  const { each, gradient, rewards } = run(orpoLoss(expected), even);
  near(
    each,
    expected['losses(beta*logsigmoid(log_odds))'].map((x: number) => -x),
  );
  near(gradient, [...expected.grad_chosen_of_neg_mean, ...expected.grad_rejected_of_neg_mean], 1e-4);
  near(
    rewards,
    even.logP.map((x) => expected.beta * x),
  );
  const { each: withFit } = run(orpoLoss(expected), { ...even, perToken: new Array(2 * n).fill(0.5) });
  near(
    withFit,
    Array.from(each, (x, i) => x - 0.5 * even.logP[i]),
  );
});

it.each(casesOf('cpo'))('CPO $loss_type, β $beta, α $alpha, ε $label_smoothing is that of TRL', (expected) => {
  const options: CpoLossOptions = {
    loss: expected.loss_type,
    beta: expected.beta,
    gamma: expected.simpo_gamma * (expected.loss_type === 'simpo' ? 1 : 0),
    alpha: expected.alpha,
    likelihood: 0,
    labelSmoothing: expected.label_smoothing,
  };
  const { each, gradient, rewards } = run(cpoLoss(options), expected.uses === 'avg' ? even : summed);
  near(each, expected.losses);
  near(gradient, [...expected.grad_chosen_of_mean, ...expected.grad_rejected_of_mean], 1e-4);
  near(rewards, [...expected.chosen_rewards, ...expected.rejected_rewards]);
});

it('CPO adds the likelihood of the chosen completions', () => {
  const options = { loss: 'sigmoid', beta: 0.1, gamma: 0, alpha: 0, likelihood: 0, labelSmoothing: 0 } as const;
  const numbers = { ...summed, perToken: new Array(2 * n).fill(0.5) };
  const { each } = run(cpoLoss(options), numbers);
  const { each: withFit } = run(cpoLoss({ ...options, likelihood: 2 }), numbers);
  near(
    withFit,
    Array.from(each, (x, i) => x - even.likely[i]),
  );
});

it('BCO is that of TRL', () => {
  const expected = cases.find(({ algo }) => algo.startsWith('bco'));
  const reference = [...expected.ref_chosen_sum, ...expected.ref_rejected_sum];
  const { logP } = summed;
  const mean = average(logP.map((x, i) => expected.beta * (x - reference[i])));
  // so many rewards seen before that the mean of all is the fixture's
  const seenCount = 1e4;
  const seenSum = expected.delta * (seenCount + 2 * n) - 2 * n * mean;
  const { each, value } = run(bcoLoss(expected), {
    logP,
    reference,
    desirable: logP.map((_, i) => Number(i < n)),
    seenSum: logP.map(() => seenSum),
    seenCount: logP.map(() => seenCount),
  });
  near(each, expected.losses);
  near([value], [expected.loss]);
});
