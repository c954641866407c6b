/**
 * A guessing game over several turns: the policy names a number and reads "higher" or "lower", until it has found it.
 * Halving the range each time always succeeds. Use it as `--env guess`.
 */
import type { Row } from '../../../data/row.ts';
import { HeedError } from '../../../error.ts';
import { random } from '../../../random.ts';
import type { LanguageEnvironment, LanguageTasks } from '../environment.ts';

/** The game. */
export interface GuessOptions {
  /** Seed of which numbers are held out (default: 0). */
  seed?: number;
  /** The largest number (default: 32). */
  most?: number;
  /** Guesses in a game (default: as many as halving the range takes). */
  guesses?: number;
  /** Share of the numbers to hold out (default: 0.25). */
  heldOut?: number;
}

/** Games whose number is from 1 to `most`. Finding it is worth 1. */
export function guessTasks({ seed = 0, most = 32, guesses, heldOut = 0.25 }: GuessOptions = {}): LanguageTasks {
  if (!(Number.isInteger(most) && most >= 4)) {
    throw new HeedError(`guess: expected a whole number from 4 as most, got ${most}.`, {
      hint: 'Such as { most: 32 }.',
    });
  }
  const turns = guesses ?? Math.floor(Math.log2(most)) + 1;
  const numbers = random(seed, 'guess').shuffle(Array.from({ length: most }, (_, i) => i + 1));
  const rows: Row[] = Array.from(numbers, (number) => ({ number, most, guesses: turns }));
  const held = Math.max(1, Math.round(heldOut * most));
  return { name: 'guess', make: guessEnvironment, tasks: rows.slice(held), heldOut: rows.slice(0, held) };
}

function guessEnvironment(): LanguageEnvironment {
  let [number, most, left] = [0, 0, 0];
  return {
    reset(task) {
      [number, most, left] = [task.number, task.most, task.guesses] as number[];
      return [{ role: 'user', content: `Guess my number, from 1 to ${most}.` }];
    },
    step({ text }) {
      const guess = /^\s*\d{1,9}\s*$/.test(text) ? Number(text) : Number.NaN;
      if (guess === number) return { reward: 1, done: true };
      left--;
      if (left === 0) return { done: true };
      const content = guess < number ? 'higher' : guess > number ? 'lower' : `Write a number from 1 to ${most} alone.`;
      return { messages: [{ role: 'user', content }] };
    },
  };
}
