/**
 * Reward of pretraining without a teacher (PEBBLE, Lee et al. 2021, §4.1): the distance of a state to its k-th nearest
 * neighbor, which estimates the entropy of the visited states.
 *
 * Differences from the paper: neighbors are sought among `particles` states drawn from all visited ones, so that the
 * cost of a reward stays constant. Each number of a state is scaled by its deviation. The reward is the distance
 * divided by its deviation, as in the authors' code, where the paper takes its logarithm.
 */
import { HeedError } from '../error.ts';
import type { Random } from '../random.ts';

type CheckpointTensors = Record<string, { dtype: 'F32'; shape: number[]; data: Float32Array }>;
const [STATES, WEIGHTS] = ['novelty.states', 'novelty.weights'];

interface NoveltyState {
  /** The row of each particle in the last call of `look`. */
  rows: number[];
  deviation: number;
}

/** Rewards novel states by the distances to their neighbors; `size` is the size of an observation. */
export function createNovelty(size: number, { neighbors, particles }: { neighbors: number; particles: number }) {
  /** [particles, size] and the row that each came from; empty before the first `look`. */
  let states = new Float32Array(0);
  let rows = new Int32Array(0);
  /** Weight of each number's squared difference. */
  const weights = new Float32Array(size).fill(1);
  let deviation = 1;
  const nearest = new Float64Array(neighbors);

  /** Distance of the state at `at` to its k-th nearest particle, excluding itself (row `row`). */
  function distance(observations: Float32Array, at: number, row: number): number {
    nearest.fill(Number.POSITIVE_INFINITY);
    let found = 0;
    for (let p = 0; p < rows.length; p++) {
      if (rows[p] === row) continue;
      const limit = nearest[neighbors - 1];
      let squares = 0;
      for (let j = 0; j < size && squares < limit; j++) {
        const difference = observations[at + j] - states[p * size + j];
        squares += difference * difference * weights[j];
      }
      if (squares >= limit) continue;
      let k = Math.min(found++, neighbors - 1);
      for (; k > 0 && nearest[k - 1] > squares; k--) nearest[k] = nearest[k - 1];
      nearest[k] = squares;
    }
    return found === 0 ? 0 : Math.sqrt(nearest[Math.min(found, neighbors) - 1]);
  }

  return {
    /** Rewards of states [n, size] that `look` has not seen: 0 before the first `look`. */
    reward(observations: Float32Array, out: Float32Array): void {
      for (let i = 0; i < out.length; i++) out[i] = distance(observations, i * size, -1) / deviation;
    },
    /** Draws the particles from all visited states [n, size], and writes the reward of each. variance: [size]. */
    look(observations: Float32Array, variance: readonly number[], out: Float32Array, random: Random): void {
      const n = out.length;
      rows = random.shuffle(Int32Array.from({ length: n }, (_, i) => i)).slice(0, particles);
      states = new Float32Array(rows.length * size);
      for (const [p, row] of rows.entries()) states.set(observations.subarray(row * size, (row + 1) * size), p * size);
      variance.forEach((v, j) => {
        weights[j] = 1 / (v + 1e-8);
      });
      let [sum, squares] = [0, 0];
      for (let i = 0; i < n; i++) {
        out[i] = distance(observations, i * size, i);
        sum += out[i];
        squares += out[i] ** 2;
      }
      deviation = Math.max(Math.sqrt(Math.max(0, squares / n - (sum / n) ** 2)), 1e-6);
      for (let i = 0; i < n; i++) out[i] /= deviation;
    },
    save: (): { state: NoveltyState; tensors: CheckpointTensors } => ({
      state: { rows: [...rows], deviation },
      tensors: {
        [STATES]: { dtype: 'F32', shape: [rows.length, size], data: states },
        [WEIGHTS]: { dtype: 'F32', shape: [size], data: weights },
      },
    }),
    restore(state: NoveltyState, tensors: CheckpointTensors): void {
      const [saved, scale] = [STATES, WEIGHTS].map((name) => tensors[name]?.data);
      if (saved?.length !== state.rows.length * size || scale?.length !== size) {
        throw new HeedError(`the checkpoint's ${STATES} do not fit states of ${size} numbers`, {
          hint: 'resume with the settings the run was started with',
        });
      }
      states = saved.slice();
      weights.set(scale);
      rows = Int32Array.from(state.rows);
      ({ deviation } = state);
    },
  };
}
