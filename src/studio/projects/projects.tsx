/** The list of projects, and the form that creates one. */
import { useState } from 'preact/hooks';
import { api, json, type Person, type ProjectSettings, type ProjectSummary } from '../page/api.ts';
import { NameField, Select } from '../page/fields.tsx';
import { Loaded, useAction, useResource } from '../page/load.tsx';
import { MoveIn } from './move.tsx';
import { defaultSettings, loadSettingsSchema, SettingsForm, type SettingsSchema } from './settings-form.tsx';

/** The page of all projects. */
export function Projects({ person: { role } }: { person: Person }) {
  const [archived, setArchived] = useState(false);
  const query = { archived: archived ? ('true' as const) : ('false' as const) };
  const projects = useResource(() => json(api.projects.$get({ query })), archived);
  return (
    <main>
      <header class="progress">
        <h1>{archived ? 'Archived projects' : 'Projects'}</h1>
        {role === 'owner' && (
          <a class="button primary tools" href="#/new">
            New project
          </a>
        )}
      </header>
      <Loaded of={projects}>
        {(all) => (
          <>
            {all.length === 0 && !archived && role === 'annotator' && (
              <p class="empty">You are in no project yet. Ask an owner to add you to one.</p>
            )}
            {all.length === 0 && !archived && role !== 'annotator' && (
              <section class="empty">
                <h2>No projects yet</h2>
                <p>
                  A project is a set of items that people judge in the same way: pairs, rankings, ratings, corrections.
                  Create one here, or import a dataset in a terminal:
                </p>
                <pre>
                  <code>heed feedback import pairs.jsonl --project NAME</code>
                </pre>
              </section>
            )}
            {all.length === 0 && archived && <p class="quiet">Nothing is archived.</p>}
            <ul class="projects">
              {all.map((project) => (
                <Card project={project} manages={role !== 'annotator'} />
              ))}
            </ul>
            {role !== 'annotator' && (
              <button type="button" class="plain" onClick={() => setArchived(!archived)}>
                {archived ? 'Show active projects' : 'Show archived projects'}
              </button>
            )}
          </>
        )}
      </Loaded>
    </main>
  );
}

function Card({ project, manages }: { project: ProjectSummary; manages: boolean }) {
  const { name, kind, items, answered, labels, budget, people } = project;
  const [done, all, unit] = budget === undefined ? [answered, items, 'items'] : [labels, budget, 'judgments'];
  return (
    <li>
      <a href={`#/label/${encodeURIComponent(name)}`}>
        <h2>{name}</h2>
        <span class="number">{Math.floor((100 * done) / Math.max(all, 1))} %</span>
        <progress value={done} max={Math.max(all, 1)} aria-label={`${done} of ${all} ${unit}`} />
        <p class="quiet">
          {kind} · {answered} of {items} items complete · {labels} {labels === 1 ? 'judgment' : 'judgments'} by {people}{' '}
          {people === 1 ? 'person' : 'people'}
        </p>
      </a>
      {!manages && (
        <a class="manage" href={`#/mine/${encodeURIComponent(name)}`}>
          My work
        </a>
      )}
      {manages && (
        <a class="manage" href={`#/project/${encodeURIComponent(name)}`} aria-label={`Manage ${name}`}>
          Manage
        </a>
      )}
    </li>
  );
}

/** The page that creates a project. */
export function NewProject() {
  const schema = useResource(loadSettingsSchema);
  const templates = useResource(() => json(api.templates.$get()));
  return (
    <main class="manage">
      <h1>New project</h1>
      <MoveIn />
      <Loaded of={schema}>
        {(schema) => (
          <Loaded of={templates}>{(templates) => <ProjectForm schema={schema} templates={templates} />}</Loaded>
        )}
      </Loaded>
    </main>
  );
}

type Templates = Awaited<ReturnType<Awaited<ReturnType<typeof api.templates.$get>>['json']>>;

function ProjectForm({ schema, templates }: { schema: SettingsSchema; templates: Templates }) {
  const [name, setName] = useState('');
  const [rubric, setRubric] = useState('');
  const [guidelines, setGuidelines] = useState('');
  const [settings, setSettings] = useState<ProjectSettings>(defaultSettings(schema));
  const { run, note } = useAction();
  const create = () =>
    run(async () => {
      await json(api.projects.$post({ json: { name: name.trim(), settings, guidelines } }));
      location.hash = `#/project/${encodeURIComponent(name.trim())}`;
      return undefined;
    });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        create();
      }}
    >
      <NameField value={name} set={setName} />
      <Select
        label="Begin with a rubric"
        value={rubric}
        options={{ '': 'none', ...Object.fromEntries(templates.map(({ name, title }) => [name, `${name}: ${title}`])) }}
        set={(chosen) => {
          const template = templates.find((one) => one.name === chosen);
          setRubric(chosen);
          setSettings(template?.settings ?? defaultSettings(schema));
          setGuidelines(template?.guidelines ?? '');
        }}
      />
      <SettingsForm schema={schema} settings={settings} change={setSettings} isNew />
      <label>
        Guidelines for annotators (Markdown)
        <textarea rows={6} value={guidelines} onInput={(event) => setGuidelines(event.currentTarget.value)} />
      </label>
      <button type="submit" class="primary">
        Create project
      </button>
      {note}
    </form>
  );
}
