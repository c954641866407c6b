/**
 * The reward network for images, such as the last four frames of a game (Christiano et al. 2017, A.2). As in the paper,
 * it sees the observation and not the action, unless there are action planes. It has no batch normalization.
 */

import type { Tensor } from '../../engine/graph.ts';
import { cast, maximum, mul } from '../../engine/ops/elementwise.ts';
import { dropout } from '../../engine/ops/random.ts';
import { concat, expand, reshape, slice } from '../../engine/ops/shape.ts';
import { actionWidthOf, type Space } from '../../env/environment.ts';
import { type ConvolutionLayer, cnn, isSmallImage, smallConvolutions } from '../../nn/cnn.ts';
import { orthogonal } from '../../nn/initialize.ts';
import { mlp } from '../../nn/mlp.ts';
import { actionWriter, inputRows, meanOf, type RewardInputs } from './inputs.ts';
import type { RewardNetwork } from './network.ts';
import type { RewardOptions } from './options.ts';

/** [channels, height, width]. */
type Image = readonly [number, number, number];

const convolutions = [
  { channels: 16, kernel: 7, stride: 3 },
  { channels: 16, kernel: 5, stride: 2 },
  { channels: 16, kernel: 3, stride: 1 },
  { channels: 16, kernel: 3, stride: 1 },
];
const DENSE = 64;
/** The plane of the chosen action. With planes of 1, as bright as pixels, fits learned nothing: docs/lab/strangers.md. */
const PLANE = 0.05;

const leakyRelu = (x: Tensor): Tensor => maximum(x, mul(x, 0.01));

/** The `member`-th network of the ensemble. Output of `pixels` → [n, outputs]. */
export function imageRewardNetwork(
  member: number,
  image: Image,
  outputs: number,
  options: Pick<RewardOptions, 'lastGain' | 'dropout'>,
): RewardNetwork {
  const layers = layersFor(image);
  const trunk = cnn(`reward.${member}`, { input: image, layers, dense: DENSE, activation: leakyRelu });
  const head = mlp(`reward.${member}.head`, { sizes: [DENSE, outputs], last: orthogonal(options.lastGain) });
  const stream = member * (layers.length + 1);
  return {
    parameters: [...trunk.parameters, ...head.parameters],
    apply: (x, seed) =>
      head.apply(trunk.apply(x, (h, layer) => (seed ? dropout(h, options.dropout, seed, stream + layer) : h))),
  };
}

/**
 * Rows of `imageInputs` as images: [n, c·h·w + planes] → [n, c + planes, h, w]. Pixels are from 0 to 1. Beside them, each
 * number of the action fills a plane.
 */
export function pixels(x: Tensor, image: Image, planes = 0): Tensor {
  const n = x.shape[0];
  const [channels, height, width] = image;
  const size = channels * height * width;
  const scaled = (bytes: Tensor) => mul(cast(reshape(bytes, [n, ...image]), 'float32'), 1 / 255);
  if (planes === 0) return scaled(x);
  const action = mul(slice(x, 1, size, size + planes), PLANE);
  const filled = expand(reshape(action, [n, planes, 1, 1]), [n, planes, height, width]);
  return concat([scaled(slice(x, 1, 0, size)), filled], 1);
}

/**
 * The paper's layers, except those whose kernel is larger than what is left of the image (under 43 × 43); those of
 * `smallConvolutions` for a small image.
 */
function layersFor(image: Image): readonly ConvolutionLayer[] {
  if (isSmallImage(image)) return smallConvolutions;
  const [, height, width] = image;
  let side = Math.min(height, width);
  return convolutions.filter(({ kernel, stride }) => {
    if (side < kernel) return false;
    side = Math.floor((side - kernel) / stride) + 1;
    return true;
  });
}

/** A step's input is its observation, from 0 to 255; with an `actionSpace`, also the numbers of its action. */
export function imageInputs(size: number, actionSpace?: Space, rescaleActions = false): RewardInputs {
  const width = size + (actionSpace ? actionWidthOf(actionSpace) : 0);
  const writeAction = actionSpace && actionWriter(actionSpace, rescaleActions);
  const inputs: RewardInputs = {
    width,
    dtype: actionSpace ? 'float32' : 'uint8',
    scale: { mean: [], variance: [], changeVariance: [] },
    write({ observations, actions }, row, out, to) {
      out.set(observations.subarray(row * size, (row + 1) * size), to * width);
      writeAction?.(actions, row, out, to * width + size);
    },
    ofSegment: (segment) => (actionSpace ? inputRows(inputs, segment) : segment.observations),
    pointOf: (segment) => meanOf(inputs, segment),
  };
  return inputs;
}
