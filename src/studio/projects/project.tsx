/** One project as its owner sees it: progress, items, guidelines, settings, what comes out. */
import { useState } from 'preact/hooks';
import { api, type Person, type ProjectSettings, type ProjectView, pathOf } from '../page/api.ts';
import { Once, useDone, useLoaded } from '../page/load.tsx';
import { SettingsForm, type SettingsSchema } from './settings-form.tsx';

export function Project({ project: name, person }: { project: string; person: Person }) {
  const project = useLoaded<ProjectView>(pathOf(name));
  const schema = useLoaded<SettingsSchema>('/settings-schema');
  const encoded = encodeURIComponent(name);
  const isOwner = person.role === 'owner';
  return (
    <main class="manage">
      <header class="progress">
        <h1>{name}</h1>
        <span class="tools">
          <a class="button" href={`#/label/${encoded}`}>
            Answer
          </a>
          <a class="button" href={`#/quality/${encoded}`}>
            Agreement
          </a>
          <a class="button" href={`#/decide/${encoded}`}>
            Decide
          </a>
        </span>
      </header>
      <Once of={project}>
        {(view) => (
          <Once of={schema}>
            {(schema) => (
              <>
                <Progress {...view} />
                {isOwner && <AddItems name={name} added={project.again} />}
                {isOwner && <Guidelines {...view} />}
                {isOwner && <Settings schema={schema} {...view} />}
                <Download name={name} formats={schema.formats[view.settings.kind]} />
              </>
            )}
          </Once>
        )}
      </Once>
    </main>
  );
}

function Progress({ settings, progress: { items, answered, labels, budget, people } }: ProjectView) {
  const rows: [string, string, number, number][] = [
    ['Items with all the answers that are wanted', `${answered} of ${items}`, answered, items],
    ...(budget === undefined
      ? []
      : [
          ['Answers of those that are paid for', `${labels} of ${budget}`, labels, budget] as [
            string,
            string,
            number,
            number,
          ],
        ]),
  ];
  return (
    <section aria-labelledby="progress-title">
      <h2 id="progress-title">Progress</h2>
      {rows.map(([text, told, value, most]) => (
        <label class="bar">
          {text}: {told}
          <progress value={value} max={Math.max(most, 1)} />
        </label>
      ))}
      <p class="quiet">
        {labels} answers by {people} {people === 1 ? 'person' : 'people'}; kind {settings.kind}, {settings.overlap}{' '}
        {settings.overlap === 1 ? 'answer' : 'answers'} wanted for each item.
      </p>
    </section>
  );
}

const TYPES = ['jsonl', 'json', 'csv', 'tsv'];

interface Imported {
  added: number;
  known: number;
  bad: number;
  told: string[];
}

function AddItems({ name, added }: { name: string; added(): void }) {
  const [text, setText] = useState('');
  const [type, setType] = useState('jsonl');
  const [answers, setAnswers] = useState('ignored');
  const [skips, setSkips] = useState(false);
  const { run, told } = useDone();
  const send = () =>
    run(async () => {
      const body = { text, type, answers, onBadRow: skips ? 'skip' : 'error' };
      const done = await api<Imported>(`${pathOf(name)}/import`, { body });
      setText('');
      added();
      const rest = [
        ...(done.known > 0 ? [`${done.known} were there already`] : []),
        ...(done.bad > 0 ? [`${done.bad} were left out: ${done.told.join('; ')}`] : []),
      ];
      return [`${done.added} items were added`, ...rest].join(', ');
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
          A file (JSONL, JSON, CSV or TSV)
          <input
            type="file"
            accept=".jsonl,.ndjson,.json,.csv,.tsv"
            onChange={({ currentTarget: { files } }) => {
              const file = files?.[0];
              if (!file) return;
              const extension = file.name.split('.').at(-1)!.toLowerCase();
              setType(TYPES.includes(extension) ? extension : 'jsonl');
              void file.text().then(setText);
            }}
          />
        </label>
        <label>
          or paste rows
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
            Written in
            <select value={type} onChange={(event) => setType(event.currentTarget.value)}>
              {TYPES.map((one) => (
                <option value={one}>{one}</option>
              ))}
            </select>
          </label>
          <label>
            The rows’ own answers
            <select value={answers} onChange={(event) => setAnswers(event.currentTarget.value)}>
              <option value="ignored">are not used</option>
              <option value="gold">are right: they tell who is reliable</option>
              <option value="practice">are right: they are told after practice</option>
            </select>
          </label>
          <label class="tick">
            <input type="checkbox" checked={skips} onChange={(event) => setSkips(event.currentTarget.checked)} />
            Leave rows out that do not fit
          </label>
        </div>
        <button type="submit" disabled={text === ''}>
          Add them
        </button>
        {told}
      </form>
    </section>
  );
}

function Guidelines({ name, guidelines }: ProjectView) {
  const [text, setText] = useState(guidelines.text);
  const [version, setVersion] = useState(guidelines.version);
  const { run, told } = useDone();
  const save = () =>
    run(async () => {
      const path = `${pathOf(name)}/guidelines`;
      const written = await api<{ version: number }>(path, { method: 'PUT', body: { text } });
      setVersion(written.version);
      return `This is version ${written.version}. Answers remember the version that they were given under.`;
    });
  return (
    <section aria-labelledby="guidelines-title">
      <h2 id="guidelines-title">Guidelines, version {version}</h2>
      <label>
        What makes an answer good
        <textarea rows={6} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      </label>
      <button type="button" onClick={save}>
        Write a new version
      </button>
      {told}
    </section>
  );
}

function Settings({ name, settings: given, schema }: ProjectView & { schema: SettingsSchema }) {
  const [settings, setSettings] = useState<ProjectSettings>(given);
  const { run, told } = useDone();
  const save = () =>
    run(async () => {
      // what is left out stays: that there is no limit any more has to be said
      await api(pathOf(name), { method: 'PATCH', body: { ...settings, labels: settings.labels ?? null } });
      return 'What is asked from now on follows these.';
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
        <button type="submit">Change them</button>
        {told}
      </form>
    </details>
  );
}

function Download({ name, formats }: { name: string; formats: readonly string[] }) {
  const [format, setFormat] = useState(formats[0]);
  const [merge, setMerge] = useState('majority');
  return (
    <section aria-labelledby="export-title">
      <h2 id="export-title">Download</h2>
      <div class="row">
        <label>
          Rows of
          <select value={format} onChange={(event) => setFormat(event.currentTarget.value)}>
            {formats.map((one) => (
              <option value={one}>{one}</option>
            ))}
          </select>
        </label>
        <label>
          Of several answers to an item
          <select value={merge} onChange={(event) => setMerge(event.currentTarget.value)}>
            <option value="majority">the most frequent</option>
            <option value="consensus">what is probably true</option>
            <option value="each">each</option>
          </select>
        </label>
        {['jsonl', 'csv', 'parquet'].map((as) => (
          <a class="button" download href={`/api${pathOf(name)}/export?as=${as}&format=${format}&merge=${merge}`}>
            {as}
          </a>
        ))}
      </div>
    </section>
  );
}
