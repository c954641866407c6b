/**
 * Optimisers over an arena of parameters and one of gradients, updated in place by a traced program, chunk by chunk so
 * that what the update makes in between stays in the cache. PyTorch's definitions.
 */
import { add, allocate, div, input, mul, sqrt, square, sub, sum, type Tensor, trace, Value } from '../engine/index.ts';
import { HeedError } from '../error.ts';
import type { Arena } from './parameters.ts';

export type OptimizerOptions = {
  /** Gradients are scaled so that their global norm is at most this. */
  maxGradientNorm?: number;
  /** Decoupled for AdamW, added to the gradient (L2) for the others. */
  weightDecay?: number;
} & (
  | { kind: 'sgd'; momentum?: number; nesterov?: boolean }
  | { kind: 'adam' | 'adamw'; betas?: readonly [number, number]; epsilon?: number }
);

export interface Optimizer {
  /** Clips and applies the gradients at a learning rate; gives their global norm before clipping. */
  step(learningRate: number): number;
  /** Steps taken, and moments by name; plain data to save. */
  readonly state: { steps: number; readonly moments: Readonly<Record<string, Float32Array>> };
  release(): void;
}

const CHUNK = 1 << 16; // floats: with its moments, and what is made in between, it fits a second-level cache

export function createOptimizer(parameters: Arena, gradients: Arena, options: OptimizerOptions): Optimizer {
  const { maxGradientNorm = Number.POSITIVE_INFINITY, weightDecay = 0 } = options;
  const rule = options.kind === 'sgd' ? sgd(options, weightDecay) : adam(options, weightDecay);
  const length = parameters.flat.length;
  const moments = Object.fromEntries(rule.moments.map((name) => [name, allocate('float32', length)]));
  const scalars = Object.fromEntries(rule.scalars.map((name) => [name, new Value('float32', [])]));
  const squares = new Value('float32', []);

  const owned: { release(): void }[] = [...Object.values(scalars), squares];
  const own = <T extends { release(): void }>(thing: T): T => {
    owned.push(thing);
    return thing;
  };
  const update = own(
    trace((g) => {
      const of = (name: string) => input(g, name, ['n']);
      const scalar = (name: string) => input(g, name, []);
      return rule.update(of, scalar);
    }),
  );
  const norm = own(trace((g) => ({ squares: sum(square(input(g, 'gradient', ['n']))) })));
  const chunks = Array.from({ length: Math.ceil(length / CHUNK) }, (_, i) => {
    const [start, end] = [i * CHUNK, Math.min(length, (i + 1) * CHUNK)];
    const part = (flat: Float32Array<ArrayBuffer>) =>
      own(new Value('float32', [end - start], flat.subarray(start, end)));
    const gradient = part(gradients.flat);
    const state = { parameter: part(parameters.flat) } as Record<string, Value>;
    for (const [name, flat] of Object.entries(moments)) state[name] = part(flat);
    const next = Object.fromEntries(Object.entries(state).map(([name, value]) => [`next_${name}`, value]));
    return {
      update: own(update.bind({ gradient, ...state, ...scalars }, next)),
      norm: own(norm.bind({ gradient }, { squares })),
    };
  });
  const state = { steps: 0, moments };
  return {
    state,
    step(learningRate) {
      let total = 0;
      for (const chunk of chunks) {
        chunk.norm.run();
        total += squares.data[0];
      }
      const gradientNorm = Math.sqrt(total);
      if (!Number.isFinite(gradientNorm)) throw nonFinite(gradients);
      state.steps++;
      const clip = Math.min(1, maxGradientNorm / (gradientNorm + 1e-6));
      const values = rule.values(learningRate, clip, state.steps);
      for (const [name, value] of Object.entries(values)) scalars[name].data[0] = value;
      for (const chunk of chunks) chunk.update.run();
      return gradientNorm;
    },
    release: () => {
      for (const thing of owned.reverse()) thing.release();
    },
  };
}

/** Names the first gradient that is not finite. */
function nonFinite(gradients: Arena): HeedError {
  const bad = gradients.specs.find(({ name }) => !gradients.values[name].data.every(Number.isFinite));
  return new HeedError(`the gradient of "${bad?.name ?? 'a sum too large for float32'}" is not finite`, {
    hint: 'lower the learning rate, or clip the gradient; the last checkpoint is as it was',
  });
}

interface Rule {
  moments: string[];
  /** Numbers that change from step to step. */
  scalars: string[];
  values(learningRate: number, clip: number, step: number): Record<string, number>;
  update(of: (name: string) => Tensor, scalar: (name: string) => Tensor): Record<string, Tensor>;
}

/**
 * Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019). The bias corrections are folded into the rate and ε:
 * lr/c₁·m / (√v/√c₂ + ε) = (lr·√c₂/c₁)·m / (√v + ε·√c₂).
 */
function adam(options: Extract<OptimizerOptions, { kind: 'adam' | 'adamw' }>, weightDecay: number): Rule {
  const { betas: [b1, b2] = [0.9, 0.999], epsilon = 1e-8, kind } = options;
  const decoupled = kind === 'adamw' && weightDecay !== 0;
  const coupled = kind === 'adam' && weightDecay !== 0;
  return {
    moments: ['m', 'v'],
    scalars: ['rate', 'epsilon', ...(coupled ? ['clip'] : ['first', 'second']), ...(decoupled ? ['keep'] : [])],
    values(learningRate, clip, step) {
      const c1 = 1 - b1 ** step;
      const root = Math.sqrt(1 - b2 ** step);
      return {
        rate: (learningRate * root) / c1,
        epsilon: epsilon * root,
        ...(coupled ? { clip } : { first: (1 - b1) * clip, second: (1 - b2) * clip * clip }),
        ...(decoupled ? { keep: 1 - learningRate * weightDecay } : {}),
      };
    },
    update(of, scalar) {
      const p = of('parameter');
      const raw = of('gradient');
      const g = coupled ? add(mul(raw, scalar('clip')), mul(p, weightDecay)) : raw;
      const m = add(mul(of('m'), b1), mul(g, coupled ? 1 - b1 : scalar('first')));
      const v = add(mul(of('v'), b2), mul(square(g), coupled ? 1 - b2 : scalar('second')));
      const step = mul(div(m, add(sqrt(v), scalar('epsilon'))), scalar('rate'));
      return { next_parameter: sub(decoupled ? mul(p, scalar('keep')) : p, step), next_m: m, next_v: v };
    },
  };
}

/** Stochastic gradient descent, with momentum where asked (Sutskever et al. 2013). */
function sgd(options: Extract<OptimizerOptions, { kind: 'sgd' }>, weightDecay: number): Rule {
  const { momentum = 0, nesterov = false } = options;
  return {
    moments: momentum === 0 ? [] : ['momentum'],
    scalars: ['rate', 'clip'],
    values: (rate, clip) => ({ rate, clip }),
    update(of, scalar): Record<string, Tensor> {
      const p = of('parameter');
      const clipped = mul(of('gradient'), scalar('clip'));
      const g = weightDecay === 0 ? clipped : add(clipped, mul(p, weightDecay));
      if (momentum === 0) return { next_parameter: sub(p, mul(g, scalar('rate'))) };
      const velocity = add(mul(of('momentum'), momentum), g);
      const direction = nesterov ? add(g, mul(velocity, momentum)) : velocity;
      return { next_parameter: sub(p, mul(direction, scalar('rate'))), next_momentum: velocity };
    },
  };
}
