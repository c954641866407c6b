/** Of two answers to a prompt, which keeps better to a principle (Bai et al. 2022, §4.1). */
import type { Message } from '../../data/index.ts';
import { type CompletionJudge, SHOWN_PAIR } from '../judges/judge.ts';
import type { Chat } from '../judges/source.ts';
import type { Principle } from './principles.ts';

export interface Compared {
  prompt: Message[];
  answers: [string, string];
  principle: string;
  /** For the first answer: how likely a local model thinks it is better; 1, 0 or ½ by what an endpoint says. */
  preference?: number;
  /** Why nothing is learned from it. */
  leftOut?: 'equal answers' | 'no answer' | 'no verdict' | 'too long';
}

/** Answers that are equal, empty, or too long for the critic are not asked about. */
export async function compareAnswers(
  critic: Chat,
  judge: CompletionJudge,
  pairs: readonly { prompt: Message[]; answers: [string, string] }[],
  draw: (item: number) => Principle,
  signal?: AbortSignal,
): Promise<Compared[]> {
  const all = pairs.map((pair, i): Compared => {
    const [one, other] = pair.answers;
    const { text: principle } = draw(i);
    const told = [questionOf(principle), ...pair.prompt.map(({ content }) => content), one, other].join('\n');
    const fits = critic.fits?.([{ role: 'user', content: told }]) ?? true;
    const leftOut =
      one === '' || other === '' ? 'no answer' : one === other ? 'equal answers' : fits ? undefined : 'too long';
    return { ...pair, principle, ...(leftOut && { leftOut }) };
  });
  const asked = all.filter(({ leftOut }) => !leftOut);
  const verdicts = await judge.compare(
    asked.map(({ prompt, answers: completions, principle }) => ({
      prompt,
      completions,
      template: questionOf(principle),
    })),
    signal,
  );
  for (const [i, { preference, probability = preference, shown }] of verdicts.entries()) {
    if (shown.includes('unreadable')) asked[i].leftOut = 'no verdict';
    else asked[i].preference = probability;
  }
  return all;
}

const questionOf = (principle: string): string =>
  `Two answers to the same prompt follow. Decide which of them keeps better to this principle: ${principle}
The order of the answers says nothing.

${SHOWN_PAIR}

Which answer keeps better to the principle? Write one letter and nothing else: A, B, or C where neither does.`;
