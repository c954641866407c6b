/**
 * Proximal policy optimisation (Schulman et al. 2017), with what its reference implementations add: docs/ppo.md lists
 * each detail with its source.
 *
 *   L = E[min(ρA, clip(ρ, 1 ± ε)A)] − c_v·½E[(V − R)²] + c_e·E[H]        maximised, by Adam, over minibatches
 *
 * Run it: heed rl --env CartPole-v1
 */
import { add, input, mean, mul, sub } from '../engine/index.ts';
import type { VectorEnvironment } from '../env/index.ts';
import { HeedError } from '../error.ts';
import {
  type Arena,
  advantages,
  approximateKl,
  createOptimizer,
  createParameters,
  createTrainStep,
  exportParameters,
  importParameters,
  type Optimizer,
  policyLoss,
  type TrainStep,
  valueLoss,
} from '../nn/index.ts';
import { type RandomState, random } from '../random.ts';
import { createCritic, isSmall } from './forward.ts';
import {
  createRewardScale,
  createStatistics,
  normaliseRows,
  restoreStatistics,
  type SavedStatistics,
  saveStatistics,
  scaleRewards,
} from './normalise.ts';
import { createPolicy, encodeAction, type Policy } from './policy.ts';
import type { PpoOptions } from './ppo-options.ts';
import { createActor, createCollector, type Rollout } from './rollout.ts';

/** Means over an update's minibatches. */
export interface PpoMetrics {
  'loss/policy': number;
  'loss/value': number;
  'policy/entropy': number;
  'policy/approx_kl': number;
  'policy/clip_fraction': number;
  'value/explained_variance': number;
  'gradient/norm': number;
  learning_rate: number;
}

export interface PpoState {
  random: { actions: RandomState; shuffle: RandomState };
  optimizerSteps: number;
  observationStatistics?: SavedStatistics;
  rewardScale?: SavedStatistics & { returns: number[] };
}
type Tensors = Record<string, { dtype: 'F32'; shape: number[]; data: Float32Array }>;

/** The learner: a policy, its optimiser and its randomness. `collect` and `update` may be called by hand. */
export interface Ppo {
  readonly policy: Policy;
  readonly parameters: Arena;
  /** Steps the environments by `horizon`. With `explore`, actions are uniform (for a random first phase). */
  collect(explore?: 'uniform'): Rollout;
  /** Learns from a rollout. `progress` (0 to 1) is how much of the training is done. */
  update(rollout: Rollout, progress: number): PpoMetrics;
  /** Observations as the networks see them, of rows [n, o]. */
  prepare(observations: Float32Array): Float32Array;
  save(): { state: PpoState; tensors: Tensors };
  restore(state: PpoState, tensors: Tensors): void;
  release(): void;
}

