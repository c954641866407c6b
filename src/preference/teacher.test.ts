import { describe, expect, it } from 'vitest';
import { HeedError } from '../error.ts';
import type { Comparison } from './comparison.ts';
import { askTeacher, type Query, type QueryJudgment, type Teacher } from './teacher.ts';

const questions: Query<string>[] = ['q0', 'q1', 'q2'].map((id) => ({ id, options: [`${id}a`, `${id}b`] }));
const teacher = (answer: Teacher<string>['answer']): Teacher<string> => ({ name: 'someone', answer });

async function all(...args: Parameters<typeof askTeacher<string>>): Promise<Comparison<string>[]> {
  const comparisons = [];
  for await (const comparison of askTeacher(...args)) comparisons.push(comparison);
  return comparisons;
}

describe('ask', () => {
  it('makes a comparison of each answer of a plain object', async () => {
    const plain = teacher((queries) => queries.map(({ id }) => ({ id, choice: [1, 0] })));
    expect(await all(plain, questions)).toEqual(
      questions.map((question) => ({ ...question, choice: [1, 0], teacher: 'someone' })),
    );
  });

  it('takes answers in any order, some of them, without skips, with their time', async () => {
    const person = teacher(async function* (): AsyncGenerator<QueryJudgment> {
      yield { id: 'q2', choice: 'incomparable', time: 5 };
      yield { id: 'q0', choice: 'skip' };
    });
    expect(await all(person, questions)).toEqual([
      { id: 'q2', options: ['q2a', 'q2b'], choice: 'incomparable', teacher: 'someone', time: 5 },
    ]);
  });

  it('yields an answer before the next one exists', async () => {
    let answered = 0;
    const slow = teacher(async function* (queries): AsyncGenerator<QueryJudgment> {
      for (const { id } of queries) {
        answered++;
        yield { id, choice: [0, 1] };
      }
    });
    const comparisons = askTeacher(slow, questions);
    await comparisons.next();
    expect(answered).toBe(1);
    await comparisons.return();
    expect(answered).toBe(1);
  });

  it('hands the signal on', async () => {
    const controller = new AbortController();
    const patient = teacher(async function* (queries, signal): AsyncGenerator<QueryJudgment> {
      for (const { id } of queries) {
        if (signal?.aborted) return;
        yield { id, choice: [0, 1] };
        controller.abort();
      }
    });
    expect(await all(patient, questions, controller.signal)).toHaveLength(1);
  });

  it.each<[string, QueryJudgment[]]>([
    ['answers what was not asked', [{ id: 'q9', choice: [1, 0] }]],
    [
      'answers twice',
      [
        { id: 'q1', choice: [1, 0] },
        { id: 'q1', choice: [0, 1] },
      ],
    ],
    [
      'skips, then answers',
      [
        { id: 'q1', choice: 'skip' },
        { id: 'q1', choice: [0, 1] },
      ],
    ],
    ['makes no choice', [{ id: 'q1', choice: [1, 1] }]],
  ])('refuses a teacher that %s', async (_, answers) => {
    await expect(
      all(
        teacher(() => answers),
        questions,
      ),
    ).rejects.toThrow(HeedError);
  });

  it('refuses two questions with one id, before it asks', async () => {
    const never = teacher(() => {
      throw new Error('asked');
    });
    await expect(all(never, [questions[0], questions[0]])).rejects.toThrow(HeedError);
  });
});
