/** A language model for a command, which is pulled from the Hub with progress where it is not there yet. */
import { loadModel, type Model } from '../lm/model.ts';
import { pullProgress } from './pull.ts';

export function openModel(nameOrFolder: string): Promise<Model> {
  const { done, ...tell } = pullProgress(nameOrFolder);
  return loadModel(nameOrFolder, tell).finally(done);
}
