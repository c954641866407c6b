/**
 * Questions to a teacher who answers when they come to it, as people do: training goes on meanwhile with the reward there
 * is, and learns of answers as they come (Christiano et al. 2017, §2.2). It waits only for the first answers, and where
 * it would run far ahead of a teacher who is there.
 */
import { HeedError } from '../error.ts';
import { ask, type Choice, type Teacher } from '../preference/index.ts';
import { type Asked, drawQuestions, type Pending, type Questioning, questionOf, type Source } from './queries.ts';
import type { Segment } from './segments.ts';

export interface LateAnswers {
  /** How many questions have no answer. */
  readonly waiting: number;
  /** Questions of which nothing was learnt yet, answered or not: what is asked again after a resumption. */
  readonly open: readonly Pending[];
  /** Puts questions to the teacher. */
  ask(questions: readonly Pending[]): void;
  /**
   * What was said since the last call, in the order of the questions; for what was skipped something else is asked. Rejects with the
   * signal's reason, and then keeps what was said for the next call.
   *
   * @throws HeedError where all labels are given and none says which option is better, or what the teacher threw.
   */
  hear(progress: Questioning & { labels: number }, signal?: AbortSignal): Promise<readonly Asked[]>;
  /** Listens no more. */
  stop(): void;
}

/** Answers that are waited for before the first fit, where the first round asks for so many. */
const FIRST_ANSWERS = 10;
/** The longest that a timer waits, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

export function createLateAnswers(teacher: Teacher<Segment>, source: Source): LateAnswers {
  const { labels, steps, people } = source.options;
  const stopping = new AbortController();
  const open = new Map<string, { question: Pending; choice?: Choice | 'skip' }>();
  let failed: { error: unknown } | undefined;
  /** Whether answers that are due are waited for: not once the teacher has gone, until they say something again. */
  let present = true;
  let told = () => {};
  let news = false;

  function tell(): void {
    news = true;
    told();
  }

  function say(id: string, choice: Choice | 'skip'): void {
    const asked = open.get(id);
    if (!asked || asked.choice) return;
    asked.choice = choice;
    tell();
  }

  /** Tells of what is skipped, too, which `ask` passes over. */
  const heard: Teacher<Segment> = {
    name: teacher.name,
    async *answer(questions, signal) {
      for await (const answer of teacher.answer(questions, signal)) {
        if (answer.choice === 'skip') say(answer.id, 'skip');
        yield answer;
      }
    },
  };

  async function listen(questions: readonly Pending[]): Promise<void> {
    try {
      for await (const { id, choice } of ask(heard, questions.map(questionOf), stopping.signal)) say(id, choice);
      // of the others the teacher has no more to say
      if (!stopping.signal.aborted) for (const { id } of questions) say(id, 'skip');
    } catch (error) {
      failed = { error };
      tell();
    }
  }

  function put(questions: readonly Pending[]): void {
    for (const question of questions) open.set(question.id, { question });
    if (questions.length > 0) void listen(questions);
  }

  const answers = (): Asked[] =>
    [...open.values()].flatMap(({ question, choice }) =>
      choice === undefined || choice === 'skip' ? [] : [{ ...question, choice }],
    );
  const waiting = () => [...open.values()].filter(({ choice }) => choice === undefined);

  function takeSkipped(): number {
    const skipped = [...open].filter(([, { choice }]) => choice === 'skip');
    for (const [id] of skipped) open.delete(id);
    return skipped.length;
  }

  /** Until the teacher says something, or so many seconds have passed. */
  async function wait(seconds: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      told = resolve;
      if (news) return resolve();
      timer = setTimeout(told, Math.min(1000 * seconds, LONGEST));
      signal?.addEventListener('abort', told);
    });
    clearTimeout(timer);
    signal?.removeEventListener('abort', told);
    news = false;
    signal?.throwIfAborted();
  }

  return {
    get waiting() {
      return waiting().length;
    },
    get open() {
      return [...open.values()].map(({ question }) => question);
    },
    ask: put,
    async hear(progress, signal) {
      let since = performance.now();
      for (let known = 0; ; ) {
        if (failed) throw failed.error;
        const skipped = takeSkipped();
        if (skipped > 0) put(drawQuestions(source, progress, skipped));
        const said = answers();
        if (said.length + skipped > known) {
          since = performance.now();
          present = true;
        }
        known = said.length;
        const oldest = waiting()[0]?.question;
        const decided = progress.fitted || said.some(({ choice }) => choice !== 'incomparable');
        const left = people.patience - (performance.now() - since) / 1000;
        if (left <= 0) present = false;
        const due =
          oldest && (progress.fitted ? progress.step - oldest.step > people.ahead * steps : known < FIRST_ANSWERS);
        if (!oldest && !decided && labels > 0 && progress.labels + known >= labels) throw nothingToLearnFrom(labels);
        // without a first answer there is nothing to go on with
        if (oldest && (!decided || (due && present))) {
          await wait(decided ? left : Number.POSITIVE_INFINITY, signal);
          continue;
        }
        for (const { id } of said) open.delete(id);
        return said;
      }
    },
    stop: () => stopping.abort(),
  };
}

const nothingToLearnFrom = (labels: number) =>
  new HeedError(`none of the ${labels} answers says which clip is better, so there is nothing to learn from`, {
    hint: 'start again, and choose the clip that is more like what the agent is to do',
  });
