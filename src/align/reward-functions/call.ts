/** Rewards from outside: a function in a file, an HTTP endpoint. Neither is trusted to answer soon, or to answer sense. */

import { HeedError, messageOf } from '../../error.ts';
import { importFile } from '../../files.ts';
import { type CallSettings, limited, post, severally } from '../training/requests.ts';
import type { Completion, Reward, Scores, StepReward } from './reward-function.ts';

/** Of each answer a number, more being better, or what its steps add, whose sum is the number. */
type Given = ArrayLike<number | readonly StepReward[]>;

/** What a file exports, as default or as `reward`. */
export type RewardFunction = (answers: readonly Completion[], signal: AbortSignal) => Given | Promise<Given>;

/** A reward from a .js, .mjs, .ts or .mts file. @throws HeedError where it cannot be loaded, or exports no function. */
export async function fileReward(path: string, settings: CallSettings): Promise<Reward> {
  const exported = await importFile(path, 'The reward');
  const call = exported.default ?? exported.reward;
  if (typeof call !== 'function') {
    throw new HeedError(`"${path}" exports no function: expected a default export, or one named "reward".`, {
      hint: 'export default (answers) => answers.map(({ text }) => …)',
    });
  }
  return functionReward(path, call as RewardFunction, settings);
}

/** A reward from a function, each call within the time there is. */
export function functionReward(name: string, call: RewardFunction, { timeout }: CallSettings): Reward {
  const explain: Reward['explain'] = async (answers, signal) => {
    signal?.throwIfAborted();
    const given = await limited(name, timeout, signal, async (within) => {
      try {
        return await call(answers, within);
      } catch (cause) {
        within.throwIfAborted();
        throw new HeedError(`The reward "${name}" failed: ${messageOf(cause)}`, {
          hint: 'The error is in the function.',
          cause,
        });
      }
    });
    return checkedScores(name, given, answers);
  };
  return {
    name,
    explain,
    score: async (answers, signal) => (await explain(answers, signal)).scores,
  };
}

function checkedScores(name: string, given: unknown, answers: readonly Completion[]): Scores {
  if (!Array.isArray(given) || !given.some(Array.isArray)) return { scores: checkedRewards(name, given, answers) };
  const steps = given.map((own: unknown, i): readonly StepReward[] => {
    if (!Array.isArray(own)) return [];
    const wrong = own.find((step) => !(step?.end > 0 && step.end <= answers[i].text.length));
    if (wrong === undefined) return own;
    throw new HeedError(`The reward "${name}" gave the step ${JSON.stringify(wrong)?.slice(0, 80)} of an answer.`, {
      hint: `A step is {end, reward}: characters of the answer's text (here ${answers[i].text.length}), and a number.`,
    });
  });
  const sums = given.map((own, i) =>
    Array.isArray(own) ? steps[i].reduce((sum, { reward }) => sum + reward, 0) : own,
  );
  return { steps, scores: checkedRewards(name, sums, answers) };
}

/** Answers of a request, and requests at once. */
const CHUNK = 32;
const AT_ONCE = 4;

/**
 * A reward from an HTTP endpoint. It gets `{answers: [{prompt, response, ended, row}]}`, texts all, and gives `{rewards: [number, …]}`
 * or the list alone. Where it does not answer, or not sense, that part of the answers alone is sent again.
 */
export function endpointReward(url: string, settings: CallSettings): Reward {
  return {
    name: url,
    async score(answers, signal) {
      const rewards = new Float64Array(answers.length);
      await severally(Math.ceil(answers.length / CHUNK), AT_ONCE, signal, async (chunk, either) => {
        const some = answers.slice(chunk * CHUNK, (chunk + 1) * CHUNK);
        const request = {
          url,
          body: { answers: some.map(sent) },
          who: `The reward at "${url}"`,
          hint: 'It gets {"answers": [{"prompt", "response", "ended", "row"}]} and gives {"rewards": [number, …]}; its own log may say more.',
          read: (answer: unknown) => checkedRewards(url, rewardsIn(answer), some),
        };
        rewards.set(await post(request, settings, either), chunk * CHUNK);
      });
      return rewards;
    },
  };
}

const sent = ({ promptText, text, ended, row }: Completion) => ({ prompt: promptText, response: text, ended, row });

const rewardsIn = (answer: unknown): unknown =>
  Array.isArray(answer) ? answer : (answer as { rewards?: unknown } | null)?.rewards;

/** @throws HeedError unless there is a finite number for each answer. */
export function checkedRewards(name: string, given: unknown, answers: readonly Completion[]): ArrayLike<number> {
  const expected = `expected ${answers.length} numbers`;
  const hint = 'A reward gives a finite number for each answer, in their order.';
  if (!Array.isArray(given) && !ArrayBuffer.isView(given)) {
    throw new HeedError(`The reward "${name}" gave ${JSON.stringify(given)?.slice(0, 80)}: ${expected}.`, { hint });
  }
  const rewards = given as ArrayLike<number>;
  if (rewards.length !== answers.length) {
    throw new HeedError(`The reward "${name}" gave ${rewards.length} numbers: ${expected}.`, { hint });
  }
  for (let i = 0; i < rewards.length; i++) {
    if (Number.isFinite(rewards[i])) continue;
    const got = typeof rewards[i] === 'number' ? rewards[i] : JSON.stringify(rewards[i]);
    throw new HeedError(`The reward "${name}" gave ${got} for an answer: "${answers[i].text.slice(0, 80)}".`, { hint });
  }
  return rewards;
}
