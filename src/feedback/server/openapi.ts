/** The studio's interface as an OpenAPI 3.1 document, of the same schemas by which requests are checked. */
import { z } from 'zod';
import { answerSchema, contentSchema, kinds, voteSchema } from '../judgment.ts';
import { type Role, roles } from '../people.ts';
import { settingsSchema } from '../project.ts';
import { chosenSchema, drawSchema } from './chat.ts';
import { eventsSchema } from './events.ts';
import { newPersonSchema, roleSchema } from './people.ts';
import {
  changesSchema,
  guidelinesSchema,
  itemsSchema,
  newProjectSchema,
  newVoteSchema,
  nextSchema,
  prioritiesSchema,
  undoSchema,
} from './projects.ts';
import { metricsSchema, pageSchema, samplesSchema, streamSchema } from './runs.ts';
import { signInSchema } from './session.ts';
import { exportSchema, importSchema } from './transfer.ts';

interface Operation {
  summary: string;
  /** Who may; anybody where none is named. */
  role?: Role;
  body?: z.ZodType;
  query?: z.ZodObject;
  /** What is answered; JSON of any shape where none is given. */
  answer?: z.ZodType;
  type?: string;
  status?: 201;
}

const person = z.object({ id: z.string(), name: z.string(), role: z.enum(roles) });
const signedIn = z.object({ person, csrf: z.string().optional() });
const whole = z.number().int();
const summary = z.object({
  id: z.string(),
  name: z.string(),
  kind: z.enum(kinds),
  created: z.number(),
  items: whole,
  answered: whole.describe('items with all the answers that are wanted'),
  labels: whole.describe('answers'),
  budget: whole.optional().describe('answers after which nobody is asked any more'),
  people: whole.describe('people who answered'),
});
const project = z.object({ id: z.string(), name: z.string(), settings: settingsSchema, created: z.number() });
const recorded = z.object({
  seq: whole.describe('position in the record'),
  answered: whole.describe('answers the item has now'),
  gold: answerSchema.optional().describe('of practice: what is right'),
  others: z.array(z.object({ person: z.string(), vote: voteSchema })).optional(),
});
const token = z.object({ person, token: z.string().describe('told this once') });
const empty = z.object({});
const told = z.number().nullable().describe('null where there is nothing to tell it by');
const quality = z.object({
  at: z
    .number()
    .describe(
      'milliseconds since 1970: what was said later is not in it; of much that was said an earlier report is given',
    ),
  answers: whole.describe('answers that count'),
  items: whole.describe('items they are to'),
  alpha: z
    .object({ alpha: told, interval: z.tuple([told, told]), items: whole })
    .describe('Krippendorff’s α, its interval of 95 %, and the items that several people answered'),
  cohen: told.describe('mean of Cohen’s κ of every two people'),
  fleiss: told.describe('Fleiss’ κ, where all items have equally many answers'),
  people: z.array(
    z.object({
      person: z.string(),
      name: z.string(),
      answers: whole,
      gold: z.object({ right: told, n: whole }).describe('share of known answers that they gave'),
      agreement: z.object({ share: told, n: whole }).describe('share of others’ answers that are theirs too'),
      reliability: told.describe('by Dawid and Skene'),
      seconds: told.describe('median of the time to an answer'),
      left: z
        .object({ share: told, z: told, n: whole })
        .describe('share of choices of the left, in deviations from a half'),
      fatigue: told.describe('how much less they agree with what is probably true at the end than at the beginning'),
    }),
  ),
  disagreements: z
    .array(z.object({ item: z.string(), confidence: z.number() }))
    .describe('the least clear, at most 1000'),
  undecided: whole.describe('disagreements that nobody has decided'),
  judged: whole.describe('items with a consensus'),
  guidelines: z.array(z.object({ version: whole, answers: whole })).describe('several, where they changed meanwhile'),
  balance: z.array(
    z.object({
      by: z.enum(['topic', 'source', 'length']),
      rows: z.array(z.object({ name: z.string(), items: whole, answered: whole })),
    }),
  ),
});
const item = itemsSchema.shape.items.element.extend({ id: z.string(), seq: whole });
const disagreement = z.object({
  item,
  confidence: z.number().describe('of the most probable answer'),
  answers: z.array(z.object({ person: z.string(), name: z.string(), answer: answerSchema })),
});

