/**
 * Learning from human preferences in an environment (Christiano et al. 2017): an agent learns what a teacher wants from
 * comparisons of short clips, and never sees the environment's reward.
 *
 *   roll out → cut segments → choose pairs → ask the teacher → fit the reward ensemble → normalize → PPO, again and again
 *
 * Where it departs from the paper: segments are windows of time (segments.ts), the reward is scaled and not centered by
 * default, and PPO stands in for A2C and TRPO. docs/preferences.md has the reasons and the figures.
 *
 * Run it: heed train --env CartPole-v1
 */
import { withEnvironment } from '../env/index.ts';
import { createPpo, type PpoMetrics, type Rollout } from '../rl/index.ts';
import { stepsOf } from '../run/index.ts';
import { loadJudge } from './behaviors/index.ts';
import { type Learner, type LearnStep, learnerOf } from './learner.ts';
import type { LearnOptions, LearnSettings } from './options.ts';
import { createPebble } from './pebble.ts';
import { learnOptions } from './presets.ts';
import { createTeaching, type LearnParts } from './teaching.ts';

/** Learns by the algorithm that the settings name. */
export function createLearner(given: LearnSettings, parts: LearnParts): Learner {
  const options = learnOptions(given);
  return options.algorithm === 'pebble' ? createPebble(options, parts) : createPreferencePpo(options, parts);
}

/** Opens what the settings name, the environment and the judge, and learns in it; releasing the learner releases all of it. */
export async function openLearner(given: LearnSettings, parts: Omit<LearnParts, 'environment'> = {}): Promise<Learner> {
  const options = learnOptions(given);
  const judge = parts.judge ?? (await loadJudge(options));
  return withEnvironment(options, (environment) => createLearner(options, { ...parts, environment, judge }));
}

/** One rollout, whatever rounds of questions are due, and one PPO update a step. */
function createPreferencePpo(options: LearnOptions, parts: LearnParts): Learner {
  const { seed, steps, randomSteps } = options;
  const ppoOptions = options.ppo!;
  const { environments, horizon, discount } = ppoOptions;
  const batch = environments * horizon;
  const teaching = createTeaching(options, parts, {
    ...{ environments, horizon, begin: randomSteps },
    rows: Math.min(batch, 1024),
  });
  const { progress, ensemble, experience, statistics } = teaching;
  const agent = createPpo(teaching.environment, ppoOptions, seed);
  const evaluator = teaching.evaluator(agent);
  const learned = new Float32Array(batch);

  async function next(signal?: AbortSignal): Promise<LearnStep> {
    const heard = await teaching.hear(signal);
    const before = progress.step;
    const exploring = before < randomSteps;
    const rollout: Rollout = agent.collect(exploring ? 'uniform' : undefined);
    teaching.add(rollout);

    const { wanted, asked, fit } = await teaching.teach(heard, signal);
    const renormalizeDue = !exploring && progress.updates % options.renormalize === 0;
    if (renormalizeDue && !progress.fitted) ensemble.setScale(statistics.scale());
    if (fit || wanted > 0 || renormalizeDue) ensemble.normalize(experience, discount);
    let ppo: PpoMetrics | undefined;
    if (!exploring) {
      ensemble.reward(rollout, learned, progress.step);
      ppo = agent.update({ ...rollout, rewards: learned }, progress.step / steps);
      progress.updates++;
    }
    return { ppo, fit, asked, ...teaching.tell(before, evaluator.run) };
  }

  return learnerOf(options, parts.environment, teaching, { next, evaluator, acting: { ppo: agent } });
}

/**
 * Learns from preferences, one PPO update or some hundred steps of PEBBLE at a time, until the steps are done or `signal`
 * aborts. Acts in `environment` where it is given, and not in the one that the settings name; so with a `judge`.
 */
export async function* learnFromPreferences(
  given: LearnSettings,
  parts: Partial<LearnParts> & { signal?: AbortSignal } = {},
): AsyncGenerator<LearnStep, void, undefined> {
  const { environment, signal, ...others } = parts;
  const learner = environment
    ? createLearner(given, { judge: await loadJudge(learnOptions(given)), ...others, environment })
    : await openLearner(given, others);
  yield* stepsOf(learner, signal);
}
