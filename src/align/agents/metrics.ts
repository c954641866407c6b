/** What the episodes of a rollout say about an environment or an agent: means, and those that failed. */
import { mean } from '../../run/intervals.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { taskName } from './environment.ts';

/** An episode that failed. */
export interface EpisodeFailure {
  /** The task: its column `id` if it has one, otherwise the task itself. */
  task: string;
  /** What went wrong. */
  failure: string;
}

/** Means over episodes with an environment; empty without one. */
export function episodeMetrics(answers: readonly Completion[]): Record<string, number> {
  const episodes = answers.flatMap(({ episode }) => episode ?? []);
  if (episodes.length === 0) return {};
  const calls = episodes.reduce((sum, { calls }) => sum + calls, 0);
  return {
    'episode/reward': mean(episodes.map(({ reward }) => reward)),
    'episode/turns': mean(episodes.map(({ turns }) => turns)),
    'episode/calls': calls / episodes.length,
    'episode/faulty_calls': episodes.reduce((sum, { faultyCalls }) => sum + faultyCalls, 0) / Math.max(1, calls),
    'episode/failed': mean(episodes.map(({ failure }) => Number(failure !== undefined))),
  };
}

/** The episodes that failed, by their tasks. */
export const failuresOf = (answers: readonly Completion[]): EpisodeFailure[] =>
  answers.flatMap(({ row = {}, episode }) => {
    if (episode?.failure === undefined) return [];
    return [{ task: taskName(row), failure: episode.failure }];
  });
