/** Rewards from outside: a function in a file, an HTTP endpoint. Neither is trusted to answer soon, or to answer sense. */

import { resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { HeedError, messageOf } from '../../error.ts';
import type { Answer, Reward } from './source.ts';

/** What a file exports, as default or as `reward`: a number for each answer, more being better. */
export type RewardFunction = (
  answers: readonly Answer[],
  signal: AbortSignal,
) => ArrayLike<number> | Promise<ArrayLike<number>>;

export interface CallSettings {
  /** Seconds that a call may take. */
  timeout: number;
  /** How often a call to an endpoint is made again. */
  retries: number;
  /** Seconds before a call is made again: doubled each time. */
  pause: number;
}

/** A reward from a .js, .mjs, .ts or .mts file. @throws HeedError where it cannot be loaded, or exports no function. */
export async function fileReward(path: string, settings: CallSettings): Promise<Reward> {
  let exported: Record<string, unknown>;
  try {
    exported = await import(pathToFileURL(resolve(path)).href);
  } catch (cause) {
    const typed = (cause as NodeJS.ErrnoException).code === 'ERR_UNKNOWN_FILE_EXTENSION';
    throw new HeedError(`The reward "${path}" cannot be loaded: ${messageOf(cause)}`, {
      hint: typed
        ? 'Node reads TypeScript from 22.18 on: take such a one, or compile the file to JavaScript.'
        : 'Is the path right, and does node run the file?',
      cause,
    });
  }
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
  return {
    name,
    async score(answers, signal) {
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
      return checkedRewards(name, given, answers);
    },
    release() {},
  };
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
      const failed = new AbortController();
      const either = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
      let next = 0;
      const work = async () => {
        while (next < answers.length) {
          const from = next;
          next += CHUNK;
          rewards.set(await persistently(url, answers.slice(from, from + CHUNK), settings, either), from);
        }
      };
      try {
        await Promise.all(Array.from({ length: AT_ONCE }, work));
      } catch (error) {
        failed.abort();
        throw error;
      }
      return rewards;
    },
    release() {},
  };
}

async function persistently(
  url: string,
  answers: readonly Answer[],
  settings: CallSettings,
  signal: AbortSignal,
): Promise<ArrayLike<number>> {
  for (let tried = 0; ; tried++) {
    try {
      return await asked(url, answers, settings, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Refused || tried >= settings.retries) throw error;
      await wait(settings.pause * 2 ** tried * 1000, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

/** What asking again would not change. */
class Refused extends HeedError {}

async function asked(
  url: string,
  answers: readonly Answer[],
  { timeout }: CallSettings,
  signal: AbortSignal,
): Promise<ArrayLike<number>> {
  const body = answers.map(({ promptText, text, ended, row }) => ({ prompt: promptText, response: text, ended, row }));
  const given = await limited(url, timeout, signal, async (within) => {
    let response: Response;
    try {
      response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ answers: body }),
        signal: within,
      });
    } catch (cause) {
      within.throwIfAborted();
      const why = cause instanceof Error && cause.cause ? cause.cause : cause;
      throw new HeedError(`The reward at "${url}" cannot be reached: ${messageOf(why)}`, {
        hint: 'Does it run, and is the address right?',
        cause,
      });
    }
    const text = await response.text();
    if (!response.ok) {
      const refused = response.status >= 400 && response.status < 500 && ![408, 425, 429].includes(response.status);
      throw new (refused ? Refused : HeedError)(
        `The reward at "${url}" answered ${response.status}: ${text.slice(0, 200) || response.statusText}`,
        { hint: 'It gets {"answers": [{"prompt", "response", "ended", "row"}]}; its own log may say more.' },
      );
    }
    try {
      const answered: unknown = JSON.parse(text);
      return (Array.isArray(answered) ? answered : (answered as { rewards: unknown }).rewards) as ArrayLike<number>;
    } catch (cause) {
      throw new HeedError(`The reward at "${url}" answered what is not JSON: ${text.slice(0, 200)}`, {
        hint: 'It should answer {"rewards": [number, …]}.',
        cause,
      });
    }
  });
  return checkedRewards(url, given, answers);
}

/** Runs a call that ends after so many seconds, whether it heeds the signal or not. */
async function limited<T>(
  name: string,
  seconds: number,
  outer: AbortSignal | undefined,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new HeedError(`The reward "${name}" took more than ${seconds} s.`, {
    hint: 'Make it faster, or allow it more time.',
  });
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(late), seconds * 1000);
  const stop = () => controller.abort(outer!.reason);
  outer?.addEventListener('abort', stop);
  if (outer?.aborted) stop();
  const { signal } = controller;
  const over = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason));
    if (signal.aborted) reject(signal.reason);
  });
  try {
    return await Promise.race([call(signal), over]);
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener('abort', stop);
  }
}

/** @throws HeedError unless there is a finite number for each answer. */
export function checkedRewards(name: string, given: unknown, answers: readonly Answer[]): ArrayLike<number> {
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
