/** A policy with memory: a GRU reads the observations, and actor and critic read its state. */
import type { Tensor } from '../engine/graph.ts';
import { concat, slice } from '../engine/ops/shape.ts';
import type { Box, Space } from '../env/environment.ts';
import { HeedError } from '../error.ts';
import { gru } from '../nn/gru.ts';
import { createPolicyNetwork, type PolicyNetwork, type PolicyNetworkOptions } from './policy.ts';

/** A policy network whose `distribution` and `critic` take what `memory.read` returns. */
export function createRecurrentPolicy(
  observationSize: number,
  actionSpace: Space,
  options: PolicyNetworkOptions & { memory: number },
  { shape, mask = 0 }: Pick<Box, 'shape' | 'mask'> = {},
): PolicyNetwork {
  if (shape) {
    throw new HeedError('a recurrent policy reads numbers, but the observations are images', {
      hint: 'leave out --policy recurrent, and set --frame-stack 4: it sees the last images',
    });
  }
  const size = options.memory;
  const seenSize = observationSize - mask;
  const seen = (x: Tensor) => (mask > 0 ? slice(x, 1, 0, seenSize) : x);
  const { parameters, step, unroll } = gru('memory', seenSize, size);
  const heads = createPolicyNetwork(size + mask, actionSpace, options, { mask });
  return {
    ...heads,
    observationSize,
    parameters: [...parameters, ...heads.parameters],
    memory: {
      size,
      step: (x, memory) => step(seen(x), memory),
      unroll: (x, memory, begins, sizes) => unroll(seen(x), memory, begins, sizes),
      read: (x, memory) => (mask > 0 ? concat([memory, slice(x, 1, seenSize, observationSize)], 1) : memory),
    },
  };
}
