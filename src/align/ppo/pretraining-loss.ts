/**
 * PPO-ptx (Ouyang et al. 2022, equation 2): the policy keeps learning pretraining texts, so that it does not forget
 * them.
 */
import type { Arena } from '../../nn/parameters.ts';
import { gatherExamples, longestExample } from '../examples/examples.ts';
import { createLikelihood } from '../supervised/likelihood.ts';
import { datasetRows, type RowPosition } from '../supervised/rows.ts';
import { readSource, type Source } from '../training/input.ts';
import type { LanguagePolicy } from '../training/policy.ts';
import type { LanguagePpoOptions } from './options.ts';

/** The likelihood loss of pretraining texts. */
export interface Pretraining {
  /** Adds the weighted gradients of the next rows. Returns their loss in nats per token. */
  add(gradients: Arena): Promise<number>;
  save(): unknown;
  restore(state: unknown): void;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** Reads pretraining texts for PPO-ptx. @throws HeedError when the data cannot be read or has nothing to learn. */
export async function createPretraining(
  policy: LanguagePolicy,
  options: LanguagePpoOptions,
  source: Source,
  onNotice?: (text: string) => void,
): Promise<Pretraining> {
  const { ptx, onBadRow, seed, checkpointLayers } = options;
  const { config, tokenizer } = policy.model;
  const data = readSource(source, {
    onBadRow,
    accept: ['language-modeling', 'prompt-completion'],
  });
  const most = longestExample(undefined, config);
  const { examples, long } = await gatherExamples(data, tokenizer, source.name, { length: most, truncate: 'cut' });
  if (long > 0) onNotice?.(`"${source.name}": cut ${long} texts longer than ${most} tokens (--ptx.data)`);
  const length = examples.lengths.reduce((a, b) => Math.max(a, b), 0);
  const { rows } = datasetRows(examples, { length, packing: true, seed });
  const shape = { length, fitted: false, padding: tokenizer.pad ?? 0 };
  const { frozen, linear, parameters } = policy;
  const likelihood = createLikelihood(config, parameters, shape, { frozen, linear, checkpointLayers });
  return {
    async add({ flat }) {
      const batch = Array.from({ length: ptx.rows }, rows.next);
      const { loss } = await likelihood.run(batch, Math.min(ptx.rows, options.rows));
      const gradient = likelihood.gradients.flat;
      for (let i = 0; i < flat.length; i++) flat[i] += ptx.coefficient * gradient[i];
      return loss;
    },
    save: rows.save,
    restore: (state) => rows.restore(state as RowPosition),
    [Symbol.dispose]: likelihood[Symbol.dispose],
  };
}
