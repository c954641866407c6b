/** Projects: what there is, what is asked next, what was said, and what that is worth. */
import { type Context, Hono } from 'hono';
import { z } from 'zod';
import { adjudicate, disagreements } from '../items/adjudication.ts';
import { nextItems } from '../items/assignment.ts';
import { addItems, setPriorities } from '../items/items.ts';
import { recordVote, undoVote } from '../items/record.ts';
import { answerSchema, contentSchema, voteSchema } from '../judgment.ts';
import {
  changeSettings,
  createProject,
  guidelinesOf,
  listProjects,
  type Project,
  type SettingsChanges,
  settingsSchema,
  writeGuidelines,
} from '../project.ts';
import { createReports } from '../quality/report.ts';
import type { Database } from '../store/database.ts';
import { bodyOf, type Env, personOf, projectOf } from './context.ts';

/** PostgreSQL keeps no NUL. */
const string = (longest: number) =>
  z
    .string()
    .max(longest)
    .regex(/^[^\0]*$/, 'text has no NUL in it');
const text = string(200_000);
export const newProjectSchema = z.object({
  name: z.string().max(100),
  settings: settingsSchema.prefault({}),
  guidelines: text.default(''),
});
export const itemsSchema = z.object({
  items: z
    .array(
      z.object({
        content: contentSchema,
        source: string(1000).optional(),
        topic: string(1000).optional(),
        metadata: z
          .record(z.string(), z.unknown())
          .refine((value) => JSON.stringify(value).length <= 100_000, 'expected at most 100,000 characters of JSON')
          .optional(),
        gold: answerSchema.optional(),
        practice: z.boolean().optional(),
        priority: z.number().optional(),
      }),
    )
    .max(10_000),
});
export const nextSchema = z.object({ count: z.number().int().min(1).max(50).default(1) });
const id = string(200).min(1);
export const newVoteSchema = z.object({
  id,
  item: id,
  vote: voteSchema,
  shown: z.array(z.number().int()).max(26).optional(),
  duration: z.number().min(0).max(1e9).optional(),
});
export const undoSchema = z.object({ id, item: id });

/** What is left out stays as it is: it has no default. What need not be set is taken away by null. */
export const changesSchema = z.strictObject(
  Object.fromEntries(
    Object.entries(settingsSchema.shape).map(([name, schema]) => {
      const plain = schema instanceof z.ZodDefault ? (schema.unwrap() as z.ZodType).optional() : schema.nullable();
      return [name, plain.describe(schema.description ?? name)];
    }),
  ),
) as z.ZodType<SettingsChanges>;
export const guidelinesSchema = z.object({ text });
export const prioritiesSchema = z.object({ priorities: z.record(id, z.number()) });

/** Disagreements to decide that are told at once. */
const SHOWN = 50;

