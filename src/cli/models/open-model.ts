/** A language model for a command, which is pulled from the Hub with progress where it is not there yet. */
import { Option } from 'commander';
import { loadModel, type Model } from '../../lm/model.ts';
import type { Bits } from '../../nn/index.ts';
import { UsageError } from '../program/usage.ts';
import { pullProgress } from './pull.ts';

export function openModel(nameOrFolder: string): Promise<Model> {
  const { done, ...tell } = pullProgress(nameOrFolder);
  return loadModel(nameOrFolder, tell).finally(done);
}

/** For commands that do not train: the weights rounded to fewer bits. */
export const bitsOption = () =>
  new Option(
    '--bits <8|4>',
    'round the weights to so many bits: less to read for each token, answers a little off',
  ).argParser((text): Bits => {
    if (text !== '8' && text !== '4') throw new UsageError(`--bits: expected 8 or 4, got "${text}"`);
    return text === '8' ? 8 : 4;
  });
