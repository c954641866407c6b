/** What there is to answer, and how another project is made. */
import { useState } from 'preact/hooks';
import { api, type Person, type ProjectSettings, type Summary } from '../page/api.ts';
import { Once, useDone, useLoaded } from '../page/load.tsx';
import { SettingsForm, type SettingsSchema, usualSettings } from './settings-form.tsx';

export function Projects({ person: { role } }: { person: Person }) {
  const projects = useLoaded<Summary[]>('/projects');
  return (
    <main>
      <header class="progress">
        <h1>Projects</h1>
        {role === 'owner' && (
          <a class="button tools" href="#/new">
            New project
          </a>
        )}
      </header>
      <Once of={projects}>
        {(all) => (
          <>
            {all.length === 0 && (
              <p class="quiet">
                There is none yet. Make one here, or of a dataset:{' '}
                <code>heed feedback import pairs.jsonl --project NAME</code>
              </p>
            )}
            <ul class="projects">
              {all.map((project) => (
                <Card project={project} manages={role !== 'annotator'} />
              ))}
            </ul>
          </>
        )}
      </Once>
    </main>
  );
}

function Card({ project, manages }: { project: Summary; manages: boolean }) {
  const { name, kind, items, answered, labels, budget, people } = project;
  const [done, all, of] = budget === undefined ? [answered, items, 'items'] : [labels, budget, 'answers'];
  return (
    <li>
      <a href={`#/label/${encodeURIComponent(name)}`}>
        <h2>{name}</h2>
        <progress value={done} max={Math.max(all, 1)} aria-label={`${done} of ${all} ${of} are there`} />
        <p class="quiet">
          {kind}, {answered} of {items} items answered, {labels} answers by {people}{' '}
          {people === 1 ? 'person' : 'people'}
        </p>
      </a>
      {manages && (
        <a class="manage" href={`#/project/${encodeURIComponent(name)}`}>
          Manage {name}
        </a>
      )}
    </li>
  );
}

export function NewProject() {
  const schema = useLoaded<SettingsSchema>('/settings-schema');
  return (
    <main class="manage">
      <h1>New project</h1>
      <Once of={schema}>{(schema) => <Making schema={schema} />}</Once>
    </main>
  );
}

function Making({ schema }: { schema: SettingsSchema }) {
  const [name, setName] = useState('');
  const [guidelines, setGuidelines] = useState('');
  const [settings, setSettings] = useState<ProjectSettings>(usualSettings(schema));
  const { run, told } = useDone();
  const make = () =>
    run(async () => {
      await api('/projects', { body: { name: name.trim(), settings, guidelines } });
      location.hash = `#/project/${encodeURIComponent(name.trim())}`;
      return undefined;
    });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        make();
      }}
    >
      <label>
        Name
        <input value={name} required maxLength={100} onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      <label>
        Guidelines: what makes an answer good, in words for those who answer
        <textarea rows={6} value={guidelines} onInput={(event) => setGuidelines(event.currentTarget.value)} />
      </label>
      <SettingsForm schema={schema} settings={settings} change={setSettings} isNew />
      <button type="submit" class="send">
        Make it
      </button>
      {told}
    </form>
  );
}
