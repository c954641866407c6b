/** Whole small networks: every gradient against central differences, and ONNX Runtime's own API on the saved model. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import {
  type Build,
  type CheckOptions,
  checkGradient,
  evaluate,
  expectClose,
  type Inputs,
  numbers,
  of,
} from '../../test/support/gradients.ts';
import {
  add,
  constant,
  conv2d,
  exp,
  flatten,
  gather,
  gatherElements,
  gradients,
  greaterOrEqual,
  input,
  layerNorm,
  linear,
  logSoftmax,
  logSumExp,
  maskedMean,
  matmul,
  mean,
  mul,
  neg,
  relu,
  reshape,
  rmsNorm,
  type Shape,
  silu,
  slice,
  softmax,
  square,
  squeeze,
  stopGradient,
  sub,
  sum,
  type Tensor,
  tanh,
  trace,
  transpose,
  unsqueeze,
  Value,
  where,
} from './index.ts';

type Tensors = Record<string, Tensor>;

function mlp({ x, w1, b1, gain, shift, w2, b2, target }: Tensors): Tensor {
  const hidden = layerNorm(tanh(linear(x, w1, b1)), gain, shift);
  return mean(square(sub(linear(hidden, w2, b2), target)));
}
const mlpInputs: Inputs = {
  x: numbers([3, 4]),
  w1: numbers([5, 4], { seed: 1 }),
  b1: numbers([5], { seed: 2 }),
  gain: numbers([5], { seed: 3, low: 0.5, high: 1.5 }),
  shift: numbers([5], { seed: 4 }),
  w2: numbers([2, 5], { seed: 5 }),
  b2: numbers([2], { seed: 6 }),
  target: numbers([3, 2], { seed: 7 }),
};

function cnn({ x, k1, c1, k2, c2, w, b, labels }: Tensors): Tensor {
  const first = silu(conv2d(x, k1, c1, { stride: 2, padding: 1 }));
  const second = tanh(conv2d(first, k2, c2));
  const scores = logSoftmax(linear(flatten(second), w, b));
  return neg(mean(gatherElements(scores, unsqueeze(labels, 1), 1)));
}
const cnnInputs: Inputs = {
  x: numbers([2, 2, 6, 7]),
  k1: numbers([3, 2, 3, 3], { seed: 1 }),
  c1: numbers([3], { seed: 2 }),
  k2: numbers([2, 3, 2, 2], { seed: 3 }),
  c2: numbers([2], { seed: 4 }),
  w: numbers([3, 12], { seed: 5 }),
  b: numbers([3], { seed: 6 }),
  labels: of([2], [2, 0], 'int32'),
};

const [BATCH, TIME, HEADS, WIDTH, VOCABULARY] = [2, 3, 2, 4, 6];

/** One block of a decoder: embedding, causal attention and gated MLP with RMS norms and residuals, tied head, loss. */
function transformer(t: Tensors, graph = t.ids.graph): Tensor {
  const [batch, time] = t.ids.shape;
  const width = t.embedding.shape[1] as number;
  const size = width / HEADS;
  let x = gather(t.embedding, t.ids);
  const normal = rmsNorm(x, t.norm1, 1e-2);
  const heads = (weight: Tensor) =>
    transpose(reshape(linear(normal, weight), [batch, time, HEADS, size]), [0, 2, 1, 3]);
  const scores = matmul(heads(t.wq), heads(t.wk), { transposeB: true, scale: 1 / Math.sqrt(size) });
  const attention = softmax(where(t.causal, scores, -1e9));
  const mixed = transpose(matmul(attention, heads(t.wv)), [0, 2, 1, 3]);
  x = add(x, linear(reshape(mixed, [batch, time, width]), t.wo));
  const second = rmsNorm(x, t.norm2, 1e-2);
  x = add(x, linear(mul(silu(linear(second, t.gate)), linear(second, t.up)), t.down));
  const scored = logSoftmax(linear(rmsNorm(x, t.norm3, 1e-2), t.embedding));
  const picked = squeeze(gatherElements(scored, unsqueeze(t.labels, -1), -1), -1);
  return maskedMean(neg(picked), where(t.kept, constant(graph, [1], []), constant(graph, [0], [])));
}
const weight = (shape: number[], seed: number) => numbers(shape, { seed, low: -0.8, high: 0.8 });
const transformerInputs: Inputs = {
  ids: of([BATCH, TIME], [0, 5, 0, 2, 3, 3], 'int32'),
  labels: of([BATCH, TIME], [5, 0, 1, 3, 3, 4], 'int32'),
  kept: of([BATCH, TIME], [0, 1, 1, 1, 1, 0], 'bool'),
  causal: of([TIME, TIME], [1, 0, 0, 1, 1, 0, 1, 1, 1], 'bool'),
  embedding: weight([VOCABULARY, WIDTH], 1),
  norm1: numbers([WIDTH], { seed: 2, low: 0.5, high: 1.5 }),
  norm2: numbers([WIDTH], { seed: 3, low: 0.5, high: 1.5 }),
  norm3: numbers([WIDTH], { seed: 4, low: 0.5, high: 1.5 }),
  wq: weight([WIDTH, WIDTH], 5),
  wk: weight([WIDTH, WIDTH], 6),
  wv: weight([WIDTH, WIDTH], 7),
  wo: weight([WIDTH, WIDTH], 8),
  gate: weight([5, WIDTH], 9),
  up: weight([5, WIDTH], 10),
  down: weight([WIDTH, 5], 11),
};

