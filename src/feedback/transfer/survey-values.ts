/** What the possible answers of a question mean: a choice between two fields, or good and bad. */
import type { PairChoice } from '../judgment.ts';
import type { SurveyField, SurveyQuestion } from './survey.ts';

/** A choice between two fields. */
export interface PairValues {
  /** Names of the two fields, the first one first. */
  fields: readonly [string, string];
  /** The choice that each answer is. */
  choices: ReadonlyMap<string, PairChoice>;
}

/** A name without its case, spaces and marks. */
export const plain = (text: string) => text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '');

const NEITHER: readonly [choice: PairChoice, names: RegExp][] = [
  ['tie', /^(tie|tied|equal|equallygood|same|bothgood|both|draw|nopreference)$/],
  ['both-bad', /^(bothbad|neither|none|equallybad|bad)$/],
  ['unknown', /^(unknown|unsure|cannottell|canttell|dontknow|notsure|skip)$/],
];

/** Names of the first and the second of two, as tools and people write them. */
const PLACES = [
  /^(left|first|a|1|(response|option|answer|completion|output|text|model)(1|a))$/,
  /^(right|second|b|2|(response|option|answer|completion|output|text|model)(2|b))$/,
];

/**
 * The choice between two fields that a question asks for, if its answers name two fields, or the left and the right of
 * the fields that it is on, and otherwise only ties and the like.
 */
export function pairValues(
  { kind, values, on }: Pick<SurveyQuestion, 'kind' | 'values' | 'on'>,
  fields: readonly SurveyField[],
): PairValues | undefined {
  const named = values.flatMap((value) => fields.find(({ name }) => plain(name) === plain(value))?.name ?? []);
  const places = PLACES.map((pattern) => values.find((value) => pattern.test(plain(value))));
  const judged = on?.length === 2 ? on : candidates(fields);
  const placed = (kind === 'pair' || places.every(Boolean)) && judged.length === 2 ? judged : undefined;
  const pair = new Set(named).size === 2 ? [...new Set(named)] : placed;
  if (!pair) return undefined;
  const choices = new Map<string, PairChoice>();
  for (const value of values) {
    const at = pair.findIndex((name) => plain(name) === plain(value));
    const inWords = named.length === 2 ? -1 : PLACES.findIndex((pattern) => pattern.test(plain(value)));
    const place = at >= 0 ? at : inWords;
    const other = NEITHER.find(([, names]) => names.test(plain(value)))?.[0];
    if (place >= 0) choices.set(value, place === 0 ? 'first' : 'second');
    else if (other) choices.set(value, other);
    else return undefined;
  }
  return { fields: pair as [string, string], choices };
}

const RESPONSE =
  /^(response|completion|answer|output|generation|candidate|summary|chosen|rejected|option|reply|model)/i;

/** Names of the fields that hold responses, by their names. */
export const candidates = (fields: readonly SurveyField[]): string[] =>
  fields.filter(({ name, kind }) => kind !== 'other' && RESPONSE.test(name)).map(({ name }) => name);

const GOOD =
  /^(good|yes|y|true|correct|right|positive|accept|accepted|acceptable|approve|approved|safe|pass|passed|valid|1|thumbsup|like|chosen|helpful|ok)$/;
const BAD =
  /^(bad|no|n|false|incorrect|wrong|negative|reject|rejected|unacceptable|disapprove|unsafe|fail|failed|invalid|0|thumbsdown|dislike|unhelpful|notok)$/;

/** Of two opposite labels, the good one. */
export function polarityOf(values: readonly string[]): string | undefined {
  if (values.length !== 2) return undefined;
  const good = values.filter((value) => GOOD.test(plain(value)));
  const bad = values.filter((value) => BAD.test(plain(value)));
  return good.length === 1 && bad.length === 1 ? good[0] : undefined;
}
