/** Writes a project as a folder that Argilla's `Dataset.from_disk` loads. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Row } from '../../data/row.ts';
import { writeDataset } from '../../data/write.ts';
import type { Suggestion } from '../items/items.ts';
import { suggestedJudgment } from '../items/suggested-judgment.ts';
import type { Content, Judgment, Message, Option } from '../judgment.ts';
import { textOfMessage } from '../message.ts';
import type { Project } from '../project.ts';
import { type ExportParts, type JudgedItem, metadataOf, portableJudgments } from './judged-items.ts';
import type { LeftOut } from './left-out.ts';

const responseName = (index: number) => `response_${index + 1}`;
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/**
 * Writes `.argilla/settings.json`, `.argilla/dataset.json`, `records.json` and `users.json`, which has the names of people
 * by the ids in the records. Returns the number of records.
 */
export async function writeArgilla(
  folder: string,
  { project, guidelines, items, users, left }: ExportParts,
): Promise<number> {
  const isChat = items.some(({ item: { content } }) => Array.isArray(content.prompt));
  const options = items.reduce((most, { item }) => Math.max(most, item.content.options.length), 0);
  mkdirSync(join(folder, '.argilla'), { recursive: true });
  const name = project.name.toLowerCase().replace(/[^a-z0-9_-]+/g, '-');
  const distribution = { strategy: 'overlap', min_submitted: project.settings.overlap };
  const common = { guidelines: guidelines || null, allow_extra_metadata: true, distribution };
  writeJson(join(folder, '.argilla', 'dataset.json'), { name, status: 'draft', ...common });
  const fields = [
    {
      name: 'prompt',
      title: 'Prompt',
      required: false,
      settings: { type: isChat ? 'chat' : 'text', use_markdown: true },
    },
    ...Array.from({ length: options }, (_, i) => ({
      name: responseName(i),
      title: `Response ${i + 1}`,
      required: i < 2 && i < options,
      settings: { type: 'text', use_markdown: true },
    })),
  ];
  const questions = questionsOf(project.settings, options);
  const settings = { ...common, fields, questions, vectors: [], metadata: [], mapping: null };
  writeJson(join(folder, '.argilla', 'settings.json'), settings);
  const people = new Map<string, string>();
  const idOf = (person: string, name: string) => {
    const id = users.get(name) ?? (UUID.test(name) ? name : person);
    people.set(id, name);
    return id;
  };
  const records = items.flatMap((one) => {
    const row = recordOf(one, { isChat, settings: project.settings, idOf, left });
    return row === undefined ? [] : [row];
  });
  const rows = await writeDataset(join(folder, 'records.json'), records);
  writeJson(join(folder, 'users.json'), Object.fromEntries(people));
  return rows;
}

const writeJson = (path: string, value: unknown): void => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);

const labels = (values: readonly string[]) => values.map((value) => ({ value, text: value }));

/** Aspects that are labels of one question: a scale of 2, and names such as `topics: law`. */
function labelGroups({ aspects }: Project['settings']): Map<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const { name, scale } of aspects) {
    const at = name.indexOf(': ');
    if (scale !== 2 || at <= 0) continue;
    const question = name.slice(0, at);
    groups.set(question, [...(groups.get(question) ?? []), name.slice(at + 2)]);
  }
  return groups;
}

function questionsOf(settings: Project['settings'], options: number): Row[] {
  const { kind, aspects, reason } = settings;
  const question = (name: string, own: Row, rest: Row = {}) => ({
    name,
    title: name,
    description: null,
    required: true,
    ...rest,
    settings: own,
  });
  const responses = Array.from({ length: options }, (_, i) => responseName(i));
  const why =
    reason === 'none'
      ? []
      : [question('reason', { type: 'text', use_markdown: false }, { required: reason === 'required' })];
  switch (kind) {
    case 'pair': {
      const others = [
        ...(settings.tie ? ['tie'] : []),
        ...(settings.bothBad ? ['both_bad'] : []),
        ...(settings.unknown ? ['unknown'] : []),
      ];
      return [question('preference', { type: 'label_selection', options: labels([...responses, ...others]) }), ...why];
    }
    case 'ranking':
      return [question('ranking', { type: 'ranking', options: labels(responses) }), ...why];
    case 'binary':
      return [question('quality', { type: 'label_selection', options: labels(['good', 'bad']) }), ...why];
    case 'rating': {
      const groups = labelGroups(settings);
      const grouped = new Set([...groups].flatMap(([name, values]) => values.map((value) => `${name}: ${value}`)));
      const ratings = aspects.filter(({ name }) => !grouped.has(name));
      return [
        ...ratings.map(({ name, description, scale }) =>
          question(
            name,
            { type: 'rating', options: Array.from({ length: scale }, (_, i) => ({ value: i + 1 })) },
            { description: description || null },
          ),
        ),
        ...Array.from(groups, ([name, values]) =>
          question(name, { type: 'multi_label_selection', options: labels(values) }),
        ),
        ...why,
      ];
    }
    default:
      return [question('text', { type: 'text', use_markdown: true }), ...why];
  }
}

