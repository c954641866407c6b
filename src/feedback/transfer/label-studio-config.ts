/** Labeling configurations of Label Studio: which data a task shows, and what it asks about them. */
import type { SurveyField, SurveyQuestion } from './survey.ts';
import { readXml, type Tag } from './xml.ts';

/** A question of a configuration. */
export interface ControlQuestion extends SurveyQuestion {
  /** Answers by the names that results have for them, where they differ from `values`. */
  aliases?: Readonly<Record<string, string>>;
}

/** What a configuration shows and asks. */
export interface LabelingConfig {
  /** Data that tasks show, by the names of their columns. */
  fields: SurveyField[];
  questions: ControlQuestion[];
  /** Column of the data by the name of the tag that shows it. */
  columns: ReadonlyMap<string, string>;
  /** What the configuration tells people in headings. */
  headers: string[];
}

const SHOWN: Readonly<Record<string, SurveyField['kind']>> = {
  Text: 'text',
  HyperText: 'text',
  Markdown: 'text',
  Paragraphs: 'chat',
  Chat: 'chat',
  Image: 'image',
  List: 'list',
};

/** Reads a configuration. @throws HeedError with the line if it is not XML. */
export function readLabelingConfig(text: string, file = 'the labeling configuration'): LabelingConfig {
  const tags = [...within(readXml(text, file))];
  const columns = new Map<string, string>();
  const fields: SurveyField[] = [];
  const headers: string[] = [];
  for (const { name: tag, attributes } of tags) {
    const { name, value = '', toName } = attributes;
    if (tag === 'Header' && value !== '' && !value.startsWith('$')) headers.push(value);
    // a tag that shows data has a name and a column, and none that it is about
    if (name === undefined || toName !== undefined || !value.startsWith('$')) continue;
    const column = value.slice(1);
    columns.set(name, column);
    if (!fields.some((field) => field.name === column)) fields.push({ name: column, kind: SHOWN[tag] ?? 'other' });
  }
  const questions = tags.flatMap((tag) => questionOf(tag, columns, fields) ?? []);
  return { fields, questions, columns, headers };
}

function* within(tag: Tag): Generator<Tag> {
  yield tag;
  for (const child of tag.children) yield* within(child);
}

/** Tags that have a name and a target, and ask nothing. */
const ASK_NOTHING = new Set(['Filter', 'Relations', 'Shortcut']);

function questionOf(
  tag: Tag,
  columns: ReadonlyMap<string, string>,
  fields: readonly SurveyField[],
): ControlQuestion | undefined {
  const { name, toName, title, perRegion } = tag.attributes;
  if (name === undefined || toName === undefined || ASK_NOTHING.has(tag.name)) return undefined;
  const on = toName.split(',').flatMap((target) => columns.get(target.trim()) ?? []);
  const question = { name, type: tag.name, ...(title && { title }), ...(on.length > 0 && { on }) };
  // about a part of a text or of a picture
  if (perRegion === 'true') return { ...question, kind: 'other', values: [] };
  const choices = [...within(tag)].filter(({ name }) => name === 'Choice').map(({ attributes }) => attributes);
  switch (tag.name) {
    case 'Pairwise': {
      const { leftClass = 'left', rightClass = 'right' } = tag.attributes;
      const aliases = { [leftClass]: 'left', [rightClass]: 'right' };
      return { ...question, kind: 'pair', values: ['left', 'right'], aliases };
    }
    case 'Rating': {
      const most = Math.max(2, Number(tag.attributes.maxRating ?? 5) || 5);
      return { ...question, kind: 'rating', values: Array.from({ length: most }, (_, i) => String(i + 1)) };
    }
    case 'Choices': {
      const values = choices.map(({ alias, value = '' }) => alias ?? value);
      const aliases = Object.fromEntries(choices.map(({ alias, value = '' }) => [value, alias ?? value]));
      const kind = tag.attributes.choice === 'multiple' ? 'labels' : 'label';
      const dynamic = values.length === 0;
      return { ...question, kind: dynamic ? 'other' : kind, values, aliases };
    }
    case 'TextArea':
      return { ...question, kind: 'text', values: [] };
    case 'Ranker': {
      const list = on.find((column) => fields.find(({ name, kind }) => name === column && kind === 'list'));
      // buckets group things instead of ordering them
      const grouped = [...within(tag)].some(({ name }) => name === 'Bucket');
      return { ...question, kind: list && !grouped ? 'ranking' : 'other', values: [], ...(list && { on: [list] }) };
    }
    default:
      return { ...question, kind: 'other', values: [] };
  }
}