/** By method and path. */
export const operations: Readonly<Record<string, Operation>> = {
  'GET /session': { summary: 'Who is signed in', role: 'annotator', answer: signedIn },
  'POST /session': { summary: 'Sign in: sets the cookie of a session', body: signInSchema, answer: signedIn },
  'DELETE /session': { summary: 'Sign out', answer: empty },
  'GET /projects': { summary: 'All projects and how far they are', role: 'annotator', answer: z.array(summary) },
  'POST /projects': {
    summary: 'Make a project',
    role: 'owner',
    body: newProjectSchema,
    answer: summary,
    status: 201,
  },
  'GET /projects/{project}': {
    summary: 'A project with its settings, guidelines and progress',
    role: 'annotator',
    answer: project.extend({
      guidelines: z.object({ version: whole, text: z.string() }),
      progress: summary.extend({ mine: whole.describe('items that who asks has answered or skipped') }),
    }),
  },
  'PATCH /projects/{project}': {
    summary: 'Change settings; those that are left out stay',
    role: 'owner',
    body: changesSchema,
    answer: project,
  },
  'PUT /projects/{project}/guidelines': {
    summary: 'Write the guidelines: a new version, where the text is new',
    role: 'owner',
    body: guidelinesSchema,
    answer: z.object({ version: whole, text: z.string(), created: z.number() }),
  },
  'POST /projects/{project}/items': {
    summary: 'Add items; those that are there already stay as they are',
    role: 'owner',
    body: itemsSchema,
    answer: z.object({ added: whole, known: whole }),
  },
  'POST /projects/{project}/priorities': {
    summary: 'Say which items come first: those with the highest number',
    role: 'owner',
    body: prioritiesSchema,
    answer: z.object({ items: whole }),
  },
  'POST /projects/{project}/next': {
    summary: 'Items to answer, held for who asks until they expire; fewer where there are no more',
    role: 'annotator',
    body: nextSchema,
    answer: z.object({
      assignments: z.array(
        z.object({
          item: z.object({ id: z.string(), content: contentSchema, practice: z.boolean() }),
          shown: z.array(whole).describe('in which order to show the options'),
          expires: z.number().describe('milliseconds since 1970'),
        }),
      ),
    }),
  },
  'POST /projects/{project}/votes': {
    summary: 'Give or change an answer; the same id sent again is one vote',
    role: 'annotator',
    body: newVoteSchema,
    answer: recorded,
  },
  'POST /projects/{project}/undo': {
    summary: 'Take one’s last answer to an item back',
    role: 'annotator',
    body: undoSchema,
    answer: recorded,
  },
  'GET /projects/{project}/quality': { summary: 'What the answers are worth', role: 'reviewer', answer: quality },
  'GET /projects/{project}/disagreements': {
    summary: 'Items on which people disagree, the least clear first',
    role: 'reviewer',
    answer: z.array(disagreement),
  },
  'POST /projects/{project}/adjudicate': {
    summary: 'Decide an item: this answer counts, and nobody else is asked',
    role: 'reviewer',
    body: newVoteSchema,
    answer: recorded,
  },
  'POST /projects/{project}/import': {
    summary: 'Add items from the text of a file, and tell which rows do not fit',
    role: 'owner',
    body: importSchema,
    answer: z.object({ added: whole, known: whole, votes: whole, bad: whole, told: z.array(z.string()) }),
  },
  'GET /projects/{project}/export': {
    summary: 'Answers as a dataset, in a file',
    role: 'reviewer',
    query: exportSchema,
    type: 'application/octet-stream',
  },
  'POST /projects/{project}/chat': {
    summary: 'Choose between the two answers of a turn: an item with a vote',
    role: 'annotator',
    body: chosenSchema,
    answer: recorded,
  },
  'GET /chat': { summary: 'Which model can be talked to, if any', role: 'annotator' },
  'POST /chat': {
    summary: 'Two answers of the model to a conversation, in lines of JSON as they come; the last names the turn',
    role: 'annotator',
    body: drawSchema,
    type: 'application/x-ndjson',
  },
  'GET /settings-schema': { summary: 'JSON Schema of a project’s settings', role: 'annotator' },
  'GET /people': { summary: 'Who there is', role: 'reviewer' },
  'POST /people': { summary: 'Add somebody', role: 'owner', body: newPersonSchema, answer: token, status: 201 },
  'PATCH /people/{name}': { summary: 'Change a role', role: 'owner', body: roleSchema, answer: person },
  'POST /people/{name}/token': {
    summary: 'A new token in place of the old; sessions end',
    role: 'owner',
    answer: token,
  },
  'DELETE /people/{name}': {
    summary: 'Shut somebody out; what they answered stays',
    role: 'owner',
    answer: empty,
  },
  'GET /events': {
    summary: 'What happens in a project, as it happens; Last-Event-ID resumes',
    role: 'annotator',
    query: eventsSchema,
    type: 'text/event-stream',
  },
  'GET /runs': { summary: 'Runs, the newest first', role: 'annotator', query: pageSchema },
  'GET /runs/{run}': { summary: 'A run, its settings and latest metrics', role: 'annotator' },
  'GET /runs/{run}/metrics': {
    summary: 'Metrics in buckets that keep least and greatest values',
    role: 'annotator',
    query: metricsSchema,
  },
  'GET /runs/{run}/samples': { summary: 'What a run wrote for people', role: 'annotator', query: samplesSchema },
  'GET /runs/{run}/spread': { summary: 'How rewards, KL and lengths of a run’s answers are spread', role: 'annotator' },
  'GET /runs/{run}/report.html': { summary: 'A run’s report', role: 'annotator', type: 'text/html' },
  'GET /runs/{run}/stream': {
    summary: 'Rows as they come; Last-Event-ID resumes',
    role: 'annotator',
    query: streamSchema,
    type: 'text/event-stream',
  },
  'GET /machine': { summary: 'How busy the studio’s machine is', role: 'annotator' },
  'GET /openapi.json': { summary: 'This document' },
};

