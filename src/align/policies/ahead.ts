/**
 * Asynchronous rollouts with bounded staleness. With a staleness of K, the episodes of the next K steps are under way
 * while the policy learns from those of this one, so that slow tools do not idle the cores. An episode is learned from
 * at most K updates after it began. As in AReaL (Fu et al. 2025), the policy may change within an episode, and tokens
 * keep the log-probabilities of the policy that wrote them, μ. Where the synchronous loop has the gain of a token
 * f(π/μ), here it is
 *
 *   min(π_now/μ, cap) · f(π/π_now)        π_now: the policy at the beginning of the update
 *
 * The first factor corrects for what was written by an earlier policy (truncated importance weights: Espeholt et al.
 * 2018, IMPALA, §4.1; Yao et al. 2025), the second keeps the update near the policy that it starts from (decoupled PPO:
 * Hilton et al. 2022). π_now is computed in any case, for the KL.
 */
import { seedFor } from '../../random.ts';
import type { AsynchronyOptions } from '../agents/episode.ts';
import type { EncodedPrompt } from './completion-batches.ts';
import { type EarlyRollout, type EarlyRollouts, type LanguageRollout, WEIGHT_CAP } from './rollouts.ts';

/** What `createAhead` takes. */
interface AheadParts extends Pick<AsynchronyOptions, 'staleness'> {
  /** The prompts of a step. */
  promptsOf(step: number): readonly EncodedPrompt[];
  /** Completions of each prompt. */
  completions: number;
  /** Steps of the training. */
  steps: number;
  seed: number;
}

/** Rollouts of steps, begun ahead of them. */
export interface Ahead {
  /**
   * The rollout of a step; those of the next steps are begun. Rejects like `Rollouts.run`; all that was begun is then
   * dropped, and drawn again by the next call.
   */
  take(step: number, signal?: AbortSignal): Promise<LanguageRollout>;
  /** Ends and forgets all that was begun; the next call of `take` draws it again. */
  drop(): void;
  [Symbol.dispose](): void;
}

/** Begins rollouts ahead of their steps. */
export function createAhead(rollouts: EarlyRollouts, parts: AheadParts): Ahead {
  const { staleness, promptsOf, completions, steps, seed } = parts;
  const begun = new Map<number, Promise<EarlyRollout>>();
  let ending = new AbortController();
  const drop = () => {
    ending.abort();
    ending = new AbortController();
    begun.clear();
  };
  const begin = (step: number) => {
    if (begun.has(step)) return;
    const rollout = rollouts.begin(promptsOf(step), seedFor(seed, 'rollout', step), completions, ending.signal);
    rollout.catch(() => {}); // an error is that of its own step
    begun.set(step, rollout);
  };
  return {
    async take(step, signal) {
      for (let next = step; next <= Math.min(step + staleness, steps - 1); next++) begin(next);
      try {
        return await rollouts.finish(untilAborted(begun.get(step)!, signal));
      } catch (error) {
        drop();
        throw error;
      } finally {
        begun.delete(step);
      }
    },
    drop,
    [Symbol.dispose]: drop,
  };
}

/** Waits for work, or rejects with the signal's reason when it aborts. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  signal.throwIfAborted();
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop);
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** The metrics of asynchronous rollouts; none of others. */
export function asynchronyMetrics({ ages, importance }: LanguageRollout): Record<string, number> {
  if (!ages || !importance) return {};
  const weights = importance.flatMap((ratios) => Array.from(ratios));
  const share = (measure: (weight: number) => number) =>
    weights.reduce((sum, weight) => sum + measure(weight), 0) / Math.max(1, weights.length);
  return {
    'rollouts/staleness': ages.reduce((a, b) => a + b, 0) / ages.length,
    'rollouts/staleness_max': Math.max(...ages),
    'rollouts/weight': share((weight) => weight),
    'rollouts/capped': share((weight) => Number(weight >= WEIGHT_CAP)),
  };
}
