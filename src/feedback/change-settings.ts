/** Changing the settings of a project, and what follows for its items. */
import { HeedError } from '../error.ts';
import { checkedSettings, type Project, type ProjectInput } from './project.ts';
import { resetWanted } from './quality/certainty.ts';
import { note } from './store/audit.ts';
import { atOnce, type Database } from './store/database.ts';

/** Settings to change; the others stay as they are. `null` unsets a setting. */
export type SettingsChanges = { [Name in keyof ProjectInput]?: ProjectInput[Name] | null };

/**
 * Changes settings and returns the project as it is now. They apply to items that are handed out from now on.
 *
 * @throws HeedError if a setting is wrong, or the kind would change.
 */
export async function changeSettings(
  { query }: Database,
  project: Project,
  changes: SettingsChanges,
  person: string | null,
): Promise<Project> {
  const entries = Object.entries({ ...project.settings, ...changes }).filter(([, value]) => value !== null);
  const settings = checkedSettings(Object.fromEntries(entries));
  if (settings.kind !== project.settings.kind) {
    throw new HeedError(`The kind of project "${project.name}" is ${project.settings.kind} and cannot change.`, {
      hint: 'Create a project for the other kind.',
    });
  }
  await atOnce(query, async (query) => {
    await query
      .updateTable('projects')
      .set({ settingsJson: JSON.stringify(settings) })
      .where('id', '=', project.id)
      .execute();
    const { overlap, certainty } = project.settings;
    if (settings.overlap !== overlap || settings.certainty !== certainty) {
      await resetWanted(query, { ...project, settings });
    }
    await note(query, { project: project.id, person, kind: 'settings changed', detail: { changes } });
  });
  return { ...project, settings };
}
