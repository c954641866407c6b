/** Softmax and the layer norms, by ONNX Runtime's fused operators. */
import { HeedError } from '../../error.ts';
import { sameShape } from '../dims.ts';
import { describe, emit, emitMany, type Tensor } from '../graph.ts';
import { exp, mul, sub, sumTo } from './elementwise.ts';
import { mean, sum } from './reduce.ts';

/** Softmax along the last axis. */
export function softmax(x: Tensor): Tensor {
  const y: Tensor = emit('Softmax', [x], x.shape, {
    attributes: { axis: -1 },
    vjp: (dy) => {
      const weighted = mul(dy, y);
      return [sub(weighted, mul(y, sum(weighted, { axes: [-1], keepDims: true })))];
    },
  });
  return y;
}

/** Log-softmax along the last axis. */
export function logSoftmax(x: Tensor): Tensor {
  const y: Tensor = emit('LogSoftmax', [x], x.shape, {
    attributes: { axis: -1 },
    vjp: (dy) => [sub(dy, mul(exp(y), sum(dy, { axes: [-1], keepDims: true })))],
  });
  return y;
}

function checkWidth(op: string, x: Tensor, weight: Tensor) {
  if (x.shape.length < 1 || !sameShape(weight.shape, x.shape.slice(-1))) {
    throw new HeedError(`${op}: the weight ${describe(weight)} does not fit ${describe(x)}`);
  }
}

/** Layer norm over the last axis: (x − mean)/√(variance + ε)·weight + bias (Ba et al. 2016). */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon = 1e-5): Tensor {
  checkWidth('layerNorm', x, weight);
  const statistic = { shape: [...x.shape.slice(0, -1), 1] };
  const [y, centre, inverse]: Tensor[] = emitMany(
    'LayerNormalization',
    [x, weight, bias],
    [{ shape: x.shape }, statistic, statistic],
    {
      attributes: { axis: -1, epsilon: { float: epsilon } },
      vjp: ([dy]) => {
        const normal = mul(sub(x, centre), inverse);
        const scaled = mul(dy!, weight);
        const along = mean(mul(scaled, normal), { axes: [-1], keepDims: true });
        const dx = mul(sub(sub(scaled, mean(scaled, { axes: [-1], keepDims: true })), mul(normal, along)), inverse);
        return [dx, sumTo(mul(dy!, normal), weight.shape), sumTo(dy!, bias.shape)];
      },
    },
  );
  return y;
}

/** RMS norm over the last axis: x/√(mean x² + ε)·weight (Zhang & Sennrich 2019). */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon = 1e-6): Tensor {
  checkWidth('rmsNorm', x, weight);
  const statistic = { shape: [...x.shape.slice(0, -1), 1] };
  const [y, inverse]: Tensor[] = emitMany(
    'SimplifiedLayerNormalization',
    [x, weight],
    [{ shape: x.shape }, statistic],
    {
      attributes: { axis: -1, epsilon: { float: epsilon }, stash_type: 1 },
      vjp: ([dy]) => {
        const normal = mul(x, inverse);
        const scaled = mul(dy!, weight);
        const along = mean(mul(scaled, normal), { axes: [-1], keepDims: true });
        return [mul(sub(scaled, mul(normal, along)), inverse), sumTo(mul(dy!, normal), weight.shape)];
      },
    },
  );
  return y;
}
