/** Opens a language model for a command. A model that is not in the cache is pulled from the Hub, with progress. */
import { Option } from 'commander';
import { templatedModel } from '../../lm/built-in-templates.ts';
import { loadModel, loadWeights, type Model } from '../../lm/model.ts';
import type { Bits } from '../../nn/quantize.ts';
import { UsageError } from '../program/usage.ts';
import { pullProgress } from './pull.ts';

/** A model with a chat template: the named one, else its own, else `plain`. */
export async function openModelByFlags(nameOrFolder: string, chatTemplate?: string): Promise<Model> {
  const { done, ...pull } = pullProgress(nameOrFolder);
  const model = await loadModel(nameOrFolder, pull).finally(done);
  return templatedModel(model, chatTemplate, (text) => void process.stderr.write(`${text}\n`));
}

/** A model for uses with ids only: it need not have a tokenizer. */
export function openWeights(nameOrFolder: string): ReturnType<typeof loadWeights> {
  const { done, ...pull } = pullProgress(nameOrFolder);
  return loadWeights(nameOrFolder, pull).finally(done);
}

/** For commands that do not train: quantizes the weights. */
export const bitsOption = () =>
  new Option('--bits <8|4>', 'quantize the weights: faster generation, slightly less accurate').argParser(
    (text): Bits => {
      if (text !== '8' && text !== '4') throw new UsageError(`--bits: expected 8 or 4, got "${text}"`);
      return text === '8' ? 8 : 4;
    },
  );
