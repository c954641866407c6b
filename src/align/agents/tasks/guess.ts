/**
 * A guessing game over several turns: the policy names a number and reads "higher" or "lower", until it has found it.
 * Halving the range each time always succeeds. Use it as `--env guess`.
 */
import type { Row } from '../../../data/row.ts';
import { HeedError } from '../../../error.ts';
import type { Random } from '../../../random.ts';
import type { LanguageEnvironment, LanguageTasks } from '../environment.ts';
import { drawTasks, type TaskOptions } from './draw.ts';

/** The game. */
export interface GuessOptions extends TaskOptions {
  /** How many numbers there are to choose from (default: 32). The first is another one in each task. */
  numbers?: number;
  /** Guesses in a game (default: as many as halving the range takes). */
  guesses?: number;
}

/** How many times as far as it is wide a range may begin: so no number is always wrong. */
const PLACES = 3;

/** Games of finding a number in a range. Finding it is worth 1. @throws HeedError if a number is invalid. */
export function guessTasks({ numbers = 32, guesses, ...options }: GuessOptions = {}): LanguageTasks {
  if (!(Number.isInteger(numbers) && numbers >= 4)) {
    throw new HeedError(`guess: expected numbers to be a whole number of at least 4, got ${numbers}.`, {
      hint: 'For example: { numbers: 32 }.',
    });
  }
  const turns = guesses ?? Math.floor(Math.log2(numbers)) + 1;
  const one = (draw: Random): Row => {
    const low = 1 + draw.integer(PLACES * numbers);
    return { low, high: low + numbers - 1, number: low + draw.integer(numbers), guesses: turns };
  };
  return { name: 'guess', make: guessEnvironment, ...drawTasks('guess', one, options) };
}

function guessEnvironment(): LanguageEnvironment {
  let [low, high, number, left] = [0, 0, 0, 0];
  return {
    reset(task) {
      [low, high, number, left] = [task.low, task.high, task.number, task.guesses] as number[];
      return [{ role: 'user', content: `Guess my number, from ${low} to ${high}.` }];
    },
    step({ text }) {
      const guess = /^\s*\d{1,9}\s*$/.test(text) ? Number(text) : Number.NaN;
      if (guess === number) return { reward: 1, done: true };
      left--;
      if (left === 0) return { done: true };
      let content = `Write a number from ${low} to ${high} alone.`;
      if (guess < number) content = 'higher';
      if (guess > number) content = 'lower';
      return { messages: [{ role: 'user', content }] };
    },
  };
}