/** The answers by question that a judgment is. */
function answersOf(judgment: Judgment, settings: Project['settings']): Row {
  switch (judgment.kind) {
    case 'pair': {
      const names = {
        first: responseName(0),
        second: responseName(1),
        tie: 'tie',
        'both-bad': 'both_bad',
        unknown: 'unknown',
      };
      return { preference: names[judgment.choice] };
    }
    case 'ranking': {
      const order = judgment.ranks.map((rank, i) => ({ value: responseName(i), rank }));
      return { ranking: order.sort((a, b) => a.rank - b.rank) };
    }
    case 'binary':
      return { quality: judgment.good ? 'good' : 'bad' };
    case 'rating': {
      const groups = labelGroups(settings);
      const answers: Row = {};
      for (const [question, values] of groups) {
        const rated = values.filter((value) => judgment.ratings[`${question}: ${value}`] !== undefined);
        if (rated.length > 0)
          answers[question] = rated.filter((value) => judgment.ratings[`${question}: ${value}`] === 2);
      }
      for (const { name } of settings.aspects) {
        const isLabel = [...groups].some(([question, values]) =>
          values.some((value) => name === `${question}: ${value}`),
        );
        if (!isLabel && judgment.ratings[name] !== undefined) answers[name] = judgment.ratings[name];
      }
      return answers;
    }
    default:
      return { text: judgment.text };
  }
}

interface RecordParts {
  isChat: boolean;
  settings: Project['settings'];
  idOf(person: string, name: string): string;
  left: LeftOut;
}

function recordOf(one: JudgedItem, { isChat, settings, idOf, left }: RecordParts): Row | undefined {
  const { item } = one;
  left.next();
  const { argilla_id: id = item.id, ...metadata } = metadataOf(item);
  const texts = item.content.options.map((option) => textOfOption(option, left));
  if (texts.includes(undefined)) {
    left.add('items with clips or images');
    return undefined;
  }
  const responses: Record<string, Row[]> = {};
  for (const { person, name, vote } of portableJudgments(one, left)) {
    if (vote.kind === 'skip') continue;
    const { reason } = vote;
    for (const [question, value] of Object.entries({ ...answersOf(vote, settings), ...(reason && { reason }) })) {
      responses[question] = [...(responses[question] ?? []), { value, user_id: idOf(person, name) }];
    }
  }
  return {
    id,
    fields: {
      ...promptField(item.content, isChat, left),
      ...Object.fromEntries(texts.map((text, i) => [responseName(i), text])),
    },
    metadata: Object.fromEntries(Object.entries(metadata).map(([name, value]) => [name, plainValue(value)])),
    suggestions: item.suggestion ? suggestionsOf(item.suggestion, settings) : {},
    responses,
    vectors: {},
  };
}

/** Metadata of Argilla is flat. */
const plainValue = (value: unknown): unknown =>
  typeof value === 'object' && value !== null ? JSON.stringify(value) : value;

function suggestionsOf(suggestion: Suggestion, settings: Project['settings']): Row {
  const judgment = suggestedJudgment(suggestion, settings.kind);
  if (!judgment) return {};
  const { by: agent, score = null } = suggestion;
  return Object.fromEntries(
    Object.entries(answersOf(judgment, settings)).map(([question, value]) => [question, { value, score, agent }]),
  );
}

function promptField({ prompt }: Content, isChat: boolean, left: LeftOut): Row {
  if (prompt === undefined) return {};
  if (typeof prompt === 'string') return { prompt: isChat ? [{ role: 'user', content: prompt }] : prompt };
  return { prompt: prompt.map((message) => ({ role: message.role, content: portableText(message, left) })) };
}

/** The text of a message; its images and calls of tools are counted. */
export function portableText(message: Message, left: LeftOut): string {
  const { content, tool_calls: calls } = message;
  if (calls !== undefined) left.add('calls of tools');
  if (Array.isArray(content) && content.some(({ type }) => type !== 'text')) left.add('images in messages');
  return textOfMessage(message);
}

/** The text of an option; undefined for clips and images. */
export function textOfOption(option: Option, left: LeftOut): string | undefined {
  if (option.kind === 'text') return option.text;
  if (option.kind === 'messages') return option.messages.map((message) => portableText(message, left)).join('\n\n');
  return undefined;
}