export function createPpo(environment: VectorEnvironment, options: PpoOptions, seed: number): Ppo {
  const { horizon, epochs, minibatch, discount, lambda } = options;
  const { count, observationSize, actionSpace } = environment;
  const batch = count * horizon;
  if (batch % minibatch !== 0) {
    throw new HeedError(
      `a minibatch of ${minibatch} does not divide ${count} environments × ${horizon} steps = ${batch}`,
      {
        hint: `use for example --ppo.minibatch ${largestDivisor(batch, minibatch)}`,
      },
    );
  }
  const policy = createPolicy(observationSize, actionSpace, options);
  const parameters = createParameters(policy.parameters, random(seed, 'ppo', 'parameters'));
  const rng = { actions: random(seed, 'ppo', 'actions'), shuffle: random(seed, 'ppo', 'shuffle') };
  const evaluate = createCritic(policy, parameters, batch + count);
  const evaluateFew = createCritic(policy, parameters, count);
  const learner = createLearner(policy, parameters, options, observationSize);
  const statistics = options.normaliseObservations ? createStatistics(observationSize) : undefined;
  const actor = createActor(policy, parameters, count);
  const collector = createCollector(environment, actor, { horizon, random: rng.actions, statistics });
  const rewardScale = options.normaliseRewards ? createRewardScale(count) : undefined;

  const prepare = (rows: Float32Array) => {
    if (!statistics) return rows;
    const out = new Float32Array(rows.length);
    normaliseRows(statistics, rows, out);
    return out;
  };

  const advantage = new Float32Array(batch);
  const returns = new Float32Array(batch);
  const finalValues = new Float32Array(batch);
  const order = Int32Array.from({ length: batch }, (_, i) => i);

  function update(given: Rollout, progress: number): PpoMetrics {
    const { terminated, truncated } = given;
    const badReward = given.rewards.findIndex((r) => !Number.isFinite(r));
    if (badReward >= 0) {
      throw new HeedError(
        `the reward of step ${Math.floor(badReward / count)} in environment ${badReward % count} is ${given.rewards[badReward]}`,
        { hint: 'look at what gave this reward: the environment, or the reward model; nothing was learnt from it' },
      );
    }
    const rewards = rewardScale ? given.rewards.slice() : given.rewards;
    if (rewardScale) scaleRewards(rewardScale, rewards, (i) => terminated[i] + truncated[i] > 0, discount);

    evaluate.observations.set(collector.prepared);
    evaluate.observations.set(prepare(environment.observations), batch * observationSize);
    evaluate.run();
    const values = evaluate.values;
    valuesAt(given, truncated, finalValues);
    advantages(
      { steps: horizon, count, rewards, values, terminated, truncated, finalValues, discount, lambda },
      advantage,
      returns,
    );

    const remaining = options.finalLearningRate + (1 - options.finalLearningRate) * Math.max(0, 1 - progress);
    const learningRate = options.learningRate * remaining;
    learner.set(options.annealClip ? options.clip * remaining : options.clip, remaining);
    const totals = { loss: 0, value: 0, entropy: 0, kl: 0, clip: 0, norm: 0, minibatches: 0 };
    training: for (let epoch = 0; epoch < epochs; epoch++) {
      rng.shuffle.shuffle(order);
      for (let start = 0; start < batch; start += minibatch) {
        const rows = order.subarray(start, start + minibatch);
        learner.load(rows, {
          observations: collector.prepared,
          actions: given.actions,
          logProbs: given.logProbs,
          advantage,
          returns,
          values,
        });
        const metrics = learner.train.run();
        const kl = metrics.approximateKl.data[0] as number;
        if (options.targetKl !== undefined && kl > 1.5 * options.targetKl) break training;
        totals.norm += learner.optimizer.step(learningRate);
        totals.loss += metrics.policyLoss.data[0] as number;
        totals.value += metrics.valueLoss.data[0] as number;
        totals.entropy += metrics.entropy.data[0] as number;
        totals.clip += metrics.clipFraction.data[0] as number;
        totals.kl += kl;
        totals.minibatches++;
      }
    }
    const n = Math.max(1, totals.minibatches);
    return {
      'loss/policy': totals.loss / n,
      'loss/value': totals.value / n,
      'policy/entropy': totals.entropy / n,
      'policy/approx_kl': totals.kl / n,
      'policy/clip_fraction': totals.clip / n,
      'value/explained_variance': explainedVariance(values.subarray(0, batch), returns),
      'gradient/norm': totals.norm / n,
      learning_rate: learningRate,
    };
  }

  /** Values of the observations that time limits cut episodes at; 0 elsewhere. */
  function valuesAt(given: Rollout, chosen: Uint8Array, out: Float32Array): void {
    out.fill(0);
    const wanted: number[] = [];
    const flush = () => {
      wanted.forEach((i, row) => {
        const from = given.nextObservations.subarray(i * observationSize, (i + 1) * observationSize);
        evaluateFew.observations.set(prepare(from), row * observationSize);
      });
      evaluateFew.run();
      wanted.forEach((i, row) => {
        out[i] = evaluateFew.values[row];
      });
      wanted.length = 0;
    };
    for (let i = 0; i < batch; i++) {
      if (!chosen[i]) continue;
      wanted.push(i);
      if (wanted.length === count) flush();
    }
    if (wanted.length > 0) flush();
  }

  return {
    policy,
    parameters,
    collect: collector.collect,
    update,
    prepare,
    save: () => ({
      state: {
        random: { actions: rng.actions.save(), shuffle: rng.shuffle.save() },
        optimizerSteps: learner.optimizer.state.steps,
        ...(statistics ? { observationStatistics: saveStatistics(statistics) } : {}),
        ...(rewardScale
          ? { rewardScale: { ...saveStatistics(rewardScale.statistics), returns: [...rewardScale.returns] } }
          : {}),
      },
      tensors: {
        ...exportParameters(parameters),
        ...Object.fromEntries(
          Object.entries(learner.optimizer.state.moments).map(([name, data]) => [
            `optimizer.${name}`,
            { dtype: 'F32' as const, shape: [data.length], data },
          ]),
        ),
        'shuffle.order': { dtype: 'F32', shape: [batch], data: Float32Array.from(order) },
      },
    }),
    restore(state, tensors) {
      importParameters(parameters, tensors);
      for (const [name, data] of Object.entries(learner.optimizer.state.moments)) {
        const saved = tensors[`optimizer.${name}`];
        if (saved?.data.length !== data.length)
          throw new HeedError(`the checkpoint's optimizer.${name} does not fit this policy`);
        data.set(saved.data);
      }
      learner.optimizer.state.steps = state.optimizerSteps;
      order.set(tensors['shuffle.order'].data);
      rng.actions.restore(state.random.actions);
      rng.shuffle.restore(state.random.shuffle);
      if (statistics && state.observationStatistics) restoreStatistics(statistics, state.observationStatistics);
      if (rewardScale && state.rewardScale) {
        restoreStatistics(rewardScale.statistics, state.rewardScale);
        rewardScale.returns.set(state.rewardScale.returns);
      }
    },
    release() {
      for (const part of [collector, evaluate, evaluateFew, learner, parameters]) part.release();
    },
  };
}

