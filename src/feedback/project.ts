/** Projects: what is asked, how, and by which guidelines. */
import { z } from 'zod';
import { HeedError } from '../error.ts';
import { kinds } from './judgment.ts';
import { newId, note } from './store/audit.ts';
import type { Database, Query } from './store/database.ts';

const whole = (least: number) => z.number().int().min(least);

export const settingsSchema = z.strictObject({
  kind: z.enum(kinds).default('pair').describe('how items are answered'),
  overlap: whole(1).max(1000).default(1).describe('people who answer an item'),
  goldShare: z
    .number()
    .min(0)
    .max(0.9)
    .default(0.1)
    .describe('share of what is shown whose answer is known, to tell who is reliable'),
  practice: whole(0).default(0).describe('items that begin with the right answer told afterwards'),
  tie: z.boolean().default(true).describe('whether "equally good" may be said of a pair'),
  bothBad: z.boolean().default(true).describe('whether "both bad" may be said of a pair'),
  unknown: z.boolean().default(true).describe('whether "cannot tell" may be said of a pair'),
  strength: z.boolean().default(false).describe('whether to say how much better'),
  better: z.boolean().default(false).describe('whether a better answer may be written'),
  reason: z.enum(['none', 'optional', 'required']).default('optional').describe('whether to say why'),
  aspects: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(200),
        description: z.string().max(2000).default(''),
        scale: whole(2).max(100).default(5),
      }),
    )
    .max(20)
    .default([])
    .describe('what is rated besides, or in a rating'),
  leaseSeconds: z.number().positive().default(600).describe('how long an item is held for who got it'),
  labels: whole(1).optional().describe('answers after which nobody is asked any more'),
  seeOthers: z.boolean().default(true).describe('whether others’ answers are told once one has given one’s own'),
});
export type ProjectSettings = z.output<typeof settingsSchema>;
export type ProjectInput = z.input<typeof settingsSchema>;

export interface Project {
  id: string;
  name: string;
  settings: ProjectSettings;
  created: number;
}

const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,99}$/u;

/** @throws HeedError for a name that is taken or unfit, or a ZodError for wrong settings. */
export async function createProject(
  { query }: Database,
  name: string,
  given: ProjectInput = {},
  { guidelines = '', person = null }: { guidelines?: string; person?: string | null } = {},
): Promise<Project> {
  const settings = settingsSchema.parse(given);
  if (!NAME.test(name)) {
    throw new HeedError(`"${name}" cannot be the name of a project.`, {
      hint: 'Expected up to 100 letters, digits, spaces, dots, dashes and underscores, the first a letter or digit.',
    });
  }
  const project = { id: newId(), name, settings, created: Date.now() };
  await query.transaction().execute(async (query) => {
    const { id, created } = project;
    const made = await query
      .insertInto('projects')
      .values({ id, name, settingsJson: JSON.stringify(settings), created })
      .onConflict((conflict) => conflict.column('name').doNothing())
      .returning('id')
      .executeTakeFirst();
    if (!made) throw new HeedError(`There is a project "${name}" already.`, { hint: 'Take another name.' });
    await query
      .insertInto('guidelines')
      .values({ project: id, version: 1, text: guidelines, created, person })
      .execute();
    await note(query, { project: id, person, kind: 'project created', detail: { name, settings } });
  });
  return project;
}

/** By its name or id. @throws HeedError where there is none, with the names there are. */
export async function findProject({ query }: { query: Query }, nameOrId: string): Promise<Project> {
  const row = await query
    .selectFrom('projects')
    .selectAll()
    .where((where) => where.or([where('name', '=', nameOrId), where('id', '=', nameOrId)]))
    .executeTakeFirst();
  if (row) return projectOf(row);
  const all = await query.selectFrom('projects').select('name').orderBy('created').execute();
  const names = all.map(({ name }) => name).join(', ');
  throw new HeedError(`There is no project "${nameOrId}".`, {
    hint: names ? `There are: ${names}.` : 'Make one: heed feedback import --project NAME FILE.',
  });
}

export async function listProjects({ query }: Database): Promise<Project[]> {
  return (await query.selectFrom('projects').selectAll().orderBy('created').execute()).map(projectOf);
}

/** Of settings that are named; null for what is no longer to be set. */
export type SettingsChanges = { [Name in keyof ProjectInput]?: ProjectInput[Name] | null };

/** Settings that change apply to what is asked from then on. The kind stays. */
export async function changeSettings(
  { query }: Database,
  project: Project,
  changes: SettingsChanges,
  person: string | null,
): Promise<Project> {
  const named = Object.entries({ ...project.settings, ...changes }).filter(([, value]) => value !== null);
  const settings = settingsSchema.parse(Object.fromEntries(named));
  if (settings.kind !== project.settings.kind) {
    throw new HeedError(`"${project.name}" is a project of kind ${project.settings.kind}, which stays.`, {
      hint: 'Make another project for another kind.',
    });
  }
  await query.transaction().execute(async (query) => {
    await query
      .updateTable('projects')
      .set({ settingsJson: JSON.stringify(settings) })
      .where('id', '=', project.id)
      .execute();
    if (settings.overlap !== project.settings.overlap) {
      await query.updateTable('items').set({ wanted: settings.overlap }).where('project', '=', project.id).execute();
    }
    await note(query, { project: project.id, person, kind: 'settings changed', detail: { changes } });
  });
  return { ...project, settings };
}

export interface Guidelines {
  version: number;
  text: string;
  created: number;
}

/** The newest. */
export const guidelinesOf = ({ query }: { query: Query }, project: string): Promise<Guidelines> =>
  query
    .selectFrom('guidelines')
    .select(['version', 'text', 'created'])
    .where('project', '=', project)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();

/** A new version, where the text differs from the newest. */
export async function writeGuidelines(
  { query }: Database,
  project: string,
  text: string,
  person: string | null,
): Promise<Guidelines> {
  return query.transaction().execute(async (query) => {
    const latest = await guidelinesOf({ query }, project);
    if (latest.text === text) return latest;
    const next = { version: latest.version + 1, text, created: Date.now() };
    await query
      .insertInto('guidelines')
      .values({ ...next, project, person })
      .execute();
    await note(query, { project, person, kind: 'guidelines written', detail: { version: next.version } });
    return next;
  });
}

const projectOf = ({
  settingsJson,
  ...row
}: {
  id: string;
  name: string;
  settingsJson: string;
  created: number;
}): Project => ({
  ...row,
  settings: settingsSchema.parse(JSON.parse(settingsJson)),
});
