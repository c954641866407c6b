/** What an item shows of a survey's record: which fields are the prompt, and which are judged. */
import type { Row } from '../../data/row.ts';
import type { ItemKind, Message } from '../judgment.ts';
import type { SurveyField, SurveyFields, SurveyQuestion, SurveyRecord } from './survey.ts';
import { candidates } from './survey-values.ts';

/** How the content of items is made of records. */
export interface SurveyContent {
  /** The prompt and the options of a record; a text says why it cannot be shown. */
  of(record: SurveyRecord): Row | string;
  /** Names of the options of a record, for rankings. */
  names(record: SurveyRecord): string[];
  /** Whether no field is judged: all of them are the prompt. */
  isWhole: boolean;
}

/** Makes the content for a question. Fields that somebody chose come first, then what the tool says, then names. */
export function surveyContent(
  fields: readonly SurveyField[],
  question: Pick<SurveyQuestion, 'name' | 'on'>,
  kind: ItemKind,
  chosen: SurveyFields,
): SurveyContent {
  const judged = fieldsJudged(fields, question, kind, chosen);
  const list = judged.length === 1 ? fields.find(({ name, kind }) => name === judged[0] && kind === 'list') : undefined;
  const isShown = ({ kind }: SurveyField) => kind !== 'list' && kind !== 'other';
  const prompt = chosen.prompt ?? fields.filter(isShown).map(({ name }) => name);
  const asked = fields.filter(({ name }) => prompt.includes(name) && !judged.includes(name));
  const judgedFields = judged.map((name) => fields.find((field) => field.name === name)!);
  const [only] = kind === 'pair' || kind === 'ranking' ? [] : judgedFields;
  return {
    isWhole: judged.length === 0,
    names: ({ fields }) => (list ? thingsIn(fields[list.name]).map(({ id }) => id) : [...judged]),
    of({ fields: values }) {
      if (list) return { ...promptOf(asked, values), options: thingsIn(values[list.name]).map(({ text }) => text) };
      // a conversation that is judged as a whole: its last turn is the response
      if (judgedFields.length === 1 && only?.kind === 'chat' && Array.isArray(values[only.name])) {
        const messages = values[only.name] as Message[];
        const last = messages.findLastIndex(({ role }) => role !== 'assistant') + 1;
        if (last < messages.length) {
          const before = promptOf(asked, values).prompt;
          const start = before === undefined ? [] : [{ role: 'system', content: joinedText(before) }];
          const earlier = [...start, ...messages.slice(0, last).map(plainMessage)];
          const response = messages.slice(last).map(plainMessage);
          return { ...(earlier.length > 0 && { prompt: earlier }), options: [response] };
        }
      }
      const options: unknown[] = [];
      for (const field of judgedFields) {
        const option = optionIn(field, values[field.name]);
        if (option === undefined) return `nothing in the field "${field.name}", which is judged`;
        if (typeof option === 'object' && 'away' in option) return 'pictures that are not inside the file';
        options.push(option);
      }
      // several fields that are judged as one
      const joined = only && options.length > 1 ? [withTitles(judgedFields, values)] : options;
      return { ...promptOf(asked, values), options: joined };
    },
  };
}

function fieldsJudged(
  fields: readonly SurveyField[],
  { name, on }: Pick<SurveyQuestion, 'name' | 'on'>,
  kind: ItemKind,
  chosen: SurveyFields,
): readonly string[] {
  if (kind === 'demonstration') return [];
  if (chosen.options && kind !== 'pair') return chosen.options;
  const named = candidates(fields);
  // a text written about a field that is no response does not correct it
  if (kind === 'correction' && on) return on.length === 1 && named.includes(on[0]) ? on : [];
  if (on && on.length > 0) return on;
  if (kind === 'pair' || kind === 'ranking') return named;
  const meant = named.filter((field) => name.toLowerCase().includes(field.toLowerCase()));
  if (meant.length === 1) return meant;
  // a text about several responses corrects none of them
  if (kind === 'correction') return named.length === 1 ? named : [];
  if (named.length > 0) return named;
  const shown = fields.filter((field) => field.kind !== 'other' && field.kind !== 'list');
  return shown.slice(-1).map((field) => field.name);
}

/** Texts of fields, each under its title. */
const withTitles = (fields: readonly SurveyField[], values: Row): string =>
  fields.map(({ name, title = name }) => `${title}:\n\n${joinedText(values[name])}`).join('\n\n');

function promptOf(fields: readonly SurveyField[], values: Row): { prompt?: unknown } {
  const full = fields.filter(({ name }) => values[name] !== undefined && values[name] !== null && values[name] !== '');
  if (full.length === 0) return {};
  const [{ name, kind }] = full;
  if (full.length > 1) return { prompt: withTitles(full, values) };
  if (kind === 'chat' && Array.isArray(values[name])) return { prompt: (values[name] as Message[]).map(plainMessage) };
  return { prompt: joinedText(values[name]) };
}

const plainMessage = ({ role, content, ...rest }: Message): Message => ({
  role,
  content,
  ...('tool_calls' in rest && { tool_calls: rest.tool_calls }),
});

const PICTURE = /^data:image\//;

function optionIn({ kind }: SurveyField, value: unknown): string | object | undefined {
  if (value === undefined || value === null || value === '') return undefined;
  if (kind === 'image') return PICTURE.test(String(value)) ? { kind: 'image', href: String(value) } : { away: true };
  if (kind === 'chat' && Array.isArray(value)) return (value as Message[]).map(plainMessage);
  return joinedText(value);
}

/** The things of a list to rank: their ids, and what people see. */
function thingsIn(value: unknown): { id: string; text: string }[] {
  return (Array.isArray(value) ? value : []).map((thing, i) => {
    if (typeof thing !== 'object' || thing === null) return { id: String(thing), text: String(thing) };
    const { id = i, title, body, html } = thing as Row;
    const text = [title, body ?? html].filter((part) => part !== undefined && part !== '').join('\n\n');
    return { id: String(id), text: text === '' ? JSON.stringify(thing) : text };
  });
}

/** A value as a text: texts of a list or of messages one after another. */
export function joinedText(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return typeof value === 'object' ? JSON.stringify(value) : String(value);
  return value
    .map((one) => {
      const { role, content } = (typeof one === 'object' && one !== null ? one : {}) as Partial<Message>;
      return role === undefined ? joinedText(one) : `${role}: ${joinedText(content)}`;
    })
    .join('\n\n');
}
