/** PPO-ptx (Ouyang et al. 2022, equation 2): texts that the policy goes on learning, so that it does not forget them. */
import type { Arena } from '../../nn/index.ts';
import { gatherExamples } from '../examples/examples.ts';
import { createLikelihood } from '../supervised/likelihood.ts';
import { datasetRows, type RowPosition } from '../supervised/rows.ts';
import { readSource, type Source } from '../training/input.ts';
import type { Policy } from '../training/policy.ts';
import type { PpoOptions } from './options.ts';

export interface Pretraining {
  /** Adds the weighted gradients of the next rows; gives their loss in nats a token. */
  add(gradients: Arena): number;
  save(): unknown;
  restore(state: unknown): void;
  [Symbol.dispose](): void;
}

const LONGEST = 1024;

/** @throws HeedError where the data cannot be read or has nothing to learn. */
export async function createPretraining(policy: Policy, options: PpoOptions, source: Source): Promise<Pretraining> {
  const { ptx, onBadRow, seed, checkpointLayers } = options;
  const { config, tokenizer } = policy.model;
  const data = readSource(source, {
    onBadRow,
    accept: ['language-modeling', 'prompt-completion'],
  });
  const most = Math.min(LONGEST, config.maxPositions);
  const { examples } = await gatherExamples(data, tokenizer, source.name, { length: most, truncate: 'cut' });
  const length = examples.lengths.reduce((a, b) => Math.max(a, b), 0);
  const { rows } = datasetRows(examples, { length, packing: true, seed });
  const shape = { length, fitted: false, padding: tokenizer.pad ?? 0 };
  const { frozen, linear, parameters } = policy;
  const likelihood = createLikelihood(config, parameters, shape, { frozen, linear, checkpointLayers });
  return {
    add({ flat }) {
      const batch = Array.from({ length: ptx.rows }, rows.next);
      const { loss } = likelihood.run(batch, Math.min(ptx.rows, options.rows));
      const own = likelihood.gradients.flat;
      for (let i = 0; i < flat.length; i++) flat[i] += ptx.coefficient * own[i];
      return loss;
    },
    save: rows.save,
    restore: (state) => rows.restore(state as RowPosition),
    [Symbol.dispose]: likelihood[Symbol.dispose],
  };
}
