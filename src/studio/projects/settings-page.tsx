/** What an owner sets of a project: guidelines, annotators, settings, copies, and whether it is archived. */
import { useState } from 'preact/hooks';
import { lossInWords } from '../../feedback/rating-loss.ts';
import { api, inProject, json, type ProjectDetails, type ProjectSettings, projectApi } from '../page/api.ts';
import { NameField, Ticks } from '../page/fields.tsx';
import { Loaded, useAction, useResource } from '../page/load.tsx';
import { loadSettingsSchema, SettingsForm, type SettingsSchema } from './settings-form.tsx';
import { Webhooks } from './webhooks.tsx';

/** The page of a project's settings. */
export function SettingsPage({ project: name }: { project: string }) {
  const project = useResource<ProjectDetails>(() => json(projectApi.$get(inProject(name))), name);
  const schema = useResource(loadSettingsSchema);
  return (
    <main class="manage">
      <h1>Settings of {name}</h1>
      <Loaded of={project}>
        {(details) => (
          <Loaded of={schema}>
            {(schema) => (
              <>
                {details.archived !== null && <p class="warning">This project is archived: nobody gets its items.</p>}
                <Name {...details} />
                <Guidelines {...details} />
                <Members name={name} />
                <Settings schema={schema} {...details} />
                <Webhooks name={details.name} />
                <Copy {...details} />
                <PutAway {...details} onChanged={project.reload} />
              </>
            )}
          </Loaded>
        )}
      </Loaded>
    </main>
  );
}

function Name({ name }: ProjectDetails) {
  const [to, setTo] = useState(name);
  const { run, note } = useAction();
  const rename = () =>
    run(async () => {
      const project = await json(projectApi.rename.$post({ ...inProject(name), json: { name: to.trim() } }));
      location.hash = `#/settings/${encodeURIComponent(project.name)}`;
      return undefined;
    });
  return (
    <section aria-labelledby="name-title">
      <h2 id="name-title">Name</h2>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          rename();
        }}
      >
        <NameField label="Name of the project" value={to} set={setTo} />
        <button type="submit" disabled={to.trim() === name}>
          Rename
        </button>
      </form>
      <p class="quiet">Links and scripts that have the old name still find the project.</p>
      {note}
    </section>
  );
}

function Guidelines({ name, guidelines }: ProjectDetails) {
  const [text, setText] = useState(guidelines.text);
  const [version, setVersion] = useState(guidelines.version);
  const { run, note } = useAction();
  const save = () =>
    run(async () => {
      const saved = await json(projectApi.guidelines.$put({ ...inProject(name), json: { text } }));
      setVersion(saved.version);
      return `Saved as version ${saved.version}. Judgments keep the version they were made under.`;
    });
  return (
    <section aria-labelledby="guidelines-title">
      <h2 id="guidelines-title">Guidelines, version {version}</h2>
      <label>
        What makes a response good
        <textarea rows={6} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <button type="button" onClick={save}>
        Save new version
      </button>
      {note}
    </section>
  );
}

function Settings({ name, settings: stored, schema }: ProjectDetails & { schema: SettingsSchema }) {
  const [settings, setSettings] = useState<ProjectSettings>(stored);
  const { run, note } = useAction();
  const save = () =>
    run(async () => {
      // a setting that is left out stays: null unsets it
      const { goal = null, labels = null, certainty = null, pay = null } = settings;
      const changes = { ...settings, goal, labels, certainty, pay };
      const losses = await json(projectApi.losses.$post({ ...inProject(name), json: changes }));
      const lost = losses.map(lossInWords).join(' ');
      const question = `${lost} These ratings stay in the record and in exports, but no longer count. Save the settings anyway?`;
      if (lost !== '' && !confirm(question)) return 'Not saved: the settings are as they were.';
      const query = { confirm: lost === '' ? ('false' as const) : ('true' as const) };
      await json(projectApi.$patch({ ...inProject(name), query, json: changes }));
      return 'Saved. Items handed out from now on use these settings.';
    });
  return (
    <section aria-labelledby="settings-title">
      <h2 id="settings-title">How it is judged</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <SettingsForm schema={schema} settings={settings} change={setSettings} />
        <button type="submit">Save settings</button>
        {note}
      </form>
    </section>
  );
}

/** The annotators who see the project. */
function Members({ name }: { name: string }) {
  const people = useResource(() => json(api.people.$get()));
  const loaded = useResource(() => json(projectApi.members.$get(inProject(name))), name);
  const [changed, setChanged] = useState<readonly string[]>();
  const { run, note } = useAction();
  const save = (members: readonly string[]) =>
    run(async () => {
      setChanged(members);
      await json(projectApi.members.$put({ ...inProject(name), json: { members: [...members] } }));
      return 'Saved.';
    });
  return (
    <section aria-labelledby="members-title">
      <h2 id="members-title">Annotators</h2>
      <Loaded of={people}>
        {(all) => (
          <Loaded of={loaded}>
            {(stored) => {
              const members = changed ?? stored.members;
              const annotators = all.filter(({ role, active }) => role === 'annotator' && active);
              return (
                <>
                  <p class="quiet">
                    {annotators.length === 0 ? (
                      <>
                        There are no annotators yet. <a href="#/people">Add people</a>
                      </>
                    ) : (
                      'They see the project and get its items. Reviewers and owners see all projects.'
                    )}
                  </p>
                  <div class="ticks">
                    <Ticks names={annotators.map((one) => one.name)} chosen={members} set={save} />
                  </div>
                </>
              );
            }}
          </Loaded>
        )}
      </Loaded>
      {note}
    </section>
  );
}

/** Begins another project with the same settings and guidelines. */
function Copy({ name, settings, guidelines }: ProjectDetails) {
  const [copy, setCopy] = useState(`${name} 2`);
  const { run, note } = useAction();
  const create = () =>
    run(async () => {
      const to = copy.trim();
      await json(api.projects.$post({ json: { name: to, settings, guidelines: guidelines.text } }));
      location.hash = `#/project/${encodeURIComponent(to)}`;
      return undefined;
    });
  return (
    <section aria-labelledby="copy-title">
      <h2 id="copy-title">Copy</h2>
      <p class="quiet">A new project with these settings and guidelines, without items, judgments and annotators.</p>
      <form
        class="row"
        onSubmit={(event) => {
          event.preventDefault();
          create();
        }}
      >
        <NameField label="Name of the copy" value={copy} set={setCopy} />
        <button type="submit">Create the copy</button>
      </form>
      {note}
    </section>
  );
}

/** Archives or deletes the project. */
function PutAway({ name, archived, onChanged }: ProjectDetails & { onChanged(): void }) {
  const { run, note } = useAction();
  const archive = () =>
    run(async () => {
      await json(projectApi.archive.$post({ ...inProject(name), json: { archived: archived === null } }));
      onChanged();
      return archived === null ? 'Archived.' : 'Restored.';
    });
  const remove = () =>
    run(async () => {
      await json(projectApi.$delete(inProject(name)));
      location.hash = '#/';
      return undefined;
    });
  return (
    <section aria-labelledby="away-title">
      <h2 id="away-title">Archive or delete</h2>
      <p class="quiet">An archived project keeps everything. A deleted one is gone with all its judgments.</p>
      <div class="row pages">
        <button type="button" onClick={archive}>
          {archived === null ? 'Archive project' : 'Restore project'}
        </button>
        <button
          type="button"
          class="danger"
          onClick={() =>
            prompt(`This deletes ${name} with all its judgments. Type the name of the project to confirm.`) === name &&
            remove()
          }
        >
          Delete project
        </button>
      </div>
      {note}
    </section>
  );
}
