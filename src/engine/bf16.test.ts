import { describe, expect, it } from 'vitest';
import { random } from '../random.ts';
import { device } from './device.ts';
import type { Precision } from './dtype.ts';
import { checkpoint, gradients } from './gradient.ts';
import { createGraph, type Graph, input, type Tensor } from './graph.ts';
import { libraryPath } from './library.ts';
import { BF16_ACTIVATIONS } from './onednn/activations.ts';
import { loadOneDnn } from './onednn/library.ts';
import { attention } from './ops/attention.ts';
import { bf16Activated, isBf16Pass, narrowed } from './ops/bf16.ts';
import { gelu, geluTanh, mul, silu, square } from './ops/elementwise.ts';
import { linear, matmul } from './ops/matmul.ts';
import { mean } from './ops/reduce.ts';
import { resolvePrecision } from './precision.ts';
import { trace } from './program.ts';
import { runtime } from './runtime/current.ts';
import { Value } from './value.ts';

const support = runtime().bf16!();

/** A loss over two layers, and all its gradients. Every product is large enough. */
function twoLayers(g: Graph, layer: (build: () => Tensor) => Tensor = (build) => build()) {
  const [x, w, b, v] = [
    input(g, 'x', [192, 256]),
    input(g, 'w', [384, 256]),
    input(g, 'b', [384]),
    input(g, 'v', [384, 200]),
  ];
  const y = matmul(
    layer(() => linear(x, w, b)),
    v,
  );
  const loss = mean(square(y));
  const [dx, dw, db, dv] = gradients(loss, [x, w, b, v]);
  return { loss, y, dx, dw, db, dv };
}

const relativeError = (got: Float32Array, wanted: Float32Array) =>
  Math.sqrt(
    wanted.reduce((sum, value, i) => sum + (value - got[i]) ** 2, 0) / wanted.reduce((sum, v) => sum + v * v, 0),
  );

const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);
const count = (g: Graph, op: string) => g.nodes.filter((node) => node.op === op).length;

describe('the graph', () => {
  it('copies each matrix once, for the forward and the backward pass', () => {
    const g = createGraph({}, 'bf16');
    twoLayers(g);
    expect(count(g, 'Bf16Product') + count(g, 'Bf16ProductAndBias')).toBe(6);
    expect(count(g, 'ToBf16')).toBe(6); // x, w, v, what is between the layers, and two cotangents
  });

  it('keeps small products, unknown sizes and other precisions in float32', () => {
    const own = (g: Graph) => g.nodes.filter(({ domain }) => domain === 'heed').length;
    const fp32 = createGraph();
    twoLayers(fp32);
    expect(own(fp32)).toBe(0);
    const g = createGraph({}, 'bf16');
    matmul(input(g, 'small', [64, 64]), input(g, 'square', [64, 64]));
    matmul(input(g, 'rows', ['n', 512]), input(g, 'wide', [512, 512]));
    matmul(input(g, 'row', [1, 4096]), input(g, 'tall', [4096, 4096]));
    expect(own(g)).toBe(0);
  });
});

