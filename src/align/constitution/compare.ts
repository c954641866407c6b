/** Compares two completions of a prompt by a principle (Bai et al. 2022, §4.1). */
import type { Message } from '../../data/format.ts';
import { type CompletionJudge, SHOWN_PAIR } from '../judges/judge.ts';
import type { Chat } from '../judges/source.ts';
import type { Principle } from './principles.ts';

/** Two completions of a prompt and the judge's preference. */
export interface Compared {
  prompt: Message[];
  /** The two completions. */
  completions: [string, string];
  /** The principle they were compared by. */
  principle: string;
  /** For the first completion: its probability of being better by a local model; 1, 0 or ½ by an endpoint. */
  preference?: number;
  /** Why the pair is left out of the data. */
  leftOut?: 'equal completions' | 'no completion' | 'no verdict' | 'too long';
}

/** Compares pairs by the principles that `draw` gives. Equal, empty and too long completions are left out. */
export async function compareCompletions(
  critic: Chat,
  judge: CompletionJudge,
  pairs: readonly { prompt: Message[]; completions: [string, string] }[],
  draw: (item: number) => Principle,
  signal?: AbortSignal,
): Promise<Compared[]> {
  const all = pairs.map((pair, i): Compared => {
    const [one, other] = pair.completions;
    const { text: principle } = draw(i);
    const text = [questionOf(principle), ...pair.prompt.map(({ content }) => content), one, other].join('\n');
    const fits = critic.fits?.([{ role: 'user', content: text }]) ?? true;
    const leftOut =
      one === '' || other === ''
        ? 'no completion'
        : one === other
          ? 'equal completions'
          : fits
            ? undefined
            : 'too long';
    return { ...pair, principle, ...(leftOut && { leftOut }) };
  });
  const items = all.filter(({ leftOut }) => !leftOut);
  const verdicts = await judge.compare(
    items.map(({ prompt, completions, principle }) => ({
      prompt,
      completions,
      template: questionOf(principle),
    })),
    signal,
  );
  for (const [i, { preference, probability = preference, shown }] of verdicts.entries()) {
    if (shown.includes('unreadable')) items[i].leftOut = 'no verdict';
    else items[i].preference = probability;
  }
  return all;
}

const questionOf = (principle: string): string =>
  `Two answers to the same prompt follow. Decide which of them keeps better to this principle: ${principle}
The order of the answers says nothing.

${SHOWN_PAIR}

Which answer keeps better to the principle? Write one letter and nothing else: A, B, or C where neither does.`;