const networks: [string, Build, Inputs, CheckOptions][] = [
  ['MLP', mlp, mlpInputs, {}],
  ['CNN', cnn, cnnInputs, { symbols: false }],
  ['transformer block', transformer, transformerInputs, { symbols: false, step: 0.008 }],
];

it.each(networks)('every gradient of a whole %s', (_name, build, inputs, options) => {
  expect(checkGradient(build, inputs, { ...options, tolerance: 2e-4 })).toBeLessThan(2e-4);
});

it('a transformer block of symbolic batch and time, one program for all sizes', () => {
  const traced = (shape: (size: readonly number[], name: string) => Shape, dims?: Record<string, number>) =>
    trace(
      (g) => {
        const tensors = Object.fromEntries(
          Object.entries(transformerInputs).map(([name, v]) => [name, input(g, name, shape(v.shape, name), v.dtype)]),
        );
        const loss = transformer(tensors);
        return { loss, d: gradients(loss, [tensors.embedding])[0] };
      },
      { dims },
    );
  const free: Record<string, Shape> = {
    ids: ['batch', 'time'],
    labels: ['batch', 'time'],
    kept: ['batch', 'time'],
    causal: ['time', 'time'],
  };
  const symbolic = (shape: readonly number[], name: string) => free[name] ?? shape;
  const programs = [
    traced((shape) => shape),
    traced(symbolic),
    traced(symbolic, { batch: BATCH, time: TIME }),
    traced(symbolic, { time: TIME }),
  ];
  const values = Object.fromEntries(
    Object.entries(transformerInputs).map(([name, v]) => [name, Value.of(v.dtype ?? 'float32', v.shape, v.data)]),
  );
  const [fixed, ...others] = programs.map((p) => p.run(values));
  for (const other of others) {
    expectClose(other.loss as Float32Array, fixed.loss as Float32Array, 1e-6);
    expectClose(other.d as Float32Array, fixed.d as Float32Array, 1e-6);
  }
  // A batch of the same rows twice has the same mean loss; one row of one time has a shape of its own.
  const twice = (v: Value) => Value.of(v.dtype, [2 * v.shape[0], v.shape[1]], [...v.data, ...v.data].map(Number));
  const doubled = { ...values, ids: twice(values.ids), labels: twice(values.labels), kept: twice(values.kept) };
  expectClose(programs[1].run(doubled).loss as Float32Array, fixed.loss as Float32Array, 1e-6);
  for (const name of ['ids', 'labels', 'kept'] as const) doubled[name][Symbol.dispose]();
  for (const v of Object.values(values)) v[Symbol.dispose]();
  for (const p of programs) p[Symbol.dispose]();
});

/** A policy's loss and its Fisher–vector product (a gradient of a gradient), as TRPO asks for it. */
it('a Fisher-vector product of a policy', () => {
  const product = ({ x, w, b, vw, vb }: Tensors) => {
    const scores = logSoftmax(linear(tanh(x), w, b));
    const fixed = stopGradient(scores);
    const kl = mean(sum(mul(exp(fixed), sub(fixed, scores)), { axes: [-1] }));
    const [dw, db] = gradients(kl, [w, b]);
    const along = add(sum(mul(dw, vw)), sum(mul(db, vb)));
    return { hw: gradients(along, [w, b])[0], scores };
  };
  const inputs: Inputs = {
    x: numbers([4, 3]),
    w: numbers([2, 3], { seed: 1 }),
    b: numbers([2], { seed: 2 }),
    vw: numbers([2, 3], { seed: 3 }),
    vb: numbers([2], { seed: 4 }),
  };
  // F = E[(diag p − p pᵀ) ⊗ x xᵀ], x with a 1 for the bias
  const expected = new Float64Array(6);
  const { x, w, b, vw, vb } = Object.fromEntries(Object.entries(inputs).map(([k, v]) => [k, v.data]));
  for (let i = 0; i < 4; i++) {
    const row = [0, 1, 2].map((k) => Math.tanh(x[i * 3 + k]));
    const logits = [0, 1].map((o) => row.reduce((s, v, k) => s + v * w[o * 3 + k], b[o]));
    const total = logits.reduce((s, v) => s + Math.exp(v), 0);
    const p = logits.map((v) => Math.exp(v) / total);
    const u = [0, 1].map((o) => row.reduce((s, v, k) => s + v * vw[o * 3 + k], vb[o]));
    const center = p[0] * u[0] + p[1] * u[1];
    for (let o = 0; o < 2; o++)
      for (let k = 0; k < 3; k++) expected[o * 3 + k] += (p[o] * (u[o] - center) * row[k]) / 4;
  }
  for (const symbols of [false, true])
    expectClose(
      evaluate((t) => product(t).hw, inputs, symbols),
      expected,
      1e-5,
    );
});

