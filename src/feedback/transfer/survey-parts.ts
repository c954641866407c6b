/**
 * Surveys: what labeling tools such as Argilla and Label Studio ask about a record, as fields and questions. heed asks
 * one kind of judgment in a project, so a survey becomes one project for each kind that its questions have.
 *
 * Ratings become aspects of one project; so do labels, each an aspect on a scale of 2. A label that names one of two
 * fields is a choice between them, one of two opposite labels is good or bad, and a text is a correction or a
 * demonstration. What has no counterpart is counted.
 */
import type { BadRow, Place, Row } from '../../data/row.ts';
import { HeedError } from '../../error.ts';
import { grouped } from '../../grouped.ts';
import type { Suggestion } from '../items/items.ts';
import type { ItemKind, JudgmentOrSkip } from '../judgment.ts';
import type { LeftOut } from './left-out.ts';
import type { Survey, SurveyFields, SurveyPart, SurveyQuestion, SurveyRecord } from './survey.ts';
import { joinedText, surveyContent } from './survey-content.ts';
import {
  binaryReading,
  pairReading,
  rankingReading,
  ratingReading,
  type SurveyReading,
  textReading,
} from './survey-readings.ts';
import { pairValues, polarityOf } from './survey-values.ts';

const REASON = /reason|comment|explan|rationale|feedback|\bwhy\b|notes?\b/i;

/**
 * The projects that a survey becomes, one for each kind of judgment.
 *
 * @throws HeedError if heed has no judgment for any of its questions.
 */
export async function surveyParts(survey: Survey, chosen: SurveyFields = {}): Promise<SurveyPart[]> {
  const { fields, questions } = survey;
  for (const [flag, names] of Object.entries(chosen)) {
    const missing = names?.find((name: string) => !fields.some((field) => field.name === name));
    if (missing === undefined) continue;
    throw new HeedError(`--${flag === 'options' ? 'options' : 'prompt'}: there is no field "${missing}".`, {
      hint: `Fields: ${fields.map(({ name }) => name).join(', ')}.`,
    });
  }
  const texts = questions.filter(({ kind }) => kind === 'text');
  const why = texts.find(({ name, title = '' }) => REASON.test(`${name} ${title}`));
  const reason = questions.some((one) => one !== why && one.kind !== 'other') ? why : undefined;
  const content = (one: Pick<SurveyQuestion, 'name' | 'on'>, kind: ItemKind) =>
    surveyContent(fields, one, kind, chosen);
  const readings: SurveyReading[] = [];
  const rated: SurveyQuestion[] = [];
  for (const question of questions) {
    if (question === reason || question.kind === 'other') continue;
    const on = chosen.options ?? question.on;
    const pair =
      question.kind === 'label' || question.kind === 'pair' ? pairValues({ ...question, on }, fields) : undefined;
    const polarity = question.kind === 'label' ? polarityOf(question.values) : undefined;
    if (pair) readings.push(pairReading(question, pair, content({ ...question, on: pair.fields }, 'pair')));
    else if (question.kind === 'ranking') {
      if (question.on) readings.push(rankingReading(question, content(question, 'ranking')));
    } else if (polarity) readings.push(binaryReading(question, polarity, content(question, 'binary')));
    else if (question.kind === 'text') readings.push(textReading(question, content));
    else if (question.kind !== 'pair') rated.push(question);
  }
  for (const group of await answeredTogether(rated, survey)) {
    readings.push(ratingReading(group, content({ name: group[0].name, on: group[0].on }, 'rating')));
  }
  if (readings.length === 0) {
    const asked = questions.map(({ name, type }) => `${name} (${type})`).join(', ') || 'none';
    throw new HeedError(`heed has no judgment for any question of this ${survey.tool} data: ${asked}.`, {
      hint: 'It has judgments for ratings, labels, rankings, choices between two fields, and texts.',
    });
  }
  const unread = questions.filter(({ name }) => name !== reason?.name && !readings.some((one) => has(one, name)));
  const nameOf = ({ questions }: SurveyReading) => (questions.length === 1 ? questions[0].name : 'ratings');
  return readings.map((reading, i) => ({
    questions: reading.questions.map(({ name }) => name),
    suffix: readings.length === 1 ? '' : nameOf(reading),
    settings: {
      ...reading.settings,
      kind: reading.kind,
      ...(survey.overlap !== undefined && { overlap: survey.overlap }),
      reason: reason ? 'optional' : 'none',
    },
    // what no project can hold is counted with the first
    rows: (left) => rowsOf(survey, reading, reason, i === 0 ? unread : [], left),
  }));
}

/** Whether a reading is of the question with a name. */
const has = ({ questions }: SurveyReading, name: string) => questions.some((one) => one.name === name);

