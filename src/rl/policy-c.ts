/** A policy as a C header, for a microcontroller or any program without ONNX Runtime: C99, math.h and its own numbers. */

import { seenSize } from '../env/action-mask.ts';
import { sizeOf } from '../env/environment.ts';
import { HeedError } from '../error.ts';
import { actionRanges, unitRanges } from './action-ranges.ts';
import { LIMIT } from './normalize.ts';
import { GRAPH_EPSILON } from './policy-description.ts';
import type { PolicySnapshot } from './policy-snapshot.ts';

/**
 * The text of `policy.h`, which does what `policy.onnx` does. `policy_act` takes an observation and, of a recurrent
 * policy, its memory, which it updates. It returns the number of a discrete action, or else writes into `action`.
 *
 * @throws HeedError if the policy reads images: their convolutions take more memory than such a machine has.
 */
export function policyHeader(snapshot: PolicySnapshot): string {
  const { algorithm, observationSpace, actionSpace, memory = 0, hidden, tensors } = snapshot;
  if (observationSpace.shape) {
    throw new HeedError('policy.h is only for policies that read numbers, but this one reads images', {
      hint: 'use policy.onnx with ONNX Runtime',
    });
  }
  const discrete = actionSpace.kind === 'discrete';
  const outputs = discrete ? actionSpace.n : actionSpace.low.length * (algorithm === 'sac' ? 2 : 1);
  const seen = seenSize(observationSpace);
  const sizes = [memory || seen, ...hidden, outputs];
  const layers = sizes.slice(1).map((_, i) => `actor.${i}`);
  const parameters = [...(memory ? ['memory.input', 'memory.state'] : []), ...layers].flatMap((name) =>
    ['weight', 'bias'].map((part) => array(`${name}.${part}`, tensors[`${name}.${part}`].data as Float32Array)),
  );
  const widest = Math.max(seen, memory, ...sizes);
  const signature = `${discrete ? 'int' : 'void'} policy_act(const float *observation${memory ? ', float *memory' : ''}${discrete ? '' : ', float *action'})`;
  return `/* A policy that heed trained by ${algorithm}. C99; compile with -lm.
 * ${discrete ? 'Returns the number of the likeliest action.' : 'Writes the likeliest action, within its bounds.'}${memory ? ' Set memory to 0 when an episode begins; it is updated.' : ''} */
#ifndef HEED_POLICY_H
#define HEED_POLICY_H
#include <math.h>

#define POLICY_OBSERVATIONS ${sizeOf(observationSpace)}
#define POLICY_ACTIONS ${discrete ? actionSpace.n : actionSpace.low.length}
${memory ? `#define POLICY_MEMORY ${memory}\n` : ''}
${parameters.join('\n')}
${LAYER}${memory ? gruStep(seen, memory) : ''}
static inline ${signature} {
  float x[${widest}], y[${widest}];
${normalization(snapshot, seen)}${memory ? '  policy_remember(x, memory);\n  for (int i = 0; i < POLICY_MEMORY; i++) x[i] = memory[i];\n' : ''}${layers
  .map((name, i) => layerCall(name, sizes[i], sizes[i + 1], i < layers.length - 1 ? snapshot.activation : undefined))
  .join('')}${discrete ? likeliest(observationSpace.mask ? seen : undefined) : bounded(snapshot)}}
#endif
`;
}

const LAYER = `
/* y = Wx + b */
static inline void policy_layer(const float *x, int in, const float *w, const float *b, int out, float *y) {
  for (int i = 0; i < out; i++) {
    float sum = b[i];
    for (int j = 0; j < in; j++) sum += w[i * in + j] * x[j];
    y[i] = sum;
  }
}
`;

/** A number in C that is read as the same float32. */
const float = (x: number): string => {
  if (!Number.isFinite(x)) return x > 0 ? 'INFINITY' : '-INFINITY';
  const text = String(Number(Math.fround(x).toPrecision(9)));
  return `${/[.e]/.test(text) ? text : `${text}.`}f`;
};
const cName = (name: string): string => `policy_${name.replaceAll('.', '_')}`;
const array = (name: string, values: ArrayLike<number>): string =>
  `static const float ${cName(name)}[] = {${Array.from(values, float).join(', ')}};`;

const layerCall = (name: string, inner: number, outer: number, activation: 'tanh' | 'relu' | undefined): string => {
  const apply = { tanh: 'tanhf(y[i])', relu: 'fmaxf(y[i], 0)' };
  const weights = [`${name}.weight`, `${name}.bias`].map(cName);
  return `  policy_layer(x, ${inner}, ${weights[0]}, ${weights[1]}, ${outer}, y);
  for (int i = 0; i < ${outer}; i++) x[i] = ${activation ? apply[activation] : 'y[i]'};
`;
};

function normalization({ statistics }: PolicySnapshot, seen: number): string {
  if (!statistics) return `  for (int i = 0; i < ${seen}; i++) x[i] = observation[i];\n`;
  const mean = statistics.mean.slice(0, seen);
  // a mean is not exact in float32: the remainder matters if the deviation is small
  const rest = mean.map((m) => m - Math.fround(m));
  const scale = statistics.variance.slice(0, seen).map((v) => 1 / Math.sqrt(v + GRAPH_EPSILON));
  const rows = [array('mean', mean), array('rest', rest), array('scale', scale)].map((text) => `  ${text}\n`).join('');
  return `${rows}  for (int i = 0; i < ${seen}; i++) {
    float z = (observation[i] - policy_mean[i] - policy_rest[i]) * policy_scale[i];
    x[i] = fminf(fmaxf(z, -${float(LIMIT)}), ${float(LIMIT)});
  }
`;
}

/** The gates are r, z and n, one after another (nn/gru.ts). */
const gruStep = (seen: number, size: number): string => `
static inline void policy_remember(const float *x, float *h) {
  float given[${3 * size}], held[${3 * size}];
  policy_layer(x, ${seen}, policy_memory_input_weight, policy_memory_input_bias, ${3 * size}, given);
  policy_layer(h, ${size}, policy_memory_state_weight, policy_memory_state_bias, ${3 * size}, held);
  for (int i = 0; i < ${size}; i++) {
    float reset = 1 / (1 + expf(-given[i] - held[i]));
    float update = 1 / (1 + expf(-given[${size} + i] - held[${size} + i]));
    float fresh = tanhf(given[${2 * size} + i] + reset * held[${2 * size} + i]);
    h[i] = fresh + update * (h[i] - fresh);
  }
}
`;

/** The likeliest action; with a mask, which begins at `mask`, of those that are allowed. */
const likeliest = (mask: number | undefined): string => `  int best = -1;
  for (int i = 0; i < POLICY_ACTIONS; i++) {
${mask === undefined ? '' : `    if (observation[${mask} + i] < 0.5f) continue;\n`}    if (best < 0 || x[i] > x[best]) best = i;
  }
  return best;
`;

function bounded({ algorithm, actionSpace, rescaleActions }: PolicySnapshot): string {
  if (actionSpace.kind === 'discrete') return '';
  const { low, high } = actionSpace;
  const squashed = algorithm === 'sac';
  const { center, half } = squashed || rescaleActions ? actionRanges(actionSpace) : unitRanges(low.length);
  const rows = [array('low', low), array('high', high), array('center', center), array('half', half)];
  return `${rows.map((text) => `  ${text}\n`).join('')}  for (int i = 0; i < POLICY_ACTIONS; i++) {
    float a = policy_center[i] + policy_half[i] * ${squashed ? 'tanhf(x[i])' : 'x[i]'};
    action[i] = fminf(fmaxf(a, policy_low[i]), policy_high[i]);
  }
`;
}