const schemaOf = (schema: z.ZodType, io: 'input' | 'output') => {
  const { $schema: _, ...own } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return own;
};

/** The whole document; it names no person, project or run. */
export function openApi(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const [route, { summary, role, body, query, answer, type, status }] of Object.entries(operations)) {
    const [method, path] = route.split(' ');
    const { properties = {}, required = [] } = query ? schemaOf(query, 'input') : {};
    const parameters = [
      ...[...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
        name,
        in: 'path',
        required: true,
        schema: { type: 'string' },
      })),
      ...Object.entries(properties).map(([name, schema]) => ({
        name,
        in: 'query',
        required: required.includes(name),
        schema,
      })),
    ];
    paths[`/api${path}`] ??= {};
    paths[`/api${path}`][method.toLowerCase()] = {
      summary,
      ...(role && { description: `Takes a person signed in: ${role}${role === 'owner' ? '' : ' or above'}.` }),
      security: role ? [{ token: [] }, { session: [], csrf: [] }] : [],
      ...(parameters.length > 0 && { parameters }),
      ...(body && {
        requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } },
      }),
      responses: {
        [status ?? 200]: {
          description: 'Done.',
          content: { [type ?? 'application/json']: { schema: answer ? schemaOf(answer, 'output') : {} } },
        },
        default: { $ref: '#/components/responses/error' },
      },
    };
  }
  const error = z.object({ error: z.object({ message: z.string(), hint: z.string().optional() }) });
  return {
    openapi: '3.1.0',
    info: {
      title: 'heed studio',
      version: '1',
      description: 'Projects, items, votes and people of a store, and the runs of a folder.',
    },
    paths,
    components: {
      responses: {
        error: {
          description: 'What is wrong.',
          content: { 'application/json': { schema: schemaOf(error, 'output') } },
        },
      },
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'A person’s token, as scripts send it.' },
        session: { type: 'apiKey', in: 'cookie', name: 'heed_session' },
        csrf: {
          type: 'apiKey',
          in: 'header',
          name: 'x-heed-csrf',
          description: 'The word of the session, with requests that change something.',
        },
      },
    },
  };
}
