import { describe, expect, it } from 'vitest';
import { didYouMean, nearestNames } from './nearest.ts';

const names = ['temperature', 'topK', 'topP', 'maxTokens', 'seed', 'batch', 'epochs', 'learningRate', 'data', 'model'];

describe('a misspelt name', () => {
  it.each([
    ['temprature', ['temperature']],
    ['max_tokens', ['maxTokens']],
    ['max_new_tokens', ['maxTokens']],
    ['learning-rate', ['learningRate']],
    ['top_k', ['topK']],
    ['batch_size', ['batch']],
    ['num_train_epochs', ['epochs']],
    ['dataset', ['data']],
    ['models', ['model']],
  ])('%s means %j', (name, meant) => {
    expect(nearestNames(name, names)).toEqual(meant);
  });

  it('that is like none means none', () => {
    expect(nearestNames('frobnicate', names)).toEqual([]);
    expect(didYouMean('frobnicate', names)).toBeUndefined();
    expect(didYouMean('x', [])).toBeUndefined();
    expect(didYouMean('topC', names)).toBe('did you mean "topK" or "topP"?');
  });
});
