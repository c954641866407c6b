/**
 * The reward model's prediction: an ensemble of small networks on (observation, action) and, optionally, on what a step
 * changed and whether it ended the task. ensemble.ts fits it.
 */
import { Disposables } from '../../disposables.ts';
import { input, type Tensor } from '../../engine/graph.ts';
import { add, mul, tanh } from '../../engine/ops/elementwise.ts';
import { concat, reshape, slice, unsqueeze } from '../../engine/ops/shape.ts';
import { trace } from '../../engine/program.ts';
import { Value } from '../../engine/value.ts';
import { actionWidthOf, type Space } from '../../env/environment.ts';
import { HeedError } from '../../error.ts';
import { zeros } from '../../nn/initialize.ts';
import type { Arena, ParameterSpec } from '../../nn/parameters.ts';
import { isSmallPass } from '../../rl/forward.ts';
import { imageInputs, imageRewardNetwork, pixels } from './images.ts';
import { createRewardInputs, type RewardInputs, type StepRows } from './inputs.ts';
import { rewardNetwork } from './network.ts';
import type { RewardOptions } from './options.ts';

/** What a reward model reads: the size of observations, the actions and, for images, their shape. */
export interface RewardSpaces {
  observationSize: number;
  actionSpace: Space;
  shape?: readonly number[];
}

/** The networks of the ensemble. */
export interface RewardNetworks {
  /** Their inputs for a step. */
  inputs: RewardInputs;
  parameters: ParameterSpec[];
  /** Name of the constant in each member's reward: the parameter without weight decay. */
  constant: string;
  /** Rewards of rows: x [n, width], terminal [n, 1] → [members, n]. With `seed`, under dropout. */
  rewards(x: Tensor, terminal: Tensor, seed?: Tensor): Tensor;
}

const TERMINAL_SCALE = 10; // weight of the terminal head: landings and crashes are single steps worth a hundred others

/**
 * The networks that the options describe.
 * @throws HeedError if `change` is set for images, or `actionPlanes` for numbers.
 */
export function createRewardNetworks(
  { observationSize, actionSpace, shape }: RewardSpaces,
  options: RewardOptions,
): RewardNetworks {
  const { members, change, terminalHead, actionPlanes, rescaleActions } = options;
  const image = shape as [number, number, number] | undefined;
  if (image && change) {
    throw new HeedError('reward.change works with numbers, but these observations are images', {
      hint: 'leave it out: several frames in an observation show what moves',
    });
  }
  if (!image && actionPlanes) {
    throw new HeedError('reward.actionPlanes is for images, but these observations are numbers', {
      hint: 'leave it out: a reward model of numbers always sees the action',
    });
  }
  const inputs = image
    ? imageInputs(observationSize, actionPlanes ? actionSpace : undefined, rescaleActions)
    : createRewardInputs(observationSize, actionSpace, options);
  const planes = actionPlanes ? actionWidthOf(actionSpace) : 0;
  const outputs = terminalHead ? 2 : 1;
  const networks = Array.from({ length: members }, (_, m) =>
    image
      ? imageRewardNetwork(m, [image[0] + planes, image[1], image[2]], outputs, options)
      : rewardNetwork(m, inputs.width, outputs, options),
  );
  const constant = { name: 'reward.constant', shape: [members, 1, 1], initialize: zeros };
  return {
    inputs,
    parameters: [...networks.flatMap((network) => network.parameters), ...(options.constant > 0 ? [constant] : [])],
    constant: constant.name,
    rewards(x, terminal, seed) {
      const n = x.shape[0];
      const seen = image ? pixels(x, image, planes) : x;
      const bound = options.output === 'tanh' ? tanh : (y: Tensor) => y;
      const y = concat(
        networks.map((network) => unsqueeze(network.apply(seen, seed), 0)),
        0,
      ); // [members, n, 1 or 2]
      const [step, end] = terminalHead ? [0, 1].map((k) => slice(y, 2, k, k + 1)) : [y];
      const shifted =
        options.constant > 0 ? add(step, mul(input(x.graph, constant.name, constant.shape), options.constant)) : step;
      if (!terminalHead) return reshape(bound(shifted), [members, n]);
      return reshape(add(bound(shifted), mul(end, mul(terminal, TERMINAL_SCALE))), [members, n]);
    },
  };
}

/** Predicts rewards, a number of rows at a time. */
export interface RewardPredictor extends Disposable {
  /** Rewards of any number of steps, by member and not normalized: [members][n]. */
  predict(steps: StepRows): Float32Array[];
  /** The same, without blocking the event loop for long. */
  predictFreely(steps: StepRows): Promise<Float32Array[]>;
}

/** A predictor with these parameters. */
export function createPredictor({ inputs, rewards }: RewardNetworks, parameters: Arena, rows: number): RewardPredictor {
  const scope = new Disposables();
  const { width, dtype } = inputs;
  const predictor = scope.use(
    trace((g) => ({ rewards: rewards(input(g, 'x', [rows, width], dtype), input(g, 'terminal', [rows, 1])) }), {
      singleThread: dtype === 'float32' && isSmallPass(parameters, rows),
    }),
  );
  const x = scope.use(new Value(dtype, [rows, width]));
  const terminal = scope.use(new Value('float32', [rows, 1]));
  const members = predictor.outputs[0].shape[0] as number;
  const predicted = scope.use(new Value('float32', [members, rows]));
  const binding = scope.use(predictor.bind({ ...parameters.values, x, terminal }, { rewards: predicted }));
  /** The runs for these steps: each is prepared when it is asked for, and copied into `out` when the next one is. */
  function* runsFor(steps: StepRows, out: readonly Float32Array[]): Generator<typeof binding> {
    const n = steps.terminated.length;
    for (let start = 0; start < n; start += rows) {
      const end = Math.min(n, start + rows);
      for (let i = start; i < end; i++) {
        inputs.write(steps, i, x.data, i - start);
        terminal.data[i - start] = steps.terminated[i];
      }
      yield binding;
      for (let m = 0; m < members; m++) out[m].set(predicted.data.subarray(m * rows, m * rows + end - start), start);
    }
  }
  const outFor = ({ terminated }: StepRows) =>
    Array.from({ length: members }, () => new Float32Array(terminated.length));
  return {
    predict(steps) {
      const out = outFor(steps);
      for (const { run } of runsFor(steps, out)) run();
      return out;
    },
    async predictFreely(steps) {
      const out = outFor(steps);
      for (const { runFreely } of runsFor(steps, out)) await runFreely();
      return out;
    },
    [Symbol.dispose]: scope[Symbol.dispose],
  };
}
