/** Convolutional trunks for images. */

import { input, type Tensor } from '../engine/graph.ts';
import { conv2d, flatten } from '../engine/ops/convolution.ts';
import { relu } from '../engine/ops/elementwise.ts';
import { linear } from '../engine/ops/matmul.ts';
import { HeedError } from '../error.ts';
import { type Initialize, orthogonal, zeros } from './initialize.ts';
import type { Network } from './mlp.ts';

/** One convolution. */
export interface ConvolutionLayer {
  /** Number of output channels. */
  channels: number;
  /** Height and width of the kernel. */
  kernel: number;
  /** Pixels between one place of the kernel and the next; 1 by default. */
  stride?: number;
  /** Zeros around the image on each side; 0 by default. */
  padding?: number;
}

/** Architecture of a convolutional trunk. */
export interface CnnOptions {
  /** [channels, height, width] of an image. */
  input: readonly [number, number, number];
  /** The convolutions, in order. */
  layers: readonly ConvolutionLayer[];
  /** Width of the fully connected layer after the convolutions. */
  dense: number;
  /** Initial weights; orthogonal with gain √2 by default. Biases start at 0. */
  initialize?: Initialize;
  /** Applied after each layer; ReLU by default. */
  activation?: (x: Tensor) => Tensor;
}

interface Cnn extends Network {
  /** `between` maps the output of each layer, counted from 0, as dropout does. */
  apply(x: Tensor, between?: (features: Tensor, layer: number) => Tensor): Tensor;
}

const unchanged = (features: Tensor): Tensor => features;

/**
 * Convolutions and one fully connected layer, each followed by an activation: [n, c, h, w] → [n, dense].
 *
 * @param name - Its parameters are `${name}.0.weight` [out, in, h, w], `${name}.0.bias` [out] and so on.
 * @throws HeedError where an image becomes smaller than a kernel.
 */
export function cnn(name: string, options: CnnOptions): Cnn {
  const { layers, dense, initialize = orthogonal(Math.SQRT2), activation = relu } = options;
  let [channels, height, width] = options.input;
  const convolutions = layers.map(({ channels: out, kernel, stride = 1, padding = 0 }, i) => {
    const shape = [out, channels, kernel, kernel];
    const size = (s: number) => Math.floor((s + 2 * padding - kernel) / stride) + 1;
    [channels, height, width] = [out, size(height), size(width)];
    if (height < 1 || width < 1) {
      throw new HeedError(`layer ${i} of "${name}": a kernel of ${kernel}×${kernel} is larger than its image`, {
        hint: `images are [${options.input}]: use larger ones, or fewer layers`,
      });
    }
    return { weight: `${name}.${i}.weight`, bias: `${name}.${i}.bias`, shape, stride, padding };
  });
  const last = {
    weight: `${name}.${layers.length}.weight`,
    bias: `${name}.${layers.length}.bias`,
    shape: [dense, channels * height * width],
  };
  const parametersOf = (x: Tensor, { weight, bias, shape }: typeof last): [Tensor, Tensor] => [
    input(x.graph, weight, shape),
    input(x.graph, bias, [shape[0]]),
  ];
  return {
    parameters: [...convolutions, last].flatMap(({ weight, bias, shape }) => [
      { name: weight, shape, initialize },
      { name: bias, shape: [shape[0]], initialize: zeros },
    ]),
    apply: (x, between = unchanged) => {
      const features = convolutions.reduce(
        (h, layer, i) => between(activation(conv2d(h, ...parametersOf(x, layer), layer)), i),
        x,
      );
      return between(activation(linear(flatten(features), ...parametersOf(x, last))), layers.length);
    },
  };
}

/** Images whose shorter side has fewer pixels are small: the kernels of `natureCnn` do not fit. */
const SMALL = 36;

/** Convolutions for small images, such as the picture of a grid: 16 3×3 kernels, and 32 that halve the image. */
export const smallConvolutions: readonly ConvolutionLayer[] = [
  { channels: 16, kernel: 3, padding: 1 },
  { channels: 32, kernel: 3, padding: 1, stride: 2 },
];

/** Whether an image [channels, height, width] is too small for `natureCnn`. */
export const isSmallImage = ([, height, width]: readonly [number, number, number]): boolean =>
  Math.min(height, width) < SMALL;

/** The trunk for images of any size, scaled to [0, 1]: `natureCnn`, or `smallConvolutions` and 128 units. */
export const imageCnn = (name: string, image: readonly [number, number, number]): Network =>
  isSmallImage(image) ? cnn(name, { input: image, layers: smallConvolutions, dense: 128 }) : natureCnn(name, image);

/**
 * The trunk of Mnih et al. 2015 (Nature 518, Methods): 32 8×8 kernels with stride 4, 64 4×4 with stride 2, 64 3×3 with
 * stride 1, 512 units. For images of 36 × 36 and more, scaled to [0, 1]; the paper's are [4, 84, 84].
 */
export const natureCnn = (name: string, image: readonly [number, number, number]): Network =>
  cnn(name, {
    input: image,
    layers: [
      { channels: 32, kernel: 8, stride: 4 },
      { channels: 64, kernel: 4, stride: 2 },
      { channels: 64, kernel: 3 },
    ],
    dense: 512,
  });
