import { expect, it } from 'vitest';
import type { Space } from '../env/environment.ts';
import { createParameters, exportParameters } from '../nn/parameters.ts';
import { message, one, repeated, text } from '../protobuf.ts';
import { random } from '../random.ts';
import { createPolicyNetwork } from './policy.ts';
import { describePolicy } from './policy-description.ts';
import { policyOnnx } from './policy-onnx.ts';
import type { PolicySnapshot } from './policy-snapshot.ts';

function snapshotOf(actionSpace: Space): PolicySnapshot {
  const network = createPolicyNetwork(2, actionSpace, { hidden: [4], activation: 'tanh', gain: 1 });
  const parameters = createParameters(network.parameters, random(0));
  return {
    algorithm: 'ppo',
    hidden: [4],
    activation: 'tanh',
    observationSpace: { kind: 'box', low: Float32Array.of(-1, -Infinity), high: Float32Array.of(1, Infinity) },
    actionSpace,
    statistics: { mean: [0.5, 0], variance: [1, 4] },
    tensors: exportParameters(parameters),
  };
}

const coding = { sizes: [3, 2], starts: [1, 5] };

it('says how observations are normalized and actions are written, in JSON', () => {
  const described = describePolicy(snapshotOf({ kind: 'discrete', n: 6, coding }));
  expect(JSON.parse(JSON.stringify(described))).toEqual({
    format: 'heed policy 1',
    algorithm: 'ppo',
    observation: {
      input: 'observation',
      size: 2,
      low: [-1, null],
      high: [1, null],
      normalization: { mean: [0.5, 0], variance: [1, 4], epsilon: 1e-8, limit: 10 },
    },
    action: { output: 'action', kind: 'discrete', n: 6, coding },
  });
  const box: Space = { kind: 'box', low: Float32Array.of(-2), high: Float32Array.of(2) };
  expect(describePolicy(snapshotOf(box)).action).toEqual({
    output: 'action',
    kind: 'box',
    size: 1,
    low: [-2],
    high: [2],
  });
});

it('is in the metadata of policy.onnx', () => {
  const snapshot = snapshotOf({ kind: 'discrete', n: 6, coding });
  const entry = message({ key: one(1, text), value: one(2, text) });
  const { entries } = message({ entries: repeated(14, entry) }).decode(policyOnnx(snapshot)); // metadata_props of ModelProto
  const [{ key, value }] = entries;
  expect(key).toBe('policy');
  expect(JSON.parse(value!)).toEqual(describePolicy(snapshot));
});
