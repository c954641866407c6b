/** The page of one project: progress, items, guidelines, settings and export. */
import { useState } from 'preact/hooks';
import { lossInWords } from '../../feedback/rating-loss.ts';
import {
  api,
  inProject,
  json,
  type Person,
  type ProjectDetails,
  type ProjectSettings,
  projectApi,
} from '../page/api.ts';
import { Loaded, useAction, useResource } from '../page/load.tsx';
import { Ticks } from '../page/parts.tsx';
import { Home } from './home.tsx';
import { MoveOut } from './move.tsx';
import { loadSettingsSchema, SettingsForm, type SettingsSchema } from './settings-form.tsx';
import { WorkPage } from './work.tsx';

/** The page of a project, for owners and reviewers. */
export function ProjectPage({ project: name, person }: { project: string; person: Person }) {
  const project = useResource<ProjectDetails>(() => json(projectApi.$get(inProject(name))), name);
  const schema = useResource(loadSettingsSchema);
  const encoded = encodeURIComponent(name);
  const isOwner = person.role === 'owner';
  return (
    <main class="manage">
      <header class="progress">
        <h1>{name}</h1>
        <span class="tools">
          <a class="button primary" href={`#/label/${encoded}`}>
            Judge items
          </a>
          <a class="button" href={`#/items/${encoded}`}>
            Items
          </a>
          <a class="button" href={`#/quality/${encoded}`}>
            Agreement
          </a>
          <a class="button" href={`#/decide/${encoded}`}>
            Adjudicate
          </a>
        </span>
      </header>
      <Loaded of={project}>
        {(details) => (
          <Loaded of={schema}>
            {(schema) => (
              <>
                {details.archived !== null && <p class="warning">This project is archived: nobody gets its items.</p>}
                <Home {...details} />
                <WorkPage name={name} person={person} />
                {isOwner && <AddItems name={name} onAdded={project.reload} />}
                {isOwner && <Members name={name} />}
                {isOwner && <Guidelines {...details} />}
                {isOwner && <Settings schema={schema} {...details} />}
                <Download name={name} formats={schema.formats[details.settings.kind]} />
                {isOwner && <PutAway {...details} onChanged={project.reload} />}
              </>
            )}
          </Loaded>
        )}
      </Loaded>
    </main>
  );
}

const TYPES = ['jsonl', 'json', 'csv', 'tsv'] as const;
type FileType = (typeof TYPES)[number];
/** What judgments in an imported file are for. */
const USES = {
  ignored: 'Ignore them',
  gold: 'Use as gold, to measure annotators',
  practice: 'Use for practice',
} as const;

function AddItems({ name, onAdded }: { name: string; onAdded(): void }) {
  const [text, setText] = useState('');
  const [type, setType] = useState<FileType>('jsonl');
  const [answers, setAnswers] = useState<keyof typeof USES>('ignored');
  const [skips, setSkips] = useState(false);
  const { run, note } = useAction();
  const send = () =>
    run(async () => {
      const body = { text, type, answers, onBadRow: skips ? ('skip' as const) : ('error' as const) };
      const result = await json(projectApi.import.$post({ ...inProject(name), json: body }));
      setText('');
      onAdded();
      const rest = [
        ...(result.known > 0 ? [`${result.known} already in the project`] : []),
        ...(result.bad > 0 ? [`${result.bad} skipped: ${result.notices.join('; ')}`] : []),
      ];
      return [`Added ${result.added} items`, ...rest].join(', ');
    });
  return (
    <section aria-labelledby="items-title">
      <h2 id="items-title">Add items</h2>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          send();
        }}
      >
        <label>
          File (JSONL, JSON, CSV or TSV)
          <input
            type="file"
            accept=".jsonl,.ndjson,.json,.csv,.tsv"
            onChange={({ currentTarget: { files } }) => {
              const file = files?.[0];
              if (!file) return;
              const extension = file.name.split('.').at(-1)!.toLowerCase();
              setType(TYPES.find((one) => one === extension) ?? 'jsonl');
              void file.text().then(setText);
            }}
          />
        </label>
        <label>
          Or paste rows
          <textarea
            rows={4}
            value={text.length > 20_000 ? `${text.slice(0, 20_000)}…` : text}
            readOnly={text.length > 20_000}
            placeholder='{"prompt": "…", "chosen": "…", "rejected": "…"}'
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <div class="row">
          <label>
            File type
            <select value={type} onChange={(event) => setType(event.currentTarget.value as FileType)}>
              {TYPES.map((one) => (
                <option value={one}>{one}</option>
              ))}
            </select>
          </label>
          <label>
            Judgments in the file
            <select value={answers} onChange={(event) => setAnswers(event.currentTarget.value as keyof typeof USES)}>
              {Object.entries(USES).map(([one, text]) => (
                <option value={one}>{text}</option>
              ))}
            </select>
          </label>
          <label class="tick">
            <input type="checkbox" checked={skips} onChange={(event) => setSkips(event.currentTarget.checked)} />
            Skip rows that do not fit
          </label>
        </div>
        <button type="submit" disabled={text === ''}>
          Add items
        </button>
        {note}
      </form>
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
      const question = `${lost} These ratings stay in the record and in exports, and count no more. Save the settings all the same?`;
      if (lost !== '' && !confirm(question)) return 'Not saved: the settings are as they were.';
      const query = { confirm: lost === '' ? ('false' as const) : ('true' as const) };
      await json(projectApi.$patch({ ...inProject(name), query, json: changes }));
      return 'Saved. Items handed out from now on use these settings.';
    });
  return (
    <details>
      <summary>Settings</summary>
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
    </details>
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

type Formats = SettingsSchema['formats'][ProjectSettings['kind']];
/** How several judgments of an item are merged. */
const MERGES = { majority: 'Take the majority', consensus: 'Take the consensus', each: 'Export each' } as const;

function Download({ name, formats }: { name: string; formats: Formats }) {
  const [format, setFormat] = useState(formats[0]);
  const [merge, setMerge] = useState<keyof typeof MERGES>('majority');
  const [withGold, setWithGold] = useState(false);
  const gold = withGold ? ('true' as const) : ('false' as const);
  return (
    <section aria-labelledby="export-title">
      <h2 id="export-title">Download</h2>
      <div class="row">
        <label>
          Format
          <select value={format} onChange={(event) => setFormat(event.currentTarget.value as typeof format)}>
            {formats.map((one) => (
              <option value={one}>{one}</option>
            ))}
          </select>
        </label>
        <label>
          Several judgments of an item
          <select value={merge} onChange={(event) => setMerge(event.currentTarget.value as typeof merge)}>
            {Object.entries(MERGES).map(([one, text]) => (
              <option value={one}>{text}</option>
            ))}
          </select>
        </label>
        <label class="tick">
          <input type="checkbox" checked={withGold} onChange={(event) => setWithGold(event.currentTarget.checked)} />
          Include gold items
        </label>
        {(['jsonl', 'csv', 'parquet'] as const).map((as) => (
          <a
            class="button"
            download
            href={`/api${projectApi.export.$path({ ...inProject(name), query: { as, format, merge, gold } })}`}
          >
            {as}
          </a>
        ))}
      </div>
      <MoveOut name={name} />
    </section>
  );
}