/** The compiled loss with its minibatch, and the optimiser. */
function createLearner(policy: Policy, parameters: Arena, options: PpoOptions, observationSize: number) {
  const { minibatch, valueClip, valueCoefficient, entropyCoefficient, normaliseAdvantages, advantageFloor } = options;
  const train: TrainStep = createTrainStep(
    parameters,
    (g) => {
      const column = (name: string) => input(g, name, ['n', 1]);
      const observations = input(g, 'observations', ['n', observationSize]);
      const distribution = policy.distribution(observations);
      const surrogate = policyLoss(
        {
          logProbs: policy.logProbability(distribution, input(g, 'actions', ['n', policy.outputSize])),
          oldLogProbs: column('logProbs'),
          advantages: column('advantage'),
        },
        input(g, 'clip', []),
      );
      const oldValues = valueClip === undefined ? undefined : column('values');
      const value = valueLoss(
        { values: policy.critic.apply(observations), returns: column('returns'), oldValues },
        valueClip,
      );
      const entropy = mean(policy.entropy(distribution));
      const loss = add(surrogate.loss, mul(value.loss, valueCoefficient));
      return {
        loss: entropyCoefficient === 0 ? loss : sub(loss, mul(entropy, input(g, 'entropyCoefficient', []))),
        policyLoss: surrogate.loss,
        valueLoss: value.loss,
        entropy,
        clipFraction: surrogate.clipFraction,
        approximateKl: mean(approximateKl(surrogate.logRatio)),
      };
    },
    { dims: { n: minibatch }, singleThread: isSmall(parameters, minibatch) },
  );
  const optimizer: Optimizer = createOptimizer(parameters, train.gradients, {
    kind: 'adam',
    epsilon: 1e-5,
    maxGradientNorm: options.maxGradientNorm,
  });
  const into = (name: string) => train.inputs[name]?.data as Float32Array;
  const inputs = {
    observations: into('observations'),
    actions: into('actions'),
    logProbs: into('logProbs'),
    advantage: into('advantage'),
    returns: into('returns'),
    values: valueClip === undefined ? undefined : into('values'),
  };
  return {
    train,
    optimizer,
    /** Sets the clip range, and the share of the entropy coefficient that is left. */
    set(clip: number, remaining: number) {
      into('clip')[0] = clip;
      if (entropyCoefficient !== 0) into('entropyCoefficient')[0] = entropyCoefficient * remaining;
    },
    /** Copies the chosen rows of a rollout into the minibatch. */
    load(
      rows: Int32Array,
      from: Record<'observations' | 'actions' | 'logProbs' | 'advantage' | 'returns' | 'values', Float32Array>,
    ) {
      const { actionSize, outputSize } = policy;
      for (let i = 0; i < rows.length; i++) {
        const row = rows[i];
        for (let j = 0; j < observationSize; j++) {
          inputs.observations[i * observationSize + j] = from.observations[row * observationSize + j];
        }
        encodeAction(policy, from.actions, row * actionSize, inputs.actions, i * outputSize);
        inputs.logProbs[i] = from.logProbs[row];
        inputs.advantage[i] = from.advantage[row];
        inputs.returns[i] = from.returns[row];
        if (inputs.values) inputs.values[i] = from.values[row];
      }
      if (normaliseAdvantages && rows.length > 1) standardise(inputs.advantage, advantageFloor);
    },
    release() {
      optimizer.release();
      train.release();
    },
  };
}

/** To zero mean and unit deviation (n − 1), in place; divided by no less than `floor`. */
function standardise(x: Float32Array, floor: number): void {
  let mean = 0;
  for (let i = 0; i < x.length; i++) mean += x[i];
  mean /= x.length;
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += (x[i] - mean) ** 2;
  const scale = 1 / (Math.max(Math.sqrt(squares / (x.length - 1)), floor) + 1e-8);
  for (let i = 0; i < x.length; i++) x[i] = (x[i] - mean) * scale;
}

/** 1 − Var(returns − values)/Var(returns): 1 is perfect, 0 no better than a constant; NaN-free. */
function explainedVariance(values: Float32Array, returns: Float32Array): number {
  const variance = (f: (i: number) => number) => {
    let [sum, squares] = [0, 0];
    for (let i = 0; i < returns.length; i++) {
      sum += f(i);
      squares += f(i) ** 2;
    }
    return squares / returns.length - (sum / returns.length) ** 2;
  };
  const total = variance((i) => returns[i]);
  return total <= 1e-12 ? 0 : 1 - variance((i) => returns[i] - values[i]) / total;
}

function largestDivisor(n: number, most: number): number {
  let d = Math.min(n, most);
  while (n % d !== 0) d--;
  return d;
}