describe('losses of the reference implementation', () => {
  const fixture = JSON.parse(readFileSync(new URL('../../test/fixtures/losses/misc.json', import.meta.url), 'utf8'));
  const { logits, labels } = fixture.dft as { logits: number[][][]; labels: number[][] };
  const [batch, time, vocabulary] = [logits.length, logits[0].length, logits[0][0].length];
  const flat = (values: unknown[]) => values.flat(3) as number[];
  const inputs: Inputs = {
    logits: of([batch, time, vocabulary], flat(logits)),
    ids: of([batch, time], flat(fixture.selective_log_softmax.ids), 'int64'),
    labels: of([batch, time], flat(labels), 'int64'),
  };
  const selected = (scores: Tensor, ids: Tensor) =>
    squeeze(gatherElements(logSoftmax(scores), unsqueeze(ids, -1), -1), -1);

  /** Position t predicts label t + 1; a label of −100 counts for nothing. */
  function labeled({ logits, labels, ids }: Tensors) {
    const [from, to] = [0, labels.shape[1]];
    const picked = selected(slice(logits, 1, from, -1), slice(ids, 1, 1, to));
    const mask = where(greaterOrEqual(slice(labels, 1, 1, to), 0), constant(ids.graph, [1], []), 0);
    return { picked, mask };
  }

  const nll = (t: Tensors) => {
    const { picked, mask } = labeled(t);
    return maskedMean(neg(picked), mask);
  };
  /** Each term weighted by its own probability, held fixed (dynamic fine-tuning). */
  const dft = (t: Tensors) => {
    const { picked, mask } = labeled(t);
    return maskedMean(mul(stopGradient(exp(picked)), neg(picked)), mask);
  };
  for (const [name, loss] of Object.entries({ nll, dft })) {
    it(`${name}, value and gradient`, () => {
      for (const symbols of [false, true]) {
        expectClose(evaluate(loss, inputs, symbols), [fixture[name].loss], 1e-6, name);
        const gradient = (t: Tensors) => gradients(loss(t), [t.logits])[0];
        expectClose(evaluate(gradient, inputs, symbols), flat(fixture[name].grad), 1e-6, `${name}, gradient`);
      }
    });
  }
  it('entropy', () => {
    const entropy = ({ logits }: Tensors) =>
      sub(logSumExp(logits, { axes: [-1] }), sum(mul(softmax(logits), logits), { axes: [-1] }));
    expectClose(evaluate(entropy, inputs), flat(fixture.entropy), 2e-6);
    checkGradient(entropy, { logits: inputs.logits });
  });
  it('selective log-softmax', () => {
    const build = ({ logits, ids }: Tensors) => selected(logits, ids);
    expectClose(evaluate(build, inputs), flat(fixture.selective_log_softmax.out), 2e-6);
    checkGradient(build, { logits: inputs.logits, ids: inputs.ids });
  });
});

describe("ONNX Runtime's own API runs the saved model", () => {
  async function agrees(build: (t: Tensors) => Record<string, Tensor>, inputs: Inputs) {
    const p = trace((g) =>
      build(Object.fromEntries(Object.entries(inputs).map(([name, v]) => [name, input(g, name, v.shape, v.dtype)]))),
    );
    const folder = mkdtempSync(join(tmpdir(), 'heed-model-'));
    try {
      const path = join(folder, 'model.onnx');
      writeFileSync(path, p.model);
      const session = await ort.InferenceSession.create(path, { logSeverityLevel: 3 });
      const feeds = Object.fromEntries(
        p.inputs.map(({ name, dtype, shape }) => {
          const { data } = inputs[name];
          const typed = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[dtype as 'float32'];
          return [name, new ort.Tensor(dtype as 'float32', typed.from(data), shape as number[])];
        }),
      );
      const theirs = await session.run(feeds);
      const ours = p.run(Object.fromEntries(p.inputs.map(({ name }) => [name, inputs[name].data])));
      expect(Object.keys(theirs).sort()).toEqual(Object.keys(ours).sort());
      for (const [name, values] of Object.entries(ours)) {
        expectClose(theirs[name].data as Float32Array, values as Float32Array, 1e-6, name);
      }
      await session.release();
    } finally {
      rmSync(folder, { recursive: true });
      p[Symbol.dispose]();
    }
  }

  it('an MLP, forward', async () => {
    await agrees(({ x, w1, b1, w2, b2 }) => ({ y: linear(relu(linear(x, w1, b1)), w2, b2) }), mlpInputs);
  });
  it('a transformer block, forward and backward', async () => {
    await agrees((t) => {
      const loss = transformer(t);
      const names = Object.keys(transformerInputs).filter((name) => !transformerInputs[name].dtype);
      const found = gradients(
        loss,
        names.map((name) => t[name]),
      );
      return { loss, ...Object.fromEntries(found.map((d, i) => [`d_${names[i]}`, d])) };
    }, transformerInputs);
  });
});
