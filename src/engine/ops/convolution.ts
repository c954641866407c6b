/** Two-dimensional convolution, images as [batch, channels, height, width]. */
import { HeedError } from '../../error.ts';
import { type Dim, product } from '../dims.ts';
import { checkDtypes, describe, emit, type Tensor } from '../graph.ts';
import { sum } from './reduce.ts';
import { reshape, slice, transpose } from './shape.ts';

/** x [n, in, h, w], weight [out, in, kh, kw], bias [out] → [n, out, (h + 2·padding − kh)/stride + 1, …]. */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: { stride?: number; padding?: number } = {},
): Tensor {
  const { stride = 1, padding = 0 } = options;
  checkDtypes('conv2d', 'float', x, weight, bias);
  const [n, inner, h, w] = x.shape;
  const [out, inner2, kh, kw] = weight.shape as number[];
  if (x.shape.length !== 4 || weight.shape.length !== 4 || inner !== inner2) {
    throw new HeedError(`conv2d: ${describe(x)} does not fit the weight ${describe(weight)}`, {
      hint: 'images are [batch, channels, height, width], weights [out, in, height, width]',
    });
  }
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== out)) {
    throw new HeedError(`conv2d: the bias ${describe(bias)} does not fit the weight ${describe(weight)}`);
  }
  if (!Number.isInteger(stride) || stride < 1 || !Number.isInteger(padding) || padding < 0) {
    throw new HeedError(`conv2d: stride ${stride}, padding ${padding} for ${describe(x)}`, {
      hint: 'the stride is a whole number from 1, the padding one from 0',
    });
  }
  if (typeof h !== 'number' || typeof w !== 'number')
    throw new HeedError(`conv2d: ${describe(x)} needs a fixed height and width`);
  const size = (s: number, k: number) => Math.floor((s + 2 * padding - k) / stride) + 1;
  const shape: Dim[] = [n, out, size(h, kh), size(w, kw)];
  if (size(h, kh) < 1 || size(w, kw) < 1)
    throw new HeedError(`conv2d: ${describe(weight)} is larger than ${describe(x)}`);
  const pads = [padding, padding, padding, padding];
  const strides = [stride, stride];
  return emit('Conv', bias ? [x, weight, bias] : [x, weight], shape, {
    attributes: { strides, pads, kernel_shape: [kh, kw] },
    vjp: (dy) => {
      // Pixels that the strides leave over at the far edge get no gradient, but have a place.
      const left = [h, w].map((s, i) => (s + 2 * padding - [kh, kw][i]) % stride);
      const dx = emit('ConvTranspose', [dy, weight], x.shape, {
        attributes: { strides, pads, kernel_shape: [kh, kw], output_padding: left },
      });
      // dW is a convolution too: channels take the batch's place, and strides become dilations.
      const [oh, ow] = shape.slice(2) as number[];
      const wide = [kh + left[0], kw + left[1]];
      const dwWide = emit('Conv', [transpose(x, [1, 0, 2, 3]), transpose(dy, [1, 0, 2, 3])], [inner, out, ...wide], {
        attributes: { dilations: strides, pads, kernel_shape: [oh, ow] },
      });
      const dw = transpose(slice(slice(dwWide, 2, 0, kh), 3, 0, kw), [1, 0, 2, 3]);
      return [dx, dw, bias && sum(dy, { axes: [0, 2, 3] })];
    },
  });
}

/** [n, c, h, w] → [n, c·h·w]. */
export const flatten = (x: Tensor): Tensor => reshape(x, [x.shape[0], product(x.shape.slice(1))]);