export function projectRoutes(database: Database): Hono<Env> {
  const reports = createReports(database);
  const asked = (context: Context<Env>) => projectOf(database, context.req.param('project')!);
  return new Hono<Env>()
    .get('/', async (context) => {
      personOf(context);
      const projects = await listProjects(database);
      return context.json(await Promise.all(projects.map((project) => summaryOf(database, project))));
    })
    .post('/', async (context) => {
      const person = personOf(context, 'owner');
      const { name, settings, guidelines } = await bodyOf(context, newProjectSchema);
      const project = await createProject(database, name, settings, { guidelines, person: person.id });
      return context.json(await summaryOf(database, project), 201);
    })
    .get('/:project', async (context) => {
      const person = personOf(context);
      const project = await asked(context);
      const { version, text } = await guidelinesOf(database, project.id);
      const progress = {
        ...(await summaryOf(database, project)),
        mine: await answersOf(database, project.id, person.id),
      };
      return context.json({ ...project, guidelines: { version, text }, progress });
    })
    .patch('/:project', async (context) => {
      const person = personOf(context, 'owner');
      const project = await asked(context);
      const changes = await bodyOf(context, changesSchema);
      return context.json(await changeSettings(database, project, changes, person.id));
    })
    .put('/:project/guidelines', async (context) => {
      const person = personOf(context, 'owner');
      const { id } = await asked(context);
      const { text: written } = await bodyOf(context, guidelinesSchema);
      return context.json(await writeGuidelines(database, id, written, person.id));
    })
    .post('/:project/items', async (context) => {
      const person = personOf(context, 'owner');
      const project = await asked(context);
      const { items } = await bodyOf(context, itemsSchema);
      return context.json(await addItems(database, project, items, person.id));
    })
    .post('/:project/priorities', async (context) => {
      const person = personOf(context, 'owner');
      const { id } = await asked(context);
      const { priorities } = await bodyOf(context, prioritiesSchema);
      return context.json({ items: await setPriorities(database, id, new Map(Object.entries(priorities)), person.id) });
    })
    .post('/:project/next', async (context) => {
      const person = personOf(context);
      const project = await asked(context);
      const { count } = await bodyOf(context, nextSchema);
      const assignments = await nextItems(database, project, person.id, { count });
      return context.json({
        // what an item's answer is, and where it is from, would tell too much
        assignments: assignments.map(({ item: { id, content, practice }, shown, expires }) => ({
          item: { id, content, practice },
          shown,
          expires,
        })),
      });
    })
    .post('/:project/votes', async (context) => {
      const person = personOf(context);
      const project = await asked(context);
      const vote = await bodyOf(context, newVoteSchema);
      const recorded = await recordVote(database, project, person.id, vote);
      const others = project.settings.seeOthers ? await othersOn(database, vote.item, person.id) : [];
      return context.json({ ...recorded, ...(others.length > 0 && { others }) });
    })
    .post('/:project/undo', async (context) => {
      const person = personOf(context);
      const project = await asked(context);
      return context.json(await undoVote(database, project, person.id, await bodyOf(context, undoSchema)));
    })
    .get('/:project/quality', async (context) => {
      personOf(context, 'reviewer');
      const project = await asked(context);
      return context.json(await reports.of(project.id));
    })
    .get('/:project/disagreements', async (context) => {
      personOf(context, 'reviewer');
      const project = await asked(context);
      const report = await reports.of(project.id);
      return context.json(await disagreements(database, report.disagreements, SHOWN));
    })
    .post('/:project/adjudicate', async (context) => {
      const person = personOf(context, 'reviewer');
      const project = await asked(context);
      return context.json(await adjudicate(database, project, person.id, await bodyOf(context, newVoteSchema)));
    });
}

/** What others said, for who has said it themselves. */
async function othersOn({ query }: Database, item: string, person: string) {
  const rows = await query
    .selectFrom('answers')
    .innerJoin('people', 'people.id', 'answers.person')
    .select(['people.name', 'answers.answerJson'])
    .where('answers.item', '=', item)
    .where('answers.person', '!=', person)
    .where('answers.kind', '=', 'answer')
    .execute();
  return rows.map(({ name, answerJson }) => ({ person: name, vote: JSON.parse(answerJson) }));
}

async function summaryOf({ query }: Database, { id, name, settings, created }: Project) {
  const items = await query
    .selectFrom('items')
    .select((select) => [
      select.fn.countAll<number>().as('items'),
      select.fn.sum<number>('answered').as('labels'),
      select.fn.countAll<number>().filterWhere('answered', '>=', settings.overlap).as('answered'),
    ])
    .where('project', '=', id)
    .where('goldJson', 'is', null)
    .executeTakeFirstOrThrow();
  const { people } = await query
    .selectFrom('tallies')
    .select((select) => select.fn.countAll<number>().as('people'))
    .where('project', '=', id)
    .where('given', '>', 0)
    .executeTakeFirstOrThrow();
  return {
    id,
    name,
    kind: settings.kind,
    created,
    items: Number(items.items),
    /** Items with all the answers that are wanted. */
    answered: Number(items.answered),
    labels: Number(items.labels ?? 0),
    budget: settings.labels,
    people: Number(people),
  };
}

async function answersOf({ query }: Database, project: string, person: string): Promise<number> {
  const tally = await query
    .selectFrom('tallies')
    .select('given')
    .where('project', '=', project)
    .where('person', '=', person)
    .executeTakeFirst();
  return tally?.given ?? 0;
}
