/** What the episodes of a rollout say about an environment or an agent: means, and those that failed. */
import { mean } from '../../run/intervals.ts';
import type { Completion, Episode } from '../reward-functions/reward-function.ts';
import { taskName } from './environment.ts';

/** An episode that failed. */
export interface EpisodeFailure {
  /** The task: its column `id` if it has one, otherwise the task itself. */
  task: string;
  /** What went wrong. */
  failure: string;
}

/** Means over episodes with an environment; empty without one. */
export function episodeMetrics(completions: readonly Completion[]): Record<string, number> {
  const episodes = completions.flatMap(({ episode }) => episode ?? []);
  if (episodes.length === 0) return {};
  const calls = episodes.reduce((sum, { calls }) => sum + calls, 0);
  return {
    'episode/reward': mean(episodes.map(({ reward }) => reward)),
    'episode/turns': mean(episodes.map(({ turns }) => turns)),
    'episode/calls': calls / episodes.length,
    'episode/faulty_calls': episodes.reduce((sum, { faultyCalls }) => sum + faultyCalls, 0) / Math.max(1, calls),
    'episode/failed': mean(episodes.map(({ failure }) => Number(failure !== undefined))),
    ...partMetrics(episodes),
  };
}

/** Means of the parts of rewards, each over the episodes that have it. */
function partMetrics(episodes: readonly Episode[]): Record<string, number> {
  const values = new Map<string, number[]>();
  for (const [name, value] of episodes.flatMap(({ parts = {} }) => Object.entries(parts))) {
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  return Object.fromEntries([...values].map(([name, all]) => [`episode/parts/${name}`, mean(all)]));
}

/** The episodes that failed, by their tasks. */
export const failuresOf = (completions: readonly Completion[]): EpisodeFailure[] =>
  completions.flatMap(({ row = {}, episode }) => {
    if (episode?.failure === undefined) return [];
    return [{ task: taskName(row), failure: episode.failure }];
  });