describe.skipIf(!support.works)(
  `products of bfloat16 (${support.missing ?? support.library}) (needs bfloat16 on the CPU)`,
  () => {
    const draws = random(0, 'bf16');
    const normal = (size: number) => Float32Array.from({ length: size }, () => draws.normal());
    const values = { x: normal(192 * 256), w: normal(384 * 256), b: normal(384), v: normal(384 * 200) };
    const run = (precision: Precision, layer?: (g: Graph) => (build: () => Tensor) => Tensor) =>
      trace((g) => twoLayers(g, layer?.(g)), { precision }).run(values) as Record<string, Float32Array>;

    it('gives float32 results and gradients within the rounding of bfloat16', () => {
      const [exact, rounded] = [run('fp32'), run('bf16')];
      for (const name of Object.keys(exact)) {
        const [a, b] = [exact[name], rounded[name]];
        const norm = Math.hypot(...a.subarray(0, 20_000));
        const error = Math.hypot(...a.subarray(0, 20_000).map((value, i) => value - b[i]));
        expect(error / norm, name).toBeLessThan(2 ** -7); // bfloat16 rounds to 2⁻⁹; two products, one after another
        if (name !== 'loss') expect(error, name).toBeGreaterThan(0);
      }
    });

    it('repeats bit for bit, and recomputes layers to the same gradients', () => {
      const once = run('bf16');
      const [again, recomputed] = [run('bf16'), run('bf16', (g) => (build) => checkpoint(g, build))];
      for (const name of Object.keys(once)) {
        expect(bytes(again[name]).equals(bytes(once[name])), name).toBe(true);
        expect(bytes(recomputed[name]).equals(bytes(once[name])), name).toBe(true);
      }
    });

    it('runs in another thread too', async () => {
      const program = trace((g) => ({ loss: twoLayers(g).loss }), { precision: 'bf16' });
      const inputs = Object.fromEntries(
        program.inputs.map(({ name, shape }) => [name, Value.of('float32', shape as number[], values[name as 'x'])]),
      );
      const loss = new Value('float32', []);
      await program.bind(inputs, { loss }).runAsync();
      expect(loss.item()).toBe(run('bf16').loss[0]);
    });

    /** Checks that a program's results in bf16 are those of fp32 within rounding; returns its graph. */
    const agreeing = (build: (g: Graph) => Record<string, Tensor>, inputs: Record<string, Float32Array>) => {
      const [exact, rounded] = (['fp32', 'bf16'] as const).map(
        (precision) => trace(build, { precision }).run(inputs) as Record<string, Float32Array>,
      );
      for (const name of Object.keys(exact))
        expect(relativeError(rounded[name], exact[name]), name).toBeLessThan(2 ** -6);
      const g = createGraph({}, 'bf16');
      build(g);
      return g;
    };

    it.each(BF16_ACTIVATIONS)('keeps a gated %s and its gradient within the rounding of bfloat16', (kind) => {
      const activation = { silu, gelu, geluTanh }[kind];
      const build = (g: Graph) => {
        const [x, w, v, d] = [
          input(g, 'x', [192, 256]),
          input(g, 'w', [384, 256]),
          input(g, 'v', [384, 256]),
          input(g, 'd', [256, 384]),
        ];
        const [up, gate] = [w, v].map((weight) => linear(x, weight)).map((y) => (isBf16Pass(y) ? narrowed(y) : y));
        expect(up.dtype).toBe(g.precision === 'bf16' ? 'bfloat16' : 'float32');
        const between = () => (up.dtype === 'bfloat16' ? bf16Activated(kind, up, gate) : mul(activation(gate), up));
        const y = checkpoint(g, () => linear(between(), d));
        const [dx, dw, dv, dd] = gradients(mean(square(y)), [x, w, v, d]);
        return { y, dx, dw, dv, dd };
      };
      const weights = { x: values.x, w: values.w, v: normal(384 * 256), d: normal(256 * 384) };
      const g = agreeing(build, weights);
      expect(count(g, 'ToBf16')).toBe(6); // x, w, v, d twice (it is recomputed) and the cotangent of y: nothing between is float32
    });

    it.each([
      [256, undefined],
      [256, 20],
      [257, undefined], // a last block of one token
    ])('gives causal attention of %i tokens and its gradients in blocks, soft cap %s', (time, softCap) => {
      const sizes = { heads: 4, keyValueHeads: 2 };
      const build = (g: Graph) => {
        const q = input(g, 'q', [2, time, 4 * 64]);
        const [k, v] = ['k', 'v'].map((name) => input(g, name, [2, time, 2 * 64]));
        const y = attention(q, k, v, input(g, 'mask', [1, 1, time, time]), { ...sizes, causal: true, softCap });
        const [dq, dk, dv] = gradients(mean(square(y)), [q, k, v]);
        return { y, dq, dk, dv };
      };
      const mask = Float32Array.from({ length: time * time }, (_, i) => (i % time > Math.floor(i / time) ? -1e30 : 0));
      const inputs = { q: normal(2 * time * 256), k: normal(2 * time * 128), v: normal(2 * time * 128), mask };
      const g = agreeing(build, inputs);
      if (time === 256) expect(count(g, 'FusedMatMul') + count(g, 'MatMul')).toBe(0);
    });

    it('is what auto means for a wide model, not for a narrow one', () => {
      expect(resolvePrecision('auto', 576)).toBe('bf16');
      expect(resolvePrecision('auto', 64)).toBe('fp32');
      expect(resolvePrecision('bf16', 64)).toBe('bf16');
    });
  },
);

describe('the precision', () => {
  it('is fp32 where that is asked', () => expect(resolvePrecision('fp32', 4096)).toBe('fp32'));

  it.skipIf(support.works || device() !== 'cpu')('says what bf16 lacks on this machine', () => {
    expect(resolvePrecision('auto', 4096)).toBe('fp32');
    expect(() => resolvePrecision('bf16', 4096)).toThrow(/precision bf16: .*(oneDNN is not installed|AVX-512 BF16)/);
  });
});

describe('a library that is not oneDNN', () => {
  it('is an error that names the file and how to install it', () => {
    expect(() => loadOneDnn('/no/such/libdnnl.so', 1)).toThrow(/cannot load "\/no\/such\/libdnnl.so"/);
    expect(() => loadOneDnn(libraryPath(), 1)).toThrow(/is not oneDNN: it has no dnnl_version/);
  });
});
