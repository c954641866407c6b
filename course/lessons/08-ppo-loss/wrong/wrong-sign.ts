// says: The loss falls where the surrogate rises: for a surrogate of 3 it is −3: yours is 3.
import type { Sample } from '../exercise.ts';
import { slope, surrogate } from '../solution.ts';

export { slope, surrogate };

export const ppoLoss = (samples: readonly Sample[], epsilon: number): { loss: number; clipFraction: number } => ({
  loss: samples.reduce((sum, sample) => sum + surrogate(sample, epsilon), 0) / samples.length,
  clipFraction: samples.filter((sample) => slope(sample, epsilon) === 0).length / samples.length,
});
