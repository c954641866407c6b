/** What the share of unknown words in the data says about a training. */
import { percent } from '../../percent.ts';
import type { Finding } from '../../run/diagnosis.ts';
import type { MetricsRow } from '../../run/run.ts';
import { courseOf, failure, warning } from './course.ts';

/** Share of the learned tokens from which words that the model does not know are worth a warning. */
export const MANY_UNKNOWN = 0.03;
const MOST = 0.2; // from here on, most texts have several holes

/** A finding if a good part of what is learned, or of a policy's prompts, stands for words outside the vocabulary. */
export function vocabularyFindings(rows: readonly MetricsRow[], subject: 'learned' | 'prompts' = 'learned'): Finding[] {
  const share = courseOf(rows, 'data/unknown')?.last ?? 0;
  if (share < MANY_UNKNOWN) return [];
  const say = share < MOST ? warning : failure;
  const tokens = subject === 'learned' ? 'the tokens that it learned' : "its prompts' tokens";
  return [
    say(
      'unknown-words',
      `The model does not know the words of its data: ${percent(share, 0)} of ${tokens} stand for words outside its vocabulary.`,
      'Use a model that knows them, or train one on such texts: heed pretrain --data TEXTS. "heed data tokens" shows the rows as the model gets them.',
    ),
  ];
}