async function* rowsOf(
  survey: Survey,
  reading: SurveyReading,
  reason: SurveyQuestion | undefined,
  unread: readonly SurveyQuestion[],
  left: LeftOut,
): AsyncGenerator<(Place & { value: Row }) | BadRow> {
  for await (const record of survey.records()) {
    left.next();
    if ('reason' in record) {
      yield record;
      continue;
    }
    const { file, line, row, id, metadata } = record;
    const shown = reading.content.of(record);
    if (typeof shown === 'string') {
      left.add(shown);
      continue;
    }
    if (record.suggestions.some(({ question }) => question === reason?.name)) left.add('suggested reasons');
    for (const { name, type } of unread) {
      if ([...record.answers, ...record.suggestions].some(({ question }) => question === name)) {
        left.add(`answers to the question "${name}" (${type}), which heed does not have`);
      }
    }
    const suggestion = suggestionIn(record, reading, left);
    const value = {
      ...shown,
      metadata: { ...metadata, [`${survey.tool.replace(/\W/g, '_')}_id`]: id },
      ...(suggestion && { suggestion }),
      judgments: judgmentsIn(record, reading, reason, left),
    };
    yield { file, line, row, value };
  }
}

function judgmentsIn(
  record: SurveyRecord,
  reading: SurveyReading,
  reason: SurveyQuestion | undefined,
  left: LeftOut,
): Row[] {
  const answers = record.answers.filter(
    ({ question }) => question === '' || question === reason?.name || has(reading, question),
  );
  return [...grouped(answers, ({ user }) => user)].flatMap(([person, answers]) => {
    const [{ time, duration }] = answers;
    const why = joinedText(answers.find(({ question }) => question === reason?.name)?.value);
    const said = answers.filter(({ question }) => question !== reason?.name);
    const recordOf = (judgment: JudgmentOrSkip) => [
      {
        person,
        judgment,
        key: record.id,
        ...(time !== undefined && { time }),
        ...(duration !== undefined && { duration }),
      },
    ];
    if (answers.some(({ status }) => status === 'discarded')) {
      return recordOf({ kind: 'skip', ...(why && { reason: why }) });
    }
    if (answers.some(({ status }) => status === 'draft')) {
      left.add('responses that are drafts');
      return [];
    }
    if (said.length === 0) {
      if (why) left.add('reasons without a judgment');
      return [];
    }
    if (said.some(({ truth }) => truth)) left.add('answers marked as the truth, which were imported as judgments');
    const judgment = reading.judgmentOf(new Map(said.map(({ question, value }) => [question, value])), record);
    if (typeof judgment === 'string') {
      left.add(judgment);
      return [];
    }
    return recordOf({ ...judgment, ...(why && { reason: why }) });
  });
}

function suggestionIn(record: SurveyRecord, reading: SurveyReading, left: LeftOut): Suggestion | undefined {
  const suggested = record.suggestions.filter(({ question, value }) => has(reading, question) && value !== null);
  if (suggested.length === 0) return undefined;
  const found = [...grouped(suggested, ({ agent }) => agent ?? 'model')].flatMap(([by, parts]): Suggestion[] => {
    const judgment = reading.judgmentOf(new Map(parts.map(({ question, value }) => [question, value])), record, true);
    if (typeof judgment === 'string') {
      left.add(`suggestions: ${judgment}`);
      return [];
    }
    const scores = parts.flatMap(({ score }) => (typeof score === 'number' ? [score] : []));
    // ratings have a score each: the suggestion is as sure as the least of them
    return [{ by, judgment, ...(scores.length > 0 && { score: Math.min(...scores) }) }];
  });
  if (found.length > 1) left.add('suggestions by several models: an item has the one with the highest score');
  return found.sort((a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity))[0];
}

/** Questions that everybody answers together are one group; one that is left out now and then is a group of its own. */
async function answeredTogether(questions: readonly SurveyQuestion[], survey: Survey): Promise<SurveyQuestion[][]> {
  const groups = grouped(questions, ({ on = [] }) => on.join());
  const partial = new Set<string>();
  for await (const record of survey.records()) {
    if ('reason' in record) continue;
    const users = new Map<string, Set<string>>();
    for (const { user, question, value, status } of record.answers) {
      if (status !== 'submitted' || value === null || value === undefined) continue;
      users.set(user, (users.get(user) ?? new Set()).add(question));
    }
    for (const answered of users.values()) {
      for (const group of groups.values()) {
        if (!group.some(({ name }) => answered.has(name))) continue;
        for (const { name } of group) if (!answered.has(name)) partial.add(name);
      }
    }
  }
  return [...groups.values()].flatMap((group) => {
    const whole = group.filter(({ name }) => !partial.has(name));
    const alone = group.filter(({ name }) => partial.has(name)).map((one) => [one]);
    return whole.length > 0 ? [whole, ...alone] : alone;
  });
}
